"""Do README's commands run as written, and are its statements true?"""

from __future__ import annotations

import html
import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path
from types import CodeType
from typing import Dict, Iterator, List, Mapping

import pytest

import demo
import download_smugmug_photos as script
from conftest import SCRIPT, Run
from fake_smugmug import Account, Authority, FakeSmugMug
from helpers import README, files_on_disk, readme_section

ROOT = SCRIPT.parent
SETUP = re.compile(r"python3 -m venv \.venv && \.venv/bin/pip install --quiet -r (\S+) && (.+)")
PROGRAM = ".venv/bin/python download_smugmug_photos.py"
DEMO_PROGRAM = ".venv/bin/python tests/demo.py"
SLOW_DEMO = f"{DEMO_PROGRAM} --slow"
PICTURE = ROOT / "tests" / "demo.svg"
PIN = "027518\n"

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="these lines are for the shell of Linux and macOS"
)


def blocks(language: str) -> Iterator[str]:
    """Return the code blocks of a language."""
    return iter(re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE))


def command_lines() -> List[str]:
    """Return all shell lines except those that set up the packages.

    The tests run where the packages are installed.
    """
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [
        found.group(2) if found else line
        for line, found in zip(lines, map(SETUP.fullmatch, lines))
    ]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a folder as a reader has it after the set-up: the project's files and a Python."""
    folder = tmp_path / "a-readers-copy"
    (folder / ".venv" / "bin").mkdir(parents=True)
    python = folder / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    shutil.copy(str(SCRIPT), str(folder))
    (folder / "tests").symlink_to(ROOT / "tests")
    return folder


