"""Do options, selection, previews, messages, the summary, the report and the log work?"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import unicodedata
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Set

import pyte
import pytest

import download_smugmug_photos as script
from conftest import SCRIPT, Result, Run
from fake_smugmug import JPEG_MAGIC, Account, FakeSmugMug, Pattern
from helpers import album_with, expected_files, files_on_disk, snapshot, stop, sync

REPORT_KEYS = {
    "version",
    "account",
    "started",
    "finished",
    "seconds",
    "exit_code",
    "albums",
    "albums_unchanged",
    "downloaded",
    "verdict",
    "output",
    "smugmug_count",
    "on_disk",
    "already_there",
    "to_download",
    "to_copy",
    "deleted",
    "copied",
    "adopted",
    "videos",
    "verified",
    "removed",
    "by_album",
    "skipped",
    "replaced",
    "processing",
    "unavailable",
    "failed",
    "bytes",
    "api_requests",
    "rate_limit_wait_seconds",
    "problems",
}
PROBLEM_KEYS = {"kind", "folder", "file", "album_key", "image_key", "reason"}
TOO_MUCH = 10**15  # bytes; more than the free space of any test machine
STAMP = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d"

posix_only = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows sends no signals to other processes"
)
linux_only = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux has a file that is full"
)


# =================================================================================================
# --help, --version, and README's list of options.
# =================================================================================================


def test_version_is_printed(run: Run) -> None:
    result = run("--version", signed_in=False, keys=False)
    assert result == Result(0, f"{SCRIPT.name} {script.VERSION}\n", "")


# =================================================================================================
# Options from the environment.
# =================================================================================================


def test_containers_can_be_set_up_by_variables_alone(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    album = account.album("Summer", folder="Family")
    for _ in range(6):
        album.photo(title="The sea")
    smugmug.fault("stall", "cdn", before_headers=True)
    result = run(
        env={
            "SMUGMUG_OUTPUT": str(tmp_path / "photos"),
            "SMUGMUG_LAYOUT": "tree",
            "SMUGMUG_JOBS": "1",
            "SMUGMUG_TIMEOUT": "0.5",
            "SMUGMUG_SIDECAR": "json",
            "SMUGMUG_REPORT": str(tmp_path / "report.json"),
            "SMUGMUG_LOG_FILE": str(tmp_path / "log.txt"),
        }
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "photos/Family/Summer/IMG_1.JPG").exists() and not run.output.exists()
    assert (tmp_path / "photos/Family/Summer/album.json").exists()
    # one that was silent for too long, one for all the rest
    assert smugmug.connections("photos.smugmug.com") == 2
    assert read_report(tmp_path / "report.json")["downloaded"] == 6
    assert "IMG_1.JPG" in (tmp_path / "log.txt").read_text(encoding="utf-8")


# =================================================================================================
# Misuse: one line, exit 2, nothing done.
# =================================================================================================


@pytest.mark.parametrize(
    "arguments, variables",
    [
        (["--frobnicate"], {}),
        (["--report", "missing/report.json"], {}),
        ([], {"SMUGMUG_SIDECAR": "pdf"}),
    ],
    ids=["unknown", "report", "variable"],
)
def test_misuse_ends_the_run_before_any_request(
    smugmug: FakeSmugMug, run: Run, arguments: List[str], variables: Dict[str, str]
) -> None:
    result = run(*arguments, env=variables)
    assert result.returncode == 2 and result.stdout == "" and result.stderr.count("\n") == 1, (
        result.stderr
    )
    assert smugmug.requests == [] and not run.output.exists()


def test_an_output_path_that_is_a_file_is_named_in_one_line(
    account: Account, run: Run, tmp_path: Path
) -> None:
    account.album("Summer").photo()
    (tmp_path / "photos").write_bytes(b"mine")
    result = run("-o", tmp_path / "photos")
    assert (
        result.returncode == 2
        and result.stderr.count("\n") == 1
        and str(tmp_path / "photos") in result.stderr
    )
    assert (tmp_path / "photos").read_bytes() == b"mine"


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_unwritable_report_paths_are_refused_at_once(
    smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir(mode=0o555)
    result = run("--report", tmp_path / "theirs" / "report.json")
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert smugmug.requests == []


# =================================================================================================
# Destination: -o and --layout.
# =================================================================================================


def test_files_land_in_the_output_folder(account: Account, run: Run, tmp_path: Path) -> None:
    account.album("Summer", folder="Family/Trips").photo()
    assert run("-o", tmp_path / "deep" / "photos").returncode == 0
    assert list(files_on_disk(tmp_path / "deep" / "photos")) == ["Summer/IMG_1.JPG"]
    assert not run.output.exists()


def test_the_tree_layout_follows_smugmugs_folders(account: Account, run: Run) -> None:
    account.album("Summer", folder="Family/Trips").photo()
    account.album("Summer", folder="Family").photo()
    account.album("Lonely").photo()
    assert run("--layout", "tree").returncode == 0
    assert list(files_on_disk(run.output)) == [
        "Family/Summer/IMG_1.JPG",
        "Family/Trips/Summer/IMG_1.JPG",
        "Lonely/IMG_1.JPG",
    ]


@pytest.mark.parametrize(
    "before, after, old, new",
    [
        ("album", "tree", "Summer/IMG_1.JPG", "Family/Winter/IMG_1.JPG"),
        ("tree", "album", "Family/Summer/IMG_1.JPG", "Winter/IMG_1.JPG"),
    ],
)
def test_changing_the_layout_moves_nothing_and_is_explained(
    account: Account, smugmug: FakeSmugMug, run: Run, before: str, after: str, old: str, new: str
) -> None:
    account.album("Summer", folder="Family").photo()
    assert run("--layout", before).returncode == 0
    assert smugmug.count("cdn") == 1

    result = run("--layout", after)
    assert result.returncode == 0 and list(files_on_disk(run.output)) == [old]
    assert smugmug.count("cdn") == 1
    assert re.search(r"\blayout\b.*\bstay", result.stderr, re.IGNORECASE), result.stderr

    account.album("Winter", folder="Family").photo()
    assert run("--layout", after).returncode == 0
    assert sorted(files_on_disk(run.output)) == sorted([old, new])
    assert smugmug.count("cdn") == 2


def test_layouts_are_mentioned_only_if_albums_keep_their_place(account: Account, run: Run) -> None:
    account.album("Lonely").photo()
    account.album("Summer", folder="Family").photo()
    for _ in range(2):
        assert "stay" not in run("--layout", "tree").stderr


# =================================================================================================
# Selection: -a, -x, --since.
# =================================================================================================


def test_albums_not_chosen_are_neither_listed_nor_downloaded(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    for name in ("Summer", "Winter", "Spring"):
        account.album(name).photo()
    assert run("-a", "s*", "-x", "spring").returncode == 0
    assert list(files_on_disk(run.output)) == ["Summer/IMG_1.JPG"]
    assert (smugmug.count("api", "!images"), smugmug.count("cdn")) == (1, 1)


@pytest.mark.parametrize(
    "arguments, near",
    [
        (["-a", "sumer"], "Summer"),
        (["-a", "Summer", "-a", "Wintr"], "Winter"),
        (["-a", "/family/trips/sumer"], "/Family/Trips/Summer"),
        (["--list", "-a", "sumer"], "Summer"),
        (["--dry-run", "-a", "sumer"], "Summer"),
    ],
    ids=["album", "one of two", "path", "list", "dry run"],
)
def test_patterns_without_a_match_show_similar_names(
    account: Account, smugmug: FakeSmugMug, run: Run, arguments: List[str], near: str
) -> None:
    for name in ("Summer", "Winter"):
        account.album(name, folder="Family/Trips").photo()
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert near in result.stderr and f"No album matches --album {arguments[-1]!r}" in result.stderr
    assert smugmug.count("api", "!images") == smugmug.count("cdn") == 0


def test_exclusions_without_a_match_are_only_mentioned(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    result = run("-x", "Clients/*", "-x", "sumer")
    assert result.returncode == 0 and list(files_on_disk(run.output)) == ["Summer/IMG_1.JPG"]
    assert (
        "No album matches --exclude 'Clients/*'" in result.stderr
        and "Did you mean: Summer?" in result.stderr
    )


def test_patterns_without_similar_names_lead_to_the_list(account: Account, run: Run) -> None:
    account.album("Summer")
    result = run("-a", "qqqqqq")
    assert result.returncode == 2 and "'qqqqqq'" in result.stderr and "--list" in result.stderr
    assert "Summer" not in result.stderr


def test_excluding_every_album_is_an_error(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.album("Summer").photo()
    result = run("-a", "Sum*", "-x", "*mer")
    assert result.returncode == 2 and "--exclude matches every album" in result.stderr
    assert smugmug.count("api", "!images") == 0


def dated(account: Account) -> None:
    """Add an album of images named after their upload dates."""
    album = account.album("Summer")
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    for name, uploaded in (
        ("before", datetime(2024, 5, 30, 23, 59, 59)),
        ("morning", datetime(2024, 5, 31)),
        ("evening", datetime(2024, 5, 31, 18)),
        ("longer", now - timedelta(days=30, hours=1)),
        ("not as long", now - timedelta(days=30, hours=-1)),
    ):
        album.photo(f"{name}.JPG", uploaded=uploaded)


@pytest.mark.parametrize(
    "since, zone, expected",
    [
        ("2024-05-31", "EAST-12", {"before", "morning", "evening", "longer", "not as long"}),
        ("2024-05-31", "WEST5", {"evening", "longer", "not as long"}),
        ("30d", "WEST5", {"not as long"}),
    ],
)
def test_since_selects_later_uploads(
    account: Account, smugmug: FakeSmugMug, run: Run, since: str, zone: str, expected: Set[str]
) -> None:
    dated(account)
    result = run("--since", since, env={"TZ": zone})
    assert result.returncode == 0, result.stderr
    assert set(files_on_disk(run.output)) == {f"Summer/{name}.JPG" for name in expected}
    assert smugmug.count("cdn") == len(expected)


def test_images_skipped_by_since_are_downloaded_by_the_next_full_selection(
    account: Account, run: Run
) -> None:
    dated(account)
    assert run("--since", "30d").returncode == 0
    assert run().returncode == 0
    assert len(files_on_disk(run.output)) == 5


# =================================================================================================
# Previews: --list and --dry-run.
# =================================================================================================


def composed(text: str) -> str:
    """Return a text as a terminal keeps it: accents and their letters in one cell."""
    return unicodedata.normalize("NFC", text)


def cells(line: str) -> List[str]:
    """Return the cells of a terminal line; the second cell of a wide character is empty."""
    screen = pyte.Screen(300, 1)
    pyte.Stream(screen).feed(line)
    return [screen.buffer[0][column].data for column in range(300)]


def table(text: str) -> List[Dict[str, str]]:
    """Return a table as seen: the text below each word of its first line."""
    first, *rows = [cells(line) for line in text.splitlines()]
    header = "".join(first)
    starts = [match.start() for match in re.finditer(r"(?<!\S)(?<!\S )\S", header)]
    spans = list(zip(starts, [*starts[1:], len(header)]))
    return [
        {header[start:end].strip(): "".join(row[start:end]).strip() for start, end in spans}
        for row in rows
    ]


def test_the_list_is_an_aligned_table_in_any_writing_system(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    for name, folder, privacy, count in (
        ("日本の写真", "Family/Trips", "Private", 2),
        ("Summer", "", "Public", 1),
        ("한국 e\u0301te\u0301", "Family", "Unlisted", 0),
    ):
        album = account.album(name, folder=folder, privacy=privacy)
        for _ in range(count):
            album.photo()
    result = run("--list")
    assert (result.returncode, result.stderr) == (0, "3 files in 3 albums, 0 on disk.\n")
    rows = table(result.stdout)
    assert [list(row) for row in rows] == [
        ["ALBUM", "FILES", "ON DISK", "SIZE", "CHANGED", "PRIVACY", "PATH"]
    ] * 3
    assert {
        (row["ALBUM"], row["FILES"], row["CHANGED"], row["PRIVACY"], row["PATH"]) for row in rows
    } == {
        (composed(album.name), str(len(album.images)), "2024-01-01", album.privacy, album.url_path)
        for album in account.albums
    }
    assert not run.output.exists() and smugmug.count("cdn") == smugmug.count("api", "!images") == 0


def test_empty_accounts_give_an_empty_table(run: Run) -> None:
    result = run("--list")
    assert (result.returncode, table(result.stdout)) == (0, [])


def test_incomplete_lists_are_errors(account: Account, smugmug: FakeSmugMug, run: Run) -> None:
    account.album("Summer")
    smugmug.fault("wrong_total", "!albums", times=None)
    result = run("--list")
    assert result.returncode == 1 and "Summer" in result.stdout and "incomplete" in result.stderr


def test_previews_name_missing_and_short_files(account: Account, run: Run) -> None:
    summer, winter = account.album("Summer"), account.album("Winter")
    gone, short, shared = (
        summer.photo("gone.JPG"),
        summer.photo("short.JPG"),
        summer.photo("shared.JPG"),
    )
    winter.collect(shared)
    assert run().returncode == 0
    folders = [run.output / "Summer", run.output / "Winter"]
    (folders[0] / gone.file_name).unlink()
    (folders[0] / short.file_name).write_bytes(short.data[:100])
    (folders[0] / shared.file_name).unlink()
    size_bytes = len(gone.data) + len(short.data)
    assert run("--dry-run").stdout.splitlines()[-1] == (
        f"To download: 2 files, {script.human_bytes(size_bytes)}"
        " (1 more to copy or adopt from files on disk)"
    )
    (folders[1] / shared.file_name).unlink()  # no copy is left
    size_bytes += len(shared.data)
    assert run("--dry-run").stdout.splitlines()[-1] == (
        f"To download: 3 files, {script.human_bytes(size_bytes)}"
        " (1 more to copy or adopt from files on disk)"
    )
    assert "3 downloaded, 1 copied" in run().stderr
    assert run("--dry-run").stdout == "To download: 0 files, 0 B\n"


def test_previews_say_that_files_of_a_lost_record_are_adopted(account: Account, run: Run) -> None:
    album = account.album("Summer")
    for name in ("a.JPG", "b.JPG"):
        album.photo(name)
    assert run().returncode == 0
    (run.output / ".smugmug.sqlite3").unlink()
    preview = run("-n", "--new-record")
    assert "2 more to copy or adopt" in preview.stdout
    verdict = preview.stderr.splitlines()[-1]
    assert verdict.endswith("; 2 to copy or adopt") and "download or" not in verdict
    album.photo("c.JPG")
    assert "; 3 to download or copy\n" in run("-n", "--new-record").stderr
    assert "2 adopted" in run("--new-record").stderr


def test_previews_ignore_missing_copies_of_photos_before_1970(account: Account, run: Run) -> None:
    photo = account.album("Summer").photo(taken=datetime(1965, 7, 3, 4, 5, 6))
    account.album("Winter").collect(photo)
    assert run().returncode == 0
    for path in run.output.rglob("*.JPG"):
        path.unlink()
    assert run("--dry-run").stdout.splitlines()[-1] == (
        f"To download: 1 file, {script.human_bytes(len(photo.data))}"
        " (1 more to copy or adopt from files on disk)"
    )


def test_previews_state_the_files_and_bytes_that_the_run_downloads(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    summer, winter = account.album("Summer"), account.album("Winter")
    summer.photo(content=b"\xff\xd8 old")
    winter.photo()
    assert run().returncode == 0
    summer.images[0].replace(Pattern(1500, 1, JPEG_MAGIC), moves_clock=True)
    spring = account.album("Spring")
    for size in (700, 300):
        spring.photo(content=Pattern(size, size, JPEG_MAGIC))
    smugmug.clear_requests()
    before = snapshot(run.output)

    result = run("--dry-run")

    assert result.returncode == 0, result.stderr
    *albums, total = result.stdout.splitlines()
    assert sorted(albums) == ["Spring: 2 files, 1.0 kB", "Summer: 1 file, 1.5 kB"]
    assert total == "To download: 3 files, 2.5 kB"
    assert "Albums: 1 new, 1 changed, 1 unchanged" in result.stderr
    assert snapshot(run.output) == before and smugmug.count("cdn") == 0

    run("--report", tmp_path / "report.json")
    report = read_report(tmp_path / "report.json")
    assert (report["downloaded"] + report["replaced"], report["bytes"]) == (3, 2500)


@pytest.mark.parametrize("task", ["--list", "--dry-run"])
def test_previews_and_lists_write_nothing(
    account: Account, run: Run, tmp_path: Path, task: str
) -> None:
    account.album("Summer").photo()
    before = snapshot(tmp_path)
    result = run(task, "--sidecar", "json")
    assert result.returncode == 0 and "Summer" in result.stdout
    assert snapshot(tmp_path) == before


def test_standard_output_carries_only_data(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    assert (
        run("-q", "-n").stdout
        == run("-v", "-n").stdout
        == "Summer: 1 file, 2.0 kB\nTo download: 1 file, 2.0 kB\n"
    )
    assert run("-v").stdout == ""


def test_characters_missing_from_the_console_end_no_run(account: Account, run: Run) -> None:
    account.album("日本の写真 1").photo("日本.JPG")
    result = run("-v", env={"PYTHONIOENCODING": "ascii"})
    assert result.returncode == 0, result.stderr
    assert "????? 1" in result.stderr


@posix_only
def test_closed_pipes_cause_no_traceback(account: Account, smugmug: FakeSmugMug, run: Run) -> None:
    account.album("Summer").photo()
    stall = smugmug.fault("stall", "!albums", seconds=0.2, before_headers=True)
    process = run.start("--list", env={"PYTHONUNBUFFERED": None})
    assert stall.reached.wait(300) and process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    stderr = process.stderr.read()
    assert process.wait(300) in (0, 1)
    assert "Broken" not in stderr and "Traceback" not in stderr


@linux_only
@pytest.mark.parametrize("task", ["--list", "--dry-run"])
def test_unwritable_output_is_a_failure_without_traceback(
    account: Account, run: Run, task: str
) -> None:
    account.album("Summer").photo()
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, str(SCRIPT), task],
            env=run.environment(),
            cwd=str(run.folder),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
    assert done.returncode == 1
    assert (
        "Cannot write to standard output: [Errno 28] No space left on device"
        in done.stderr.splitlines()
    )


@posix_only
def test_runs_without_standard_streams_download_the_photos(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    command = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", sys.executable, str(SCRIPT)]
    assert (
        subprocess.call(
            command, env=run.environment(), cwd=str(run.folder), stdin=subprocess.DEVNULL
        )
        == 0
    )
    assert list(files_on_disk(run.output)) == ["Summer/IMG_1.JPG"]


# =================================================================================================
# Verbosity: -q, -v, --log-file.
# =================================================================================================


def test_each_album_has_one_line_and_the_summary_comes_last(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    account.album("Winter")
    lines = run().stderr.splitlines()
    assert sorted(lines[:2]) == ["Summer: 1 downloaded", "Winter: nothing to download"]
    assert [line.split(":")[0] for line in lines[2:4]] == ["Albums", "Files"] and len(lines) == 7
    assert "camera" in lines[4]
    assert lines[-1].startswith("1 photo or video is in /")


def test_quiet_shows_the_summary_and_problems(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    good, bad = album.photo("good.JPG"), album.photo("bad.JPG")
    smugmug.fault("not_found", f"/i-{bad.key}/", times=None)
    result = run("-q")
    assert result.returncode == 1
    assert "Summer/bad.JPG: " in result.stderr and "Files: 1 downloaded" in result.stderr
    assert "\nSummer: " not in f"\n{result.stderr}" and good.file_name not in result.stderr


def test_verbose_names_each_file_and_the_rate_limit_headers(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    names = [album.photo(f"IMG_{number}.JPG").file_name for number in range(3)]
    smugmug.fault("rate_limited", "!images", retry_after="1")
    result, quieter = run("-v"), run("--full")
    assert all(f"downloaded: Summer/{name}" in result.stderr for name in names)
    assert (
        len(re.findall("X-RateLimit-Remaining: [0-9]+, X-RateLimit-Reset: [0-9]+", result.stderr))
        >= 3
    )
    assert re.search("429 .*Retry-After: 1", result.stderr)
    assert "X-RateLimit" not in quieter.stderr and names[0] not in quieter.stderr


def test_the_log_file_is_appended_to_with_time_stamps(
    account: Account, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "log.txt"
    path.write_text("something of mine\n")
    account.album("日本の写真").photo("海.JPG")
    first = run("-q", "--log-file", path)
    after_first = path.read_text(encoding="utf-8")
    run("--log-file", path)
    after_second = path.read_text(encoding="utf-8")
    assert after_first.startswith("something of mine\n") and after_second.startswith(after_first)
    assert re.search(f"^{STAMP}.* downloaded: 日本の写真/海.JPG$", after_first, re.MULTILINE)
    assert "X-RateLimit-Remaining: " in after_first and "海" not in first.stderr
    assert all(re.match(STAMP, line) for line in after_second.splitlines()[1:])
    assert all(line in after_first for line in first.stderr.splitlines())


@linux_only
def test_failing_log_files_are_mentioned_once_and_hinder_nothing(
    account: Account, run: Run
) -> None:
    account.album("Summer").photo()
    result = run("--log-file", "/dev/full")
    assert result.returncode == 0 and list(files_on_disk(run.output)) == ["Summer/IMG_1.JPG"]
    told = (
        "log file /dev/full can no longer be written ([Errno 28] No space left on device). "
        "The run continues without it."
    )
    assert re.findall("log file.*", result.stderr) == [told]
    assert "1 photo or video is in /" in result.stderr and "ignored" not in result.stderr


@posix_only
def test_unopenable_log_files_end_the_run_before_it_begins(
    smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "log.txt").symlink_to(tmp_path / "nowhere" / "log.txt")
    result = run("--log-file", "log.txt")
    assert result.returncode == 2
    assert result.stderr.startswith("No such file or directory: ") and "log.txt" in result.stderr
    assert smugmug.requests == []


# =================================================================================================
# The summary and the report.
# =================================================================================================


def read_report(path: Path) -> Dict[str, Any]:
    """Read a report and check that it has all fields."""
    report: Dict[str, Any] = json.loads(path.read_bytes().decode("utf-8"))
    assert REPORT_KEYS - set(report) == set() and report["version"] == 2
    assert all(set(problem) == PROBLEM_KEYS for problem in report["problems"])
    return report


def eventful(account: Account, smugmug: FakeSmugMug, run: Run, *arguments: Any) -> Result:
    """Make a run that meets one of each: a new, changed and unchanged album, and every result."""
    account.album("Unchanged").photo("same.JPG")
    changed = account.album("Changed")
    changed.photo("kept.JPG")
    changed.photo("edited.JPG")
    assert run().returncode == 0
    changed.images[1].replace(Pattern(3000, 1, JPEG_MAGIC), moves_clock=True)
    new = account.album("New")
    new.photo("fresh.JPG", Pattern(700, 1, JPEG_MAGIC))
    new.photo("fine.JPG", Pattern(300, 2, JPEG_MAGIC))
    new.photo("slow.JPG", processing=True, uploaded=account.time_of_day())
    new.video("never.MOV", processing=True, status="Preprocess", sub_status="CanNotProcess")
    smugmug.fault("not_found", f"/i-{new.photo('gone.JPG').key}/", times=None)
    smugmug.fault("rate_limited", f"{new.key}!images", retry_after="1")
    smugmug.clear_requests()
    return run(*arguments)


def test_the_summary_states_every_result_with_advice(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    result = eventful(account, smugmug, run)
    lines = result.stderr.splitlines()
    assert result.returncode == 1
    assert "Albums: 1 new, 1 changed, 1 unchanged" in lines
    parts = next(line for line in lines if line.startswith("Files: "))[7:].split(", ")
    counts = {kind: number for number, kind in (part.split(" ", 1) for part in parts)}
    assert counts == {
        "downloaded": "2",
        "replaced": "1",
        "already there": "2",
        "still processing": "1",
        "unavailable": "1",
        "failed": "1",
    }
    calls = smugmug.count("api")
    assert re.search(
        rf"\b4\.[01] kB in \d.* s \(.*B/s\), {calls} API calls, waited \d.* s at .*, "
        r"[\d.]+ [MGT]B free on disk",
        result.stderr,
    )
    for heading, image, reason in (
        ("Failed (1):", "gone.JPG", "SmugMug returned HTTP 404"),
        ("Still processing (1):", "slow.JPG", "still processing"),
        ("Unavailable (1):", "never.MOV", "no downloadable file"),
    ):
        item, advice = lines[lines.index(heading) + 1 :][:2]
        assert item.startswith(f"  New/{image}: ") and reason in item
        assert re.fullmatch(r"  [A-Z].*[.?]", advice) and " / " not in advice, (
            f"what to do about {heading}"
        )


def test_runs_with_nothing_to_do_have_a_short_summary(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.album("Summer").photo()
    run()
    smugmug.clear_requests()
    result = run()
    calls = smugmug.count("api")
    assert re.fullmatch(
        "Albums: 0 new, 0 changed, 1 unchanged\nFiles: 0 downloaded, 1 already there, 0 failed\n"
        rf"0 B in .* s, {calls} API calls, .* free on disk\n"
        "1 photo or video is in /.*\n",
        result.stderr,
    )


def test_the_summary_claims_no_more_than_is_known(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.album("Summer").photo()
    account.album("Winter").photo()

    def one_more(answer: Dict[str, Any]) -> Dict[str, Any]:
        answer["Response"]["Album"][0]["ImageCount"] += 1
        return answer

    assert "1 photo or video that you asked for is in /" in run("-a", "summer").stderr
    smugmug.fault("mangle", "!albums", function=one_more)
    doubtful = run("--full")
    assert doubtful.returncode == 1 and doubtful.stderr.count("2 of 3 are in /") == 1
    assert doubtful.stderr.endswith(f"are in {run.output}; 1 not listed; 1 failed\n")
    assert "SmugMug reports 2 photos and videos in this album but lists 1" in doubtful.stderr
    assert "\nAll 2 photos and videos are in /" in run().stderr


def test_the_report_holds_the_summary_for_programs(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    result = eventful(account, smugmug, run, "--report", tmp_path / "report.json")
    report = read_report(tmp_path / "report.json")
    assert {
        key: report[key]
        for key in REPORT_KEYS
        - {
            "started",
            "finished",
            "seconds",
            "rate_limit_wait_seconds",
            "problems",
            "by_album",
            "verdict",
            "output",
        }
    } == {
        "smugmug_count": 8,
        "on_disk": 5,
        "already_there": 2,
        "to_download": 0,
        "to_copy": 0,
        "deleted": 0,
        "copied": 0,
        "adopted": 0,
        "videos": 0,
        "verified": None,
        "removed": [],
        "version": 2,
        "account": "family",
        "exit_code": result.returncode,
        "albums": 3,
        "albums_unchanged": 1,
        "downloaded": 2,
        "skipped": 2,
        "replaced": 1,
        "processing": 1,
        "unavailable": 1,
        "failed": 1,
        "bytes": 4000,
        "api_requests": smugmug.count("api"),
    }
    assert report["seconds"] > report["rate_limit_wait_seconds"] > 0
    times = [
        datetime.strptime(report[key], "%Y-%m-%dT%H:%M:%SZ") for key in ("started", "finished")
    ]
    assert times[0] < times[1]  # a second apart because of the rate limit
    keys = {image.file_name: image.key for image in account.albums[2].images}
    assert {
        (problem["kind"], problem["folder"], problem["file"], problem["image_key"])
        for problem in report["problems"]
    } == {
        ("failed", "New", "gone.JPG", keys["gone.JPG"]),
        ("processing", "New", "slow.JPG", keys["slow.JPG"]),
        ("unavailable", "New", "never.MOV", keys["never.MOV"]),
    }
    assert all(problem["reason"] for problem in report["problems"])
    assert report["verdict"] == result.stderr.splitlines()[-1] and report["output"] == str(
        run.output
    )
    albums = {album.name: album.key for album in account.albums}
    assert {problem["album_key"] for problem in report["problems"]} == {albums["New"]}
    assert sorted(report["by_album"], key=lambda album: album["folder"]) == [
        {"album_key": albums[name], "folder": name, "smugmug_count": count, "on_disk": on_disk}
        for name, count, on_disk in (("Changed", 2, 2), ("New", 5, 2), ("Unchanged", 1, 1))
    ]


def test_names_in_the_report_are_readable_and_harmless(
    account: Account, run: Run, tmp_path: Path
) -> None:
    account.album("日本 \x1b[31m").photo(
        "slow\n.JPG", processing=True, uploaded=account.time_of_day()
    )
    run("--report", tmp_path / "report.json")
    (problem,) = read_report(tmp_path / "report.json")["problems"]
    assert (problem["folder"], problem["file"]) == ("日本 _[31m", "slow\ufffd.JPG")


@pytest.mark.parametrize(
    "arguments, options, exit_code",
    [
        ([], {"signed_in": False}, 3),
        ([], {"keys": False}, 2),
        (["-o", "file"], {}, 2),
        (["-a", "nothing"], {}, 2),
    ],
    ids=["not signed in", "no key", "no folder", "no album"],
)
def test_runs_that_cannot_begin_report_why(
    run: Run, tmp_path: Path, arguments: List[str], options: Dict[str, Any], exit_code: int
) -> None:
    (tmp_path / "file").write_bytes(b"")
    result = run(*arguments, "--report", tmp_path / "report.json", **options)
    report = read_report(tmp_path / "report.json")
    assert result.returncode == report["exit_code"] == exit_code
    (problem,) = report["problems"]
    assert problem["reason"] == result.stderr[-len(problem["reason"]) - 1 : -1]


@posix_only
@pytest.mark.parametrize("where", ["!authuser", "cdn"])
def test_interrupted_runs_leave_a_report(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path, where: str
) -> None:
    account.album("Summer").photo()
    stall = smugmug.fault("stall", where, before_headers=True)
    process = run.start("--report", tmp_path / "report.json")
    assert stall.reached.wait(300)
    assert "Interrupted" in stop(process, signal.SIGINT)
    report = read_report(tmp_path / "report.json")
    assert process.returncode == report["exit_code"] == 130 and report["downloaded"] == 0


@posix_only
def test_reports_are_replaced_in_one_step(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "reports" / "report.json"
    path.parent.mkdir()
    path.write_bytes(b"the old report")
    account.album("Summer").photo()
    stall = smugmug.fault("stall", "cdn", before_headers=True)
    process = run.start("--report", path)
    assert stall.reached.wait(300)
    with open(str(path), "rb") as reader:
        assert path.read_bytes() == b"the old report"
        stop(process, signal.SIGINT)
        assert reader.read() == b"the old report"
    assert read_report(path)["exit_code"] == 130
    assert os.listdir(str(path.parent)) == ["report.json"]


def test_unwritten_reports_are_a_failure(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    account.album("Summer").photo()

    def remove_the_folder(answer: Dict[str, Any]) -> Dict[str, Any]:
        folder.rmdir()
        return answer

    smugmug.fault("mangle", "!albums", function=remove_the_folder)
    result = run("--report", folder / "report.json")
    assert result.returncode == 1 and "Cannot write the report" in result.stderr
    assert list(files_on_disk(run.output)) == ["Summer/IMG_1.JPG"]


@posix_only
@pytest.mark.parametrize("kind", ["device", "pipe", "folder"])
def test_a_report_goes_to_no_device_pipe_or_folder(
    account: Account, smugmug: FakeSmugMug, run: Run, kind: str
) -> None:
    account.album("Summer").photo()
    path = run.folder / "report"
    if kind == "device":
        path = Path("/dev/stdout")
    elif kind == "pipe":
        os.mkfifo(str(path))
    else:
        path.mkdir()
    result = run("--report", path)
    assert result.returncode == 2 and smugmug.requests == []
    assert len(result.stderr.splitlines()) == 1 and str(path) in result.stderr


# =================================================================================================
# Space on the disk.
# =================================================================================================


def of_size(size_bytes: int) -> Callable[[Dict[str, Any]], Dict[str, Any]]:
    """Return a listing whose albums named "Huge" state this many bytes."""

    def mangled(answer: Dict[str, Any]) -> Dict[str, Any]:
        for album in answer["Response"].get("Album", []):
            if album["Name"] == "Huge":
                album["OriginalSizes"] = size_bytes
        return answer

    return mangled


@pytest.mark.parametrize("options", [[], ["-q"], ["--dry-run"]], ids=["", "-q", "--dry-run"])
def test_runs_larger_than_the_disk_begin_with_a_warning(
    account: Account, smugmug: FakeSmugMug, run: Run, options: List[str]
) -> None:
    account.album("Huge").photo()
    smugmug.fault("mangle", "!albums", times=None, function=of_size(TOO_MUCH))
    result = run(*options)
    assert result.returncode == (1 if options == ["--dry-run"] else 0)
    assert re.match(
        r"Not enough space: at least 1000\.00 TB to download, .*B free\. ", result.stderr
    )


def test_previews_add_file_sizes_if_smugmug_states_no_sum(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    def huge(answer: Dict[str, Any]) -> Dict[str, Any]:
        answer["Response"]["AlbumImage"][0]["ArchivedSize"] = TOO_MUCH
        return answer

    account.album("Summer").photo()
    smugmug.fault("mangle", "!images", times=None, function=huge)
    assert "Not enough space: at least 1000.00 TB to download, " in run("--dry-run").stderr


def test_skipped_files_need_no_space(account: Account, smugmug: FakeSmugMug, run: Run) -> None:
    for name in ("Huge", "Summer"):
        account.album(name).photo()
    smugmug.fault("mangle", "!albums", times=None, function=of_size(TOO_MUCH))
    assert "Not enough space" not in run("-x", "huge").stderr
    assert "Not enough space" in run().stderr
    assert "Not enough space" not in run().stderr  # SmugMug's sum is wrong: all is on disk


# =================================================================================================
# --login and --logout.
# =================================================================================================


def test_login_only_signs_in_for_later_unattended_runs(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.album("Summer").photo()
    result = run("--login", input=f"{smugmug.pin}\n", signed_in=False)
    assert (
        result.returncode == 0 and "Signed in as family" in result.stderr and result.stdout == ""
    )
    assert smugmug.paths("api") == ["/api/v2!authuser"] and not run.output.exists()
    assert run(signed_in=False).returncode == 0
    assert list(files_on_disk(run.output)) == ["Summer/IMG_1.JPG"]


def test_login_asks_nothing_if_already_signed_in(smugmug: FakeSmugMug, run: Run) -> None:
    run("--login", input=f"{smugmug.pin}\n", signed_in=False)
    result = run("--login", signed_in=False)
    assert result.returncode == 0 and "PIN:" not in result.stderr


def test_logout_removes_the_token_and_explains_revocation(smugmug: FakeSmugMug, run: Run) -> None:
    run("--login", input=f"{smugmug.pin}\n", signed_in=False)
    (token,) = run.config.rglob("token.json")
    smugmug.clear_requests()
    result = run("--logout", signed_in=False, keys=False)
    assert result.returncode == 0 and not token.exists()
    assert (
        str(token) in result.stderr
        and "Authorized Services" in result.stderr
        and smugmug.requests == []
    )
    assert run(signed_in=False).returncode == 3


@pytest.mark.parametrize("has_token", [False, True])
def test_logout_explains_revocation_only_after_a_sign_in(run: Run, has_token: bool) -> None:
    token = run.config / "download_smugmug_photos" / "token.json"
    token.parent.mkdir(parents=True)
    saved = {"api_key": "KEY", "api_secret": "SECRET"}
    if has_token:
        saved.update(access_token="TOKEN", access_token_secret="SECRET")
    token.write_text(json.dumps(saved))
    result = run("--logout", signed_in=False, keys=False)
    assert result.returncode == 0 and f"Removed {token}." in result.stderr
    assert ("still lists" in result.stderr) == has_token and not token.exists()


def test_logout_without_a_sign_in_succeeds(run: Run) -> None:
    result = run("--logout", signed_in=False, keys=False)
    assert result.returncode == 0 and "no saved sign-in" in result.stderr


def test_undeletable_sign_ins_are_named(run: Run) -> None:
    token = run.config / "download_smugmug_photos" / "token.json"
    (token / "mine").mkdir(parents=True)
    result = run("--logout", signed_in=False, keys=False)
    assert (
        result.returncode == 2 and str(token) in result.stderr and "Removed" not in result.stderr
    )


# =================================================================================================
# Reports to standard output, and odd folders.
# =================================================================================================


def test_a_report_on_standard_output_stands_alone(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    result = run("--report", "-")
    assert result.returncode == 0 and json.loads(result.stdout)["downloaded"] == 1
    assert not (run.folder / "-").exists()


def test_a_tilde_with_an_unknown_user_is_an_ordinary_name(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    assert run("-o", "~nobody at all/photos").returncode == 0
    assert (run.folder / "~nobody at all" / "photos" / "Summer").is_dir()


# =================================================================================================
# Reports, dashes, tildes and options without meaning.
# =================================================================================================


@posix_only
def test_pipes_without_a_reader_are_refused_for_reports(account: Account, run: Run) -> None:
    album = album_with(account, "a.JPG")
    os.mkfifo(str(run.folder / "pipe"))
    result = run("--report", "pipe", timeout=300)
    assert result.returncode != 0 and any("pipe" in line for line in result.stderr.splitlines())
    assert result.returncode == 2 or files_on_disk(run.output) == expected_files(album)


@pytest.mark.parametrize("args", [[], ["--quiet"], ["--verify"]])
def test_a_dash_sends_the_report_to_standard_output(
    account: Account, run: Run, args: List[str]
) -> None:
    album_with(account, "a.JPG")
    told = sync(run, "--report", "-", *args)
    report = json.loads(told.stdout)
    assert report["exit_code"] == 0 and report["downloaded"] == 1
    assert not (run.folder / "-").exists()


def test_a_dash_in_the_environment_sends_the_report_to_standard_output(
    account: Account, run: Run
) -> None:
    album_with(account, "a.JPG")
    assert json.loads(sync(run, env={"SMUGMUG_REPORT": "-"}).stdout)["downloaded"] == 1


@pytest.mark.parametrize(
    "args",
    [
        ["--list", "--report", "x.json"],
        ["--login", "--report", "x.json"],
        ["--logout", "--report", "x.json"],
        ["--login", "-a", "nosuch"],
        ["--logout", "-x", "nosuch"],
        ["--login", "--since", "2024-01-01"],
        ["--list", "--new-record"],
        ["--list", "--rename"],
    ],
    ids=" ".join,
)
def test_options_without_meaning_for_a_task_are_refused(
    account: Account, run: Run, args: List[str]
) -> None:
    album_with(account, "a.JPG")
    refused = sync(run, *args, exit_code=2)
    assert (
        refused.cost == (0, 0)
        and args[0] in refused.stderr
        and args[1].lstrip("-")[0] in refused.stderr
    )
    assert "unrecognized" not in refused.stderr
    assert len(refused.stderr.splitlines()) == 1 and not (run.folder / "x.json").exists()


@pytest.mark.parametrize("task", ["--list", "--login"])
def test_variables_for_runs_hinder_no_other_task(account: Account, run: Run, task: str) -> None:
    album_with(account, "a.JPG")
    env: Dict[str, Optional[str]] = {"SMUGMUG_REPORT": "x.json", "SMUGMUG_ALBUM": "Summer"}
    assert run(task, env=env).returncode == 0


@pytest.mark.parametrize(
    "variable, expected",
    [
        ({"SMUGMUG_ALBUM": "\nSummer\n\n"}, {"Summer/a.JPG"}),
        ({"SMUGMUG_ALBUM": "\n  \n"}, {"Summer/a.JPG", "Winter/b.JPG"}),
        ({"SMUGMUG_EXCLUDE": "\n\nSummer\r\n\n"}, {"Winter/b.JPG"}),
    ],
)
def test_blank_lines_are_no_albums(
    account: Account, run: Run, variable: Dict[str, str], expected: List[str]
) -> None:
    album_with(account, "a.JPG")
    account.album("Winter").photo("b.JPG")
    sync(run, env=dict(variable))
    assert set(files_on_disk(run.output)) == set(expected)


@pytest.mark.parametrize(
    "args, env",
    [(["-o", "~/photos"], {}), (["--output=~/photos"], {}), ([], {"SMUGMUG_OUTPUT": "~/photos"})],
)
def test_a_tilde_stands_for_the_home_folder_without_a_shell(
    account: Account, run: Run, args: List[str], env: Dict[str, str]
) -> None:
    album = album_with(account, "a.JPG")
    sync(run, *args, env=dict(env))
    assert files_on_disk(Path(os.environ["HOME"]) / "photos") == expected_files(album)
    assert not (run.folder / "~").exists()


def test_a_tilde_works_for_reports_and_logs_as_well(account: Account, run: Run) -> None:
    album_with(account, "a.JPG")
    sync(run, "--report", "~/report.json", "--log-file", "~/log.txt")
    home = Path(os.environ["HOME"])
    assert json.loads((home / "report.json").read_text(encoding="utf-8"))["downloaded"] == 1
    assert (home / "log.txt").read_text(encoding="utf-8")
