"""README: its lines run as they stand, and what it says of the program is so."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import CodeType
from typing import Dict, Iterator, List, Mapping

import pytest

import download_smugmug_photos as script
from conftest import SCRIPT
from fake_smugmug import Account, FakeSmugMug
from helpers import README, home_files, readme_section

ROOT = SCRIPT.parent
SETUP = re.compile(r"python3 -m venv \.venv && \.venv/bin/pip install --quiet -r (\S+) && (.+)")
PROGRAM = ".venv/bin/python download_smugmug_photos.py"
DEMO_PROGRAM = f".venv/bin/python tests/fake_smugmug.py -- {PROGRAM}"
PIN = "027518\n"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="these lines are for the shell of Linux and macOS")


def blocks(language: str) -> Iterator[str]:
    """The code blocks of a language."""
    return iter(re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE))


def command_lines() -> List[str]:
    """All lines for a shell, without what sets up the packages: the tests run in a place where they are."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [found.group(2) if found else line for line, found in zip(lines, map(SETUP.fullmatch, lines))]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder as a reader has it after setting up: the files of the project, and a Python with the packages."""
    folder = tmp_path / "a-readers-copy"
    (folder / ".venv" / "bin").mkdir(parents=True)
    python = folder / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    shutil.copy(str(SCRIPT), str(folder))
    (folder / "tests").symlink_to(ROOT / "tests")
    return folder


