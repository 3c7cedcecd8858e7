"""Are options, variables, patterns and dates understood, and listed in README?"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import List, Mapping, NamedTuple, Tuple

import pytest

import download_smugmug_photos as script
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
