"""Does the README tell the truth? Its lines run as written, and its lists equal the program's."""

from __future__ import annotations

import argparse
import codecs
import csv
import html
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path
from types import CodeType
from typing import Dict, Iterator, List, Mapping, Optional

import pytest

import demo
import download_smugmug_photos as script
from conftest import SCRIPT, Result, Run
from fake_smugmug import Account, Authority, FakeSmugMug
from helpers import README, files_on_disk, readme_section

ROOT = SCRIPT.parent
SETUP = re.compile(r"python3 -m venv \.venv && \.venv/bin/pip install --quiet -r (\S+) && (.+)")
PROGRAM = ".venv/bin/python download_smugmug_photos.py"
DEMO_PROGRAM = ".venv/bin/python tests/demo.py"
PICTURE = ROOT / "tests" / "demo.svg"
PIN = "027518\n"
BLOCKS = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FOLDED = re.compile(r"<details><summary>(.*?)</summary>(.*?)</details>", re.DOTALL)

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="these lines are for the shell of Linux and macOS"
)


def blocks(language: str, text: str = README) -> List[str]:
    """Return the code blocks of a language."""
    return [content for name, content in BLOCKS.findall(text) if name == language]


def folded(title: str) -> str:
    """Return the text of the folded part whose title begins with `title`."""
    (content,) = [text for summary, text in FOLDED.findall(README) if summary.startswith(title)]
    return str(content)


def table_rows(text: str) -> List[List[str]]:
    """Return the cells of each row of the table in `text`, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = []
    for line in lines[2:]:
        cells = re.split(r"(?<!\\)\|", line)[1:-1]
        rows.append([cell.strip().replace("\\|", "|") for cell in cells])
    return rows


def setup_lines() -> List[str]:
    """Return the lines that make an environment."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("python3 -m venv")]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder as a reader has it after the set-up: the project, and a Python."""
    folder = tmp_path / "a-readers-copy"
    (folder / ".venv" / "bin").mkdir(parents=True)
    python = folder / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    shutil.copy(str(SCRIPT), str(folder))
    (folder / "tests").symlink_to(ROOT / "tests")
    return folder