def shell(line: str, folder: Path, variables: Mapping[str, str] = {},
          answer: str = "") -> subprocess.CompletedProcess[str]:
    """Run a line as its reader would, and insist on success."""
    done = subprocess.run(["sh", "-c", line], cwd=str(folder), env={**os.environ, **variables}, input=answer,
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done


def test_every_line_for_the_own_account_does_what_it_is_there_for(
        account: Account, smugmug: FakeSmugMug, checkout: Path) -> None:
    for folder, name in (("Family", "Summer 2024"), ("Family/Trips", "Rome"), ("Clients", "Smith")):
        account.album(name, folder=folder).photo(title="A title")
    lines = [line for line in command_lines() if PROGRAM in line and line != f"{DEMO_PROGRAM} --output demo_photos"
             and not line.startswith("docker")]
    first, later, *recipes = lines
    keys = {"your key": smugmug.api_key, "your secret": smugmug.api_secret}
    shell(re.sub("your (key|secret)", lambda found: keys[found.group()], first), checkout, smugmug.environment, PIN)
    assert len(home_files(checkout / "smugmug_photos")) == 3

    source = (checkout / SCRIPT.name).read_text(encoding="utf-8")
    for name, value in (("API_KEY", smugmug.api_key), ("API_SECRET", smugmug.api_secret)):
        source, count = re.subn(f'^{name} = ".*"$', f'{name} = "{value}"', source, flags=re.MULTILINE)
        assert count == 1
    (checkout / SCRIPT.name).write_text(source, encoding="utf-8")
    assert later == PROGRAM
    assert "3 already there" in shell(later, checkout, smugmug.environment).stderr

    said = {line[len(PROGRAM) + 1:]: shell(line, checkout, smugmug.environment) for line in recipes}
    assert len(said) >= 8
    assert "Rome" in said["--list"].stdout
    assert sorted(home_files(checkout / "backup" / "photos")) == sorted(
        f"{album}/IMG_1.JPG{suffix}" for album in ("Family/Summer 2024", "Family/Trips/Rome", "Clients/Smith")
        for suffix in ("", ".xmp"))
    assert "3 intact" in said["--verify"].stderr
    assert {"report.json", "smugmug.log"} <= {path.name for path in checkout.iterdir()}


def test_the_demo_looks_as_it_is_shown(checkout: Path) -> None:
    assert f"{DEMO_PROGRAM} --output demo_photos" in command_lines()
    variables = {"TMPDIR": str(checkout)}
    first = shell(f"{DEMO_PROGRAM} --output smugmug_photos", checkout, variables, PIN).stderr
    second = shell(f"{DEMO_PROGRAM} --output smugmug_photos", checkout, variables).stderr
    runs = next(blocks("console")).split("$ python download_smugmug_photos.py\n")[1:]
    assert len(runs) == 2
    for shown, said in zip(runs, (first, second)):
        expected = {changing_parts_masked(line) for line in shown.splitlines() if line}
        assert expected <= {changing_parts_masked(line) for line in said.splitlines()}


def changing_parts_masked(line: str) -> str:
    """A line of the demo without what is different each time, such as which of two albums gets the copy.

    What is piped in does not show, nor its end of line.
    """
    line = re.sub(r"^PIN: (027518)?|oauth_token=[^&]+|in /.*|\(.*/s\)|[\d.]+ (s|[TGM]B)\b", "", line)
    return re.sub(r"^(Summer.*): ([34] downloaded|[23] downloaded, 1 copied)$", r"\1", line)


def test_every_line_for_the_night_uses_options_that_there_are() -> None:
    found = re.findall(r"^```\w*\n(.*?)^```$", readme_section("Every night"), re.DOTALL | re.MULTILINE)
    lines = [line for block in found for line in block.splitlines() if f"{SCRIPT.name} -" in line]
    assert len(lines) == 4  # cron, one for a watcher, systemd, Windows
    for line in lines:
        assert script.parser({}).parse_args(line.partition(SCRIPT.name)[2].partition(";")[0].rstrip('"').split()).quiet


def test_every_message_that_it_explains_is_one_of_the_program() -> None:
    texts = list(texts_of(compile(SCRIPT.read_bytes(), SCRIPT.name, "exec")))
    rows = re.findall(r"^\| (`.*?) \| ", readme_section("If it says ..."), re.MULTILINE)
    quoted = [fragment for row in rows for fragment in re.findall("`([^`]+)`", row)]
    assert len(quoted) >= 15
    assert [fragment for fragment in quoted if not any(fragment in text for text in texts)] == []


def texts_of(code: CodeType) -> Iterator[str]:
    """All texts in a piece of code; those of an f-string come in pieces."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from texts_of(constant)
        elif isinstance(constant, str):
            yield constant


def test_it_explains_all_exit_codes_and_no_others() -> None:
    codes = [code for name, code in vars(script).items() if name.startswith("EXIT_")]
    explained = re.findall(r"^\| (\d+) \| ", readme_section("Exit codes"), re.MULTILINE)
    assert explained == [str(code) for code in sorted(codes)]


def test_it_explains_all_words_of_the_summary_and_no_others() -> None:
    table = readme_section("What lands where").partition("| word |")[2]
    rows = re.findall(r"^\| ([A-Za-z ,]+) \| ", table, re.MULTILINE)
    topics = {topic.heading for topic in script.Topic}
    texts = set(texts_of(compile(SCRIPT.read_bytes(), SCRIPT.name, "exec"))) | topics
    assert {kind.value for kind in script.Kind} | topics - {"ended early"} <= set(rows) <= texts


def test_every_test_that_it_names_for_a_promise_is_there() -> None:
    named = re.findall("`(test_[a-z0-9_]+)`", readme_section("What it promises"))
    defined = {name for path in (ROOT / "tests").glob("test_*.py")
               for name in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)}
    assert len(named) >= 12
    assert set(named) <= defined


def test_every_setup_installs_what_a_file_of_the_project_lists() -> None:
    setups = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("python3 -m venv")]
    files: Dict[str, str] = {}
    for line in setups:
        found = SETUP.fullmatch(line)
        assert found, line
        files[found.group(2).rpartition(" ")[2]] = found.group(1)
    assert files == {"demo_photos": "tests/requirements.txt", "tests": "tests/requirements.txt",
                     "download_smugmug_photos.py": "requirements.txt"}
    assert all((ROOT / name).is_file() for name in files.values())
