"""Are options, variables, patterns and dates understood?"""

from __future__ import annotations

import gc
import os
import re
import time
from pathlib import Path
from typing import Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Tuple

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import Account
from helpers import parse_album


class Misuse(NamedTuple):
    """A command line that is refused, and the words that the message must contain."""

    arguments: Tuple[str, ...]
    names: str
    variables: Mapping[str, str] = {}


MISUSES = (
    Misuse(("--frobnicate",), "--frobnicate"),
    Misuse(("-z",), "-z"),
    Misuse(("photos",), "photos"),
    Misuse(("-o",), "-o"),
    Misuse(("-a",), "-a"),
    Misuse(("-j", "0"), "'0'"),
    Misuse(("-j", "-1"), "-j"),
    Misuse(("-j", "four"), "'four'"),
    Misuse(("-j", "1.5"), "'1.5'"),
    Misuse(("-j", "1000000"), "'1000000'"),
    Misuse(("--timeout", "0"), "'0'"),
    Misuse(("--timeout", "-3"), "--timeout"),
    Misuse(("--timeout", "nan"), "'nan'"),
    Misuse(("--timeout", "inf"), "'inf'"),
    Misuse(("--since", "yesterday"), "'yesterday'"),
    Misuse(("--since", "2024-02-30"), "'2024-02-30'"),
    Misuse(("--since", "31.05.2024"), "'31.05.2024'"),
    Misuse(("--since", "30"), "'30'"),
    Misuse(("--since", "d"), "'d'"),
    Misuse(("--since", "999999999999d"), "'999999999999d'"),
    Misuse(("--layout", "flat"), "'flat'"),
    Misuse(("--sidecar", "pdf"), "'pdf'"),
    Misuse(("--report", "missing/report.json"), "missing"),
    Misuse(("--report", "."), "'.'"),
    Misuse(("--report", "file/report.json"), "file/report.json"),
    Misuse(("--log-file", "missing/log.txt"), "missing"),
    Misuse(("--log-file", "."), "'.'"),
    Misuse(("--log-file", "file/log.txt"), "file/log.txt"),
    Misuse(("--list", "--dry-run"), "--list"),
    Misuse(("--login", "--logout"), "--log"),
    Misuse(("--verify", "--list"), "--verify"),
    Misuse(("--report", "report.json", "--list"), "--report"),
    Misuse(("--full", "--login"), "--full"),
    Misuse(("-a", "Summer", "--logout"), "--logout"),
    Misuse(("--verify", "--logout"), "--logout"),
    Misuse(("-o", ""), "folder"),
    Misuse(("-q", "-v"), "-q"),
    Misuse((), "SMUGMUG_JOBS", {"SMUGMUG_JOBS": "0"}),
    Misuse((), "SMUGMUG_TIMEOUT", {"SMUGMUG_TIMEOUT": "soon"}),
    Misuse((), "SMUGMUG_SINCE", {"SMUGMUG_SINCE": "yesterday"}),
    Misuse((), "SMUGMUG_LAYOUT", {"SMUGMUG_LAYOUT": "flat"}),
    Misuse((), "SMUGMUG_SIDECAR", {"SMUGMUG_SIDECAR": "pdf"}),
    Misuse((), "SMUGMUG_REPORT", {"SMUGMUG_REPORT": "missing/report.json"}),
    Misuse((), "SMUGMUG_LOG_FILE", {"SMUGMUG_LOG_FILE": "missing/log.txt"}),
)


@pytest.mark.parametrize(
    "misuse", MISUSES, ids=lambda misuse: " ".join(misuse.arguments) or misuse.names
)
def test_misuse_is_answered_in_one_line(
    misuse: Misuse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SystemExit) as ended:
        script.read_settings(list(misuse.arguments), {**os.environ, **misuse.variables})
    said = capsys.readouterr()
    assert ended.value.code == 2 and said.out == ""
    assert said.err.count("\n") == 1 and misuse.names in said.err and "Traceback" not in said.err