def shell(
    line: str,
    folder: Path,
    variables: Optional[Mapping[str, str]] = None,
    answer: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a line as its reader would; fail the test if it fails."""
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=str(folder),
        env={**os.environ, **(variables or {})},
        input=answer,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done


@pytest.fixture
def signed_in(smugmug: FakeSmugMug) -> Dict[str, str]:
    """Return the variables of a reader who has signed in."""
    return {
        **smugmug.environment,
        "SMUGMUG_API_KEY": smugmug.api_key,
        "SMUGMUG_API_SECRET": smugmug.api_secret,
        "SMUGMUG_ACCESS_TOKEN": smugmug.access_token,
        "SMUGMUG_ACCESS_TOKEN_SECRET": smugmug.access_token_secret,
    }


@pytest.fixture
def albums(account: Account) -> Account:
    """Fill an account with three albums in two folders."""
    for folder, name in (
        ("Family", "Summer 2024"),
        ("Family/Trips", "Rome"),
        ("Clients", "Smith"),
    ):
        account.album(name, folder=folder).photo(title="A title", caption="By the lake, at noon")
    return account


# =================================================================================================
# The first screen
# =================================================================================================


def test_first_screen_has_what_a_newcomer_needs() -> None:
    first_screen = "\n".join(README.splitlines()[:45])
    for needed in (
        "byte for byte",
        "Read-only",
        "One file",
        "Not affiliated with SmugMug",
        "Linux, macOS, Windows, NAS",
        "tests/demo.svg",
        "Python 3.7",
        "API key",
        PROGRAM,
        DEMO_PROGRAM,
        "requirements.txt",
    ):
        assert needed in first_screen, needed


def test_is_at_most_1900_words_outside_of_folded_parts() -> None:
    words = re.findall(r"\S*\w\S*", FOLDED.sub("", README))  # not the rulers of tables
    assert len(words) <= 1900


def test_every_setup_line_installs_a_file_of_the_project() -> None:
    files = {}
    for line in setup_lines():
        found = SETUP.fullmatch(line)
        assert found, line
        files[found.group(2).rpartition(" ")[2]] = found.group(1)
    assert files == {
        "tests/demo.py": "tests/requirements.txt",
        "tests": "tests/requirements.txt",
        "download_smugmug_photos.py": "requirements.txt",
    }
    assert all((ROOT / name).is_file() for name in files.values())


def test_the_line_for_uv_names_the_script_whose_head_names_the_packages() -> None:
    assert "uv run download_smugmug_photos.py\n" in blocks("sh")
    head = SCRIPT.read_text("utf-8").split('"""')[0]
    (dependencies,) = re.findall(r"^# dependencies = \[(.*)\]$", head, re.MULTILINE)
    required = (ROOT / "requirements.txt").read_text("utf-8").split()
    assert re.findall('"(.*?)"', dependencies) == required


def test_first_and_later_lines_download_everything(
    albums: Account, smugmug: FakeSmugMug, checkout: Path
) -> None:
    (first,) = [
        line for line in setup_lines() if line.endswith(f"-r requirements.txt && {PROGRAM}")
    ]
    program = first.rpartition(" && ")[2]
    keys = {"SMUGMUG_API_KEY": smugmug.api_key, "SMUGMUG_API_SECRET": smugmug.api_secret}
    shell(program, checkout, {**smugmug.environment, **keys}, PIN)
    assert len(files_on_disk(checkout / "smugmug_photos")) == 3
    assert f"{PROGRAM}\n" in blocks("sh")
    source = (checkout / SCRIPT.name).read_text(encoding="utf-8")
    for name, value in (("API_KEY", smugmug.api_key), ("API_SECRET", smugmug.api_secret)):
        source, count = re.subn(f'^{name} = ".*"$', f'{name} = "{value}"', source, flags=re.M)
        assert count == 1
    (checkout / SCRIPT.name).write_text(source, encoding="utf-8")
    assert "3 already there" in shell(PROGRAM, checkout, smugmug.environment).stderr


# =================================================================================================
# The demo and its picture
# =================================================================================================


def test_demo_downloads_everything_intact(checkout: Path) -> None:
    said = shell(DEMO_PROGRAM, checkout, answer=PIN).stderr
    assert "All 11 photos and videos are in " in said
    listed = shell(f"{DEMO_PROGRAM} --list-md5", checkout).stdout
    assert len(listed.splitlines()) == 11
    if shutil.which("md5sum"):
        (checkout / "sums").write_text(listed)
        shell("cd demo_photos && md5sum -c --strict --quiet ../sums", checkout)


@pytest.mark.parametrize("columns", [30, 40, 80, 200])
def test_the_introduction_of_the_demo_breaks_no_word(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for pin, text in (("027518", "type the PIN 027518."), ("", "delete demo_photos.")):
        lines = demo.introduction(pin).splitlines()
        assert [line for line in lines if len(line) > columns] == []
        assert text in " ".join(lines)


def test_slow_demo_meets_its_failures_and_ends_as_the_picture_shows(
    ca: Authority, tmp_path: Path
) -> None:
    account = demo.slow_account()
    with FakeSmugMug(account, authority=ca) as smugmug:
        faults = demo.arm_failures(smugmug, seconds=0)
        runner = Run(smugmug, tmp_path)
        try:
            said = runner().stderr
        finally:
            runner.close()
        assert [fault.hits for fault in faults] == [1, 1, 1]
    texts = re.findall("<text [^>]*>(.*?)</text>", PICTURE.read_text("utf-8"))
    shown = [html.unescape(text) for text in texts]
    summary = {
        "Albums: 4 new, 0 changed, 0 unchanged",
        "Files: 40 downloaded, 0 already there, 0 failed",
    }
    assert summary <= set(shown)
    assert summary <= set(said.splitlines())
    assert shown[-1].startswith("All 40 photos and videos are in ")
    assert shown[-1].rpartition(" in ")[0] in said
    assert any(re.match(r"\d+%, ", line) for line in shown)
    assert not [line for line in shown if "429" in line]


def test_picture_is_complete_in_itself() -> None:
    text = PICTURE.read_text("utf-8")
    picture = xml.etree.ElementTree.fromstring(text)
    assert not re.search(r"href|@import|url\(|<script|<style", text)
    assert picture.get("font-family") == "monospace"
    papers = [part for part in picture if part.tag.endswith("rect")]
    assert len(papers) == 2
    assert all(part.get("fill") for part in papers)  # readable in light and dark
    assert "](tests/demo.svg)" in README


# =================================================================================================
# Tasks
# =================================================================================================


def test_every_task_of_the_table_works(albums: Account, run: Run, tmp_path: Path) -> None:
    originals = tmp_path / "pictures"
    originals.mkdir()
    assert run().returncode == 0
    rows = table_rows(readme_section("Common tasks"))
    assert len(rows) >= 16
    said: Dict[str, Result] = {}
    for _, cell in rows:
        options = re.match("`(.*?)`", cell)
        assert options, cell
        line = options.group(1).replace("/mnt/pictures", str(originals))
        line, _, reader = line.replace("/mnt/photos", "elsewhere").partition(" | ")
        said[line] = done = run(*shlex.split(line))
        shell(reader, run.folder, answer=done.stdout)
    assert [(line, done.stderr) for line, done in said.items() if done.returncode != 0] == []
    assert "Rome" in said["--list"].stdout
    assert "3 intact" in said["--verify"].stderr
    assert len(files_on_disk(run.folder / "elsewhere")) == 3
    assert {"report.json", "smugmug.log"} <= {path.name for path in run.folder.iterdir()}
    assert (run.output / "index.html").is_file()


def test_files_that_smugmug_no_longer_has_are_moved_aside(
    albums: Account, signed_in: Dict[str, str], checkout: Path
) -> None:
    dashed = albums.album("-p")
    dashed.photo()
    shell(PROGRAM, checkout, signed_in)
    removed = {}
    for album in (albums.albums[0], dashed):
        image = album.images[0]
        album.remove(image)
        removed[f"{album.name}/{image.file_name}"] = image.data
    (recipe,) = blocks("sh", folded("Set aside"))
    shell(recipe, checkout, signed_in)
    (aside,) = checkout.glob("removed-*")
    assert files_on_disk(aside) == removed
    assert len(files_on_disk(checkout / "smugmug_photos")) == 2


def test_captions_become_a_spreadsheet_and_an_order_becomes_numbers(
    albums: Account, signed_in: Dict[str, str], checkout: Path
) -> None:
    albums.album("Rome", folder="Clients").photo(title="Übersicht")
    shell(f"{PROGRAM} --sidecar json", checkout, signed_in)
    spreadsheet, numbers = blocks("sh", folded("A spreadsheet"))
    shell(spreadsheet, checkout)
    content = (checkout / "captions.csv").read_bytes()
    assert content.startswith(codecs.BOM_UTF8)  # for Excel
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    files = {f"{row['folder']}/{row['file']}" for row in rows}
    on_disk = files_on_disk(checkout / "smugmug_photos")
    assert files == {name for name in on_disk if not name.endswith("album.json")}
    assert len(files) == 4
    assert {row["title"] for row in rows} == {"A title", "Übersicht"}
    assert {row["caption"] for row in rows} == {"By the lake, at noon", ""}
    shell(numbers, checkout)
    copies = [path.name for path in (checkout / "Summer in order").iterdir()]
    assert copies == ["0001 " + albums.albums[0].images[0].file_name]


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
@pytest.mark.parametrize("is_link", [False, True], ids=["a folder", "a link to a folder"])
def test_exiftool_writes_the_sidecars_into_copies(
    account: Account, run: Run, is_link: bool
) -> None:
    picture = account.album("Summer").photo(
        "IMG_1.png", demo.drawn_png(1), title="The lake", keywords=["sea"]
    )
    assert run("--sidecar", "xmp").returncode == 0
    if is_link:
        elsewhere = run.output.with_name("elsewhere")
        run.output.rename(elsewhere)
        run.output.symlink_to(elsewhere)
    original = run.output / "Summer" / "IMG_1.png"
    record = (run.output / ".smugmug.sqlite3").read_bytes()
    (lines,) = [block for block in blocks("", folded("Immich")) if "exiftool" in block]
    quoted = shlex.quote(str(run.output))
    for _ in range(2):
        shell("set -e\n" + lines.replace("smugmug_photos", quoted), run.output.parent)
    copies = run.output.parent / "for_lightroom"
    copy = copies / "Summer" / "IMG_1.png"
    read = subprocess.run(
        ["exiftool", "-s3", "-XMP-dc:Title", "-XMP-dc:Subject", str(copy)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert read.stdout.split("\n")[:2] == ["The lake", "sea"]
    assert original.read_bytes() == picture.data
    assert (run.output / ".smugmug.sqlite3").read_bytes() == record
    assert copy.stat().st_mtime == original.stat().st_mtime  # the date of the photo
    assert not list(copies.glob(".smugmug.sqlite3*"))


# =================================================================================================
# Every night
# =================================================================================================


@pytest.mark.skipif(shutil.which("timeout") is None, reason="timeout is not installed")
def test_run_that_is_stopped_in_the_morning_is_no_failure(checkout: Path, tmp_path: Path) -> None:
    (limit,) = re.findall("`(timeout .+?)` before", folded("Stop in the morning"))
    assert f"`{limit} .venv/bin/python`" in folded("Stop in the morning")
    (block,) = blocks("", folded("cron"))
    line = block.split(None, 5)[5].strip().replace(".venv", f"{limit} .venv")
    line = line.replace("/srv/photos", shlex.quote(str(checkout))).replace("curl", "echo")
    python = checkout / ".venv" / "bin" / "python"
    for code, reported in ((130, 0), (1, 1)):
        python.write_text(f"#!/bin/sh\nexit {code}\n")
        assert shell(line, tmp_path).stdout.endswith(f"YOUR-ID/{reported}\n")
    (service, _) = blocks("ini", folded("systemd"))
    assert "SuccessExitStatus=130\n" in service


def test_cron_line_tells_the_watcher_the_exit_code(
    albums: Account, signed_in: Dict[str, str], checkout: Path, tmp_path: Path
) -> None:
    (block,) = blocks("", folded("cron"))
    line = block.split(None, 5)[5].strip()
    programs = tmp_path / "programs"
    programs.mkdir()
    curl = programs / "curl"
    heard = tmp_path / "heard"
    curl.write_text(f'#!/bin/sh\necho "$@" >> {shlex.quote(str(heard))}\n')
    curl.chmod(0o755)
    variables = {name: signed_in[name] for name in signed_in}
    variables["PATH"] = f"{programs}:/usr/bin:/bin"
    shell("true", checkout)
    for folder, code in ((checkout, "0"), (tmp_path / "missing", "[12]")):
        done = shell(line.replace("/srv/photos", shlex.quote(str(folder))), tmp_path, variables)
        said = heard.read_text().splitlines()[-1]
        assert re.search(rf"-o /dev/null https://watcher\.example/YOUR-ID/{code}$", said), said
        if folder == checkout:
            assert (done.stdout, done.stderr) == ("", "")
    assert len(files_on_disk(checkout / "smugmug_photos")) == 3


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
def test_systemd_accepts_the_unit_files(checkout: Path, tmp_path: Path) -> None:
    service, timer = blocks("ini", folded("systemd"))
    for text, name in ((service, "smugmug.service"), (timer, "smugmug.timer")):
        assert text.startswith(f"# {name}\n")
        (tmp_path / name).write_text(text.replace("/srv/photos", str(checkout)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "smugmug.timer")],
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if "smugmug" in line]
    assert complaints == []


def test_every_line_for_the_night_uses_existing_options() -> None:
    found = [content for _, content in BLOCKS.findall(readme_section("Every night"))]
    lines = [line for block in found for line in block.splitlines() if f"{SCRIPT.name} -" in line]
    assert len(lines) == 3  # cron, systemd, Windows
    for line in lines:
        options = line.partition(SCRIPT.name)[2].partition(";")[0].rstrip('"').split()
        assert script.build_parser({}).parse_args(options).quiet


def test_container_runs_with_the_variables_of_its_dockerfile(
    albums: Account, signed_in: Dict[str, str], tmp_path: Path
) -> None:
    (dockerfile,) = blocks("dockerfile", folded("Docker"))
    (ignored,) = blocks("", folded("Docker"))
    commands = [line for line in blocks("sh", folded("Docker"))[0].splitlines() if " run " in line]
    assert "COPY download_smugmug_photos.py /\n" in dockerfile
    assert ignored.splitlines()[1:] == ["*", "!download_smugmug_photos.py"]
    assert '["python", "/download_smugmug_photos.py"]' in dockerfile
    assert all("--user" in line and "-e TZ=" in line for line in commands)
    data = tmp_path / "data"
    data.mkdir()
    (settings,) = re.findall("^ENV (.*)$", dockerfile, re.MULTILINE)
    variables = {}
    for setting in settings.split():
        name, value = setting.split("=")
        variables[name] = value.replace("/data", str(data))
    for line in commands:
        arguments = line.rpartition(" smugmug ")[2].split()
        done = subprocess.run(
            [sys.executable, str(SCRIPT), *arguments],
            cwd="/",
            env={**os.environ, **signed_in, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert len(files_on_disk(data / "smugmug_photos")) == 3


def test_no_line_to_be_typed_holds_a_secret() -> None:
    lines = [line for _, content in BLOCKS.findall(README) for line in content.splitlines()]
    assert not [line for line in lines if re.search(r"(KEY|SECRET|TOKEN)\w*=", line)]


# =================================================================================================
# Reference
# =================================================================================================


def options_table() -> str:
    """Return the table of options as the README should have it, from `--help`."""
    rows = ["| option | meaning |", "|---|---|"]
    parser = script.build_parser({})
    for action in parser._actions:
        if action.help == argparse.SUPPRESS:
            continue
        metavar = f" {action.metavar}" if action.metavar and action.nargs != 0 else ""
        options = [f"`{name}`" for name in action.option_strings[:-1]]
        options.append(f"`{action.option_strings[-1]}{metavar}`")
        text = f"| {', '.join(options)} | {action.help} |"
        rows.append(re.sub(r"(?<=\w)\|(?=\w)", r"\\|", text))
    return "\n".join(rows)


def variables_of_options() -> List[str]:
    """Return the environment variables of the options that take a value."""
    names = []
    for action in script.build_parser({})._actions:
        if action.metavar and action.nargs != 0:
            name = action.option_strings[-1].lstrip("-").upper().replace("-", "_")
            names.append(f"SMUGMUG_{name}")
    return names


def texts_of(code: CodeType) -> Iterator[str]:
    """Yield all texts in a piece of code; those of an f-string come in pieces."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from texts_of(constant)
        elif isinstance(constant, str):
            yield constant


def test_table_of_options_equals_help() -> None:
    assert options_table() in folded("Options"), "replace it with:\n" + options_table()


def test_every_variable_is_listed() -> None:
    listed = re.findall("`(SMUGMUG_[A-Z_0-9]+)`", folded("Environment variables"))
    keys = ["SMUGMUG_API_KEY", "SMUGMUG_API_SECRET"]
    tokens = ["SMUGMUG_ACCESS_TOKEN", "SMUGMUG_ACCESS_TOKEN_SECRET"]
    assert sorted(listed) == sorted([*variables_of_options(), *keys, *tokens])


def test_every_exit_code_is_explained() -> None:
    codes = [code for name, code in vars(script).items() if name.startswith("EXIT_")]
    explained = [row[0] for row in table_rows(folded("Exit codes"))]
    assert explained == [str(code) for code in sorted(codes)]


def test_every_word_of_the_summary_is_explained() -> None:
    explained = {row[0] for row in table_rows(folded("Words of the summary"))}
    words = {str(result.value) for result in script.Result}
    assert explained == words - {"stopped early"}


def test_every_field_of_the_report_is_explained() -> None:
    explained = set(re.findall("`([a-z_0-9]+)`", folded("JSON report")))
    problem = {"kind", "folder", "file", "reason", "album_key", "image_key"}
    album = {"album_key", "folder", "smugmug_count", "on_disk"}
    kinds = {result.name.lower() for result in script.Result}
    fields = set(script.Summary(Path("photos")).report(0, "")) | problem | album
    assert fields <= explained <= fields | kinds


def test_every_message_that_is_explained_is_one_of_the_program() -> None:
    texts = list(texts_of(compile(SCRIPT.read_bytes(), SCRIPT.name, "exec")))
    rows = re.findall(r"^\* (`.*?): ", readme_section("If something goes wrong"), re.MULTILINE)
    quoted = [fragment for row in rows for fragment in re.findall("`([^`]+)`", row)]
    assert len(quoted) >= 16
    assert [fragment for fragment in quoted if not any(fragment in text for text in texts)] == []


def test_every_link_to_a_file_or_heading_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#][^)]*)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
    headings = re.findall("^#+ (.*)$", README, re.MULTILINE)
    anchors = {re.sub("[^a-z0-9 _-]", "", text.lower()).replace(" ", "-") for text in headings}
    anchors |= set(re.findall('<a id="(.*?)">', README))
    assert set(re.findall(r"\]\(#(.*?)\)", README)) <= anchors