def shell(
    line: str, folder: Path, variables: Mapping[str, str] = {}, answer: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a line as a reader would and require success."""
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=str(folder),
        env={**os.environ, **variables},
        input=answer,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done


def test_every_command_for_an_account_does_what_it_promises(
    account: Account, smugmug: FakeSmugMug, checkout: Path
) -> None:
    for folder, name in (
        ("Family", "Summer 2024"),
        ("Family/Trips", "Rome"),
        ("Clients", "Smith"),
    ):
        account.album(name, folder=folder).photo(title="A title")
    lines = [line for line in command_lines() if line.startswith(PROGRAM)]
    first, later, *recipes = lines
    keys = {"SMUGMUG_API_KEY": smugmug.api_key, "SMUGMUG_API_SECRET": smugmug.api_secret}
    assert first == PROGRAM
    # the script asks for them only at a terminal
    shell(first, checkout, {**smugmug.environment, **keys}, PIN)
    assert len(files_on_disk(checkout / "smugmug_photos")) == 3

    source = (checkout / SCRIPT.name).read_text(encoding="utf-8")
    for name, value in (("API_KEY", smugmug.api_key), ("API_SECRET", smugmug.api_secret)):
        source, count = re.subn(
            f'^{name} = ".*"$', f'{name} = "{value}"', source, flags=re.MULTILINE
        )
        assert count == 1
    (checkout / SCRIPT.name).write_text(source, encoding="utf-8")
    assert later == PROGRAM
    assert "3 already there" in shell(later, checkout, smugmug.environment).stderr

    said = {
        line[len(PROGRAM) + 1 :]: shell(line, checkout, smugmug.environment) for line in recipes
    }
    assert len(said) >= 9
    assert "Rome" in said["--list"].stdout
    assert all(
        "0 downloaded" in done.stderr
        for options, done in said.items()
        if "Files:" in done.stderr and "--dry-run" not in options
    )
    assert sorted(files_on_disk(checkout / "smugmug_photos")) == sorted(
        [
            "index.html",
            *(
                f"{album}/{name}"
                for album in ("Summer 2024", "Rome", "Smith")
                for name in ("IMG_1.JPG", "IMG_1.JPG.xmp", "index.html")
            ),
        ]
    )
    assert "3 intact" in said["--verify"].stderr
    assert {"report.json", "smugmug.log"} <= {path.name for path in checkout.iterdir()}


def test_the_demo_and_its_archive_are_complete(checkout: Path) -> None:
    line = DEMO_PROGRAM
    assert line in command_lines() and SLOW_DEMO in command_lines()
    variables = {"TMPDIR": str(checkout)}
    assert "All 11 photos and videos are in " in shell(line, checkout, variables, PIN).stderr
    listed = shell(f"{line} --list-md5", checkout, variables).stdout
    assert len(listed.splitlines()) == 11
    if shutil.which("md5sum"):
        (checkout / "sums").write_text(listed)
        shell("cd demo_photos && md5sum -c --strict --quiet ../sums", checkout)


def test_the_slow_demo_ends_as_the_picture_shows(ca: Authority, tmp_path: Path) -> None:
    account = demo.slow_account()
    with FakeSmugMug(account, authority=ca) as smugmug:
        troubles = demo.arm_failures(smugmug, seconds=0)
        runner = Run(smugmug, tmp_path)
        try:
            said = runner().stderr
        finally:
            runner.close()
        assert [trouble.hits for trouble in troubles] == [1, 1, 1]
    shown = [
        html.unescape(text)
        for text in re.findall("<text [^>]*>(.*?)</text>", PICTURE.read_text("utf-8"))
    ]
    assert {
        "Albums: 4 new, 0 changed, 0 unchanged",
        "Files: 40 downloaded, 0 already there, 0 failed",
    } <= (set(shown) & set(said.splitlines()))
    assert shown[-1].startswith("All 40 photos and videos are in ")
    assert shown[-1].rpartition(" in ")[0] in said
    assert any(re.match(r"\d+%, \d+ s left, ", line) for line in shown)
    seconds = sum(photo.size for album in account.albums for photo in album.images) / (
        demo.SLOW_LINE.bytes_per_second_total
    )
    assert 15 <= seconds <= 25  # and the faults, which take up to 4 s


def test_the_picture_is_self_contained() -> None:
    picture = xml.etree.ElementTree.fromstring(PICTURE.read_text("utf-8"))
    assert not re.search(r"href|@import|url\(|<script|<style", PICTURE.read_text("utf-8"))
    assert picture.get("font-family") == "monospace"
    papers = [part for part in picture if part.tag.endswith("rect")]
    # readable in light and dark
    assert len(papers) == 2 and all(part.get("fill") for part in papers)
    assert "](tests/demo.svg)" in README


def test_the_first_screen_serves_newcomers_and_the_text_is_short() -> None:
    assert len(README.split()) <= 2000
    first_screen = "\n".join(README.splitlines()[:40])
    for needed in (
        "tests/demo.svg",
        "Python 3.7",
        "API key",
        "Download ZIP",
        "**How long it takes**",
        PROGRAM,
        DEMO_PROGRAM,
        SLOW_DEMO,
        "requirements.txt",
    ):
        assert needed in first_screen, needed


def test_no_command_contains_a_secret() -> None:
    lines = [
        line
        for block in re.findall(r"^```\w*\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]
    assert not [line for line in lines if re.search(r"(KEY|SECRET|TOKEN)\w*=", line)]


def test_no_docker_command_contains_the_key() -> None:
    lines = [line for line in command_lines() if "docker run" in line]
    assert lines and all("--env-file " in line and "API_KEY" not in line for line in lines)


def test_all_fields_of_the_report_are_explained() -> None:
    explained = set(re.findall("`([a-z_0-9]+)`", readme_section("Report")))
    fields = set(script.Summary(Path("photos")).report(0, "")) | {
        "kind",
        *(name for name in script.Note._fields if name != "result"),
    }
    assert explained == fields


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_the_exiftool_command_writes_sidecars_into_copies(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    picture = account.album("Summer").photo(
        "IMG_1.png", demo.drawn_png(1), title="The lake", keywords=["sea"]
    )
    assert run("--sidecar", "xmp").returncode == 0
    (line,) = [
        block
        for block in re.findall(r"^```\w*\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
        if "exiftool" in block
    ]
    shell(
        "set -e\n" + line.replace("smugmug_photos", shlex.quote(str(run.output))),
        run.output.parent,
    )
    copy = run.output.parent / "for_lightroom" / "Summer" / "IMG_1.png"
    read = subprocess.run(
        ["exiftool", "-s3", "-XMP-dc:Title", "-XMP-dc:Subject", str(copy)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert read.stdout.split("\n")[:2] == ["The lake", "sea"]
    assert (run.output / "Summer" / "IMG_1.png").read_bytes() == picture.data


def test_every_scheduled_command_uses_existing_options() -> None:
    found = re.findall(
        r"^```\w*\n(.*?)^```$", readme_section("Every night"), re.DOTALL | re.MULTILINE
    )
    lines = [line for block in found for line in block.splitlines() if f"{SCRIPT.name} -" in line]
    assert len(lines) == 3  # cron with a watcher, systemd, Windows
    for line in lines:
        assert (
            script.build_parser({})
            .parse_args(line.partition(SCRIPT.name)[2].partition(";")[0].rstrip('"').split())
            .quiet
        )


def test_every_explained_message_is_one_of_the_program() -> None:
    texts = list(texts_of(compile(SCRIPT.read_bytes(), SCRIPT.name, "exec")))
    rows = re.findall(r"^\* (`.*?): ", readme_section("If it says ..."), re.MULTILINE)
    quoted = [fragment for row in rows for fragment in re.findall("`([^`]+)`", row)]
    assert len(quoted) >= 12
    assert [fragment for fragment in quoted if not any(fragment in text for text in texts)] == []


def texts_of(code: CodeType) -> Iterator[str]:
    """Return all texts in a piece of code, those of an f-string in pieces."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from texts_of(constant)
        elif isinstance(constant, str):
            yield constant


def test_all_exit_codes_are_explained() -> None:
    codes = [code for name, code in vars(script).items() if name.startswith("EXIT_")]
    explained = re.findall(r"^\| (\d+) \| ", readme_section("Exit codes"), re.MULTILINE)
    assert explained == [str(code) for code in sorted(codes)]


def test_the_rule_of_success_is_stated() -> None:
    rule = readme_section("Exit codes")
    for said in (
        "last line and the exit code follow one rule",
        "cannot give is counted and named at every run",
        "| 0 | everything SmugMug offers is on disk; with `-n`, the preview is complete |",
    ):
        assert said in rule, said


def test_all_words_of_the_summary_are_explained() -> None:
    table = readme_section("What lands where").partition("Words of the summary")[2]
    rows = re.findall(r"^\* ([A-Za-z ,]+): ", table, re.MULTILINE)
    words = {word.text for word in script.Result}
    texts = set(texts_of(compile(SCRIPT.read_bytes(), SCRIPT.name, "exec"))) | words
    assert words - {"stopped early"} <= set(rows) <= texts


def test_every_test_named_for_a_promise_exists() -> None:
    named = re.findall("`(test_[a-z0-9_]+)`", readme_section("What it promises"))
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(
            r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert len(named) >= 12
    assert set(named) <= defined


def test_every_set_up_installs_the_listed_packages() -> None:
    setups = [
        line
        for block in blocks("sh")
        for line in block.splitlines()
        if line.startswith("python3 -m venv")
    ]
    files: Dict[str, str] = {}
    for line in setups:
        found = SETUP.fullmatch(line)
        assert found, line
        files[found.group(2).rpartition(" ")[2]] = found.group(1)
    assert files == {
        "tests/demo.py": "tests/requirements.txt",
        "tests": "tests/requirements.txt",
        "download_smugmug_photos.py": "requirements.txt",
    }
    assert all((ROOT / name).is_file() for name in files.values())