ALBUMS = (
    ("Summer", "Family/Trips"),
    ("Winter", "Family/Trips"),
    ("Summer party", "Work"),
    ("Trip [2019]", ""),
    ("A\u0308pfel", ""),
    ("日本の写真", ""),
)


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["-a", "Summer"], ["Summer"]),
        (["-a", "sUMMER*"], ["Summer", "Summer party"]),
        (["-a", "*part?"], ["Summer party"]),
        (["-a", "[vw]inter"], ["Winter"]),
        (["-a", "/Family/Trips/*"], ["Summer", "Winter"]),
        (["-a", "family/*"], ["Summer", "Winter"]),
        (["-a", "winter", "--album", "日本*"], ["Winter", "日本の写真"]),
        (["-a", "Trip [2019]"], ["Trip [2019]"]),
        (["-a", "\u00c4PFEL"], ["A\u0308pfel"]),
        (["-x", "SUMMER*", "-x", "日*", "-x", "*/Trip-2019"], ["Winter", "A\u0308pfel"]),
        (["-a", "Family/*", "--exclude", "winter"], ["Summer"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0][0] == "-" else "",
)
def test_patterns_match_names_and_paths_in_any_case(
    account: Account, arguments: List[str], expected: List[str]
) -> None:
    fakes = [account.album(name, folder=folder) for name, folder in ALBUMS]
    albums = [
        parse_album({"AlbumKey": fake.key, "Name": fake.name, "UrlPath": fake.url_path})
        for fake in fakes
    ]
    chosen = script.selected(script.read_settings(arguments, os.environ), albums, {})
    assert [album.name for album in chosen] == expected


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="Windows has no way to try another zone")
@pytest.mark.parametrize(
    "since, zone, expected",
    [
        ("2024-05-31", "UTC0", "2024-05-31T00:00:00"),
        ("2024-05-31", "EAST-12", "2024-05-30T12:00:00"),
        ("2024-05-31", "CET-1CEST,M3.5.0,M10.5.0", "2024-05-30T22:00:00"),
        ("2024-01-31", "CET-1CEST,M3.5.0,M10.5.0", "2024-01-30T23:00:00"),
        ("2024-05-31T18:01", "WEST5", "2024-05-31T23:01:00"),
        ("2024-05-31T18:01:02", "WEST5", "2024-05-31T23:01:02"),
        ("2024-05-31T18:01:02Z", "WEST5", "2024-05-31T18:01:02"),
    ],
)
def test_dates_are_local_unless_marked_as_utc(
    monkeypatch: pytest.MonkeyPatch, since: str, zone: str, expected: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert script.read_settings(["--since", since], os.environ).since == expected
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.fixture
def empty_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the width that help is written for."""
    monkeypatch.setenv("COLUMNS", "80")


# the ways to write an option -> what stands for its value, "" if it has none
Options = Dict[FrozenSet[str], str]


def option_of(forms: Iterable[str]) -> Tuple[FrozenSet[str], str]:
    """Return an option's spellings and its metavar."""
    words = [form.split(" ", 1) for form in forms]
    return frozenset(word[0] for word in words), words[-1][1] if len(words[-1]) > 1 else ""


def options_of_help() -> Options:
    """Return all options that --help names."""
    text = script.build_parser({}).format_help()
    columns = re.findall(r"^  (-\S.*?)(?:  .*)?$", text, re.MULTILINE)
    return dict(option_of(column.split(", ")) for column in columns)


def variable_of(names: FrozenSet[str]) -> str:
    """Return the environment variable that stands for an option."""
    return "SMUGMUG_" + max(names, key=len).lstrip("-").upper().replace("-", "_")


def test_help_is_grouped_and_fits_on_two_screens(run: Run) -> None:
    result = run("--help", env={"COLUMNS": "80"}, signed_in=False, keys=False)
    lines = result.stdout.splitlines()
    assert (result.returncode, result.stderr) == (0, "")
    assert len(lines) <= 70 and max(map(len, lines)) <= 80
    headings = [line for line in lines if re.match(r"[a-z ]+:$", line)]
    assert len(headings) >= 3 and not {"options:", "optional arguments:"} & set(headings)
    assert options_of_help() and all(
        name in result.stdout for names in options_of_help() for name in names
    )


VALUES = {
    "PATTERN": ("Summer*", "Winter"),
    "DATE": ("2024-05-31", "2020-01-01"),
    "DIR": (".", ".."),
    "album|tree": ("tree", "album"),
    "photos|videos": ("photos", "videos"),
    "xmp|json|html|dates": ("html", "xmp"),
    "N": ("3", "5"),
    "RATE": ("500k", "2M"),
    "SECONDS": ("7", "8"),
    "MINUTES": ("7", "8"),
    "FILE": ("one.txt", "other.txt"),
}


def test_options_come_from_the_environment_unless_given(
    empty_terminal: None,
) -> None:
    for names, metavar in options_of_help().items():
        if metavar:
            name, variable, (value, other) = (
                max(names, key=len),
                variable_of(names),
                VALUES[metavar],
            )
            wanted = script.read_settings([f"{name}={value}"], os.environ)
            assert wanted != script.read_settings([f"{name}={other}"], os.environ), name
            assert script.read_settings([], {**os.environ, variable: value}) == wanted, variable
            assert (
                script.read_settings([f"{name}={value}"], {**os.environ, variable: other})
                == wanted
            ), variable


def test_empty_variables_count_as_not_set(empty_terminal: None) -> None:
    variables = {variable_of(names): "" for names, metavar in options_of_help().items() if metavar}
    assert script.read_settings([], {**os.environ, **variables}) == script.read_settings(
        [], os.environ
    )


def test_without_a_home_folder_the_sign_in_is_saved_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    token_file = script.read_settings([], {}).token_file
    assert Path(os.devnull) in token_file.parents, "a folder with the name ~ would be created"


@pytest.mark.parametrize("has_freeze", [True, False])
def test_garbage_is_collected_while_the_program_runs(
    monkeypatch: pytest.MonkeyPatch, has_freeze: bool
) -> None:
    """It is not while packages load. PyPy cannot leave what was loaded out."""
    frozen: List[int] = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(1))
    if not has_freeze:
        monkeypatch.delattr(gc, "freeze")
    gc.disable()
    try:
        with pytest.raises(SystemExit):
            script.main(["--version"])
        assert gc.isenabled() and len(frozen) == has_freeze
    finally:
        gc.enable()
