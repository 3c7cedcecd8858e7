"""Does the run continue on odd computers and with odd dates, or say what is wrong?"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

from conftest import SCRIPT, Result, Run, SmallDisk
from fake_smugmug import Account, FakeSmugMug
from helpers import (
    NOTHING_NEW,
    RECORD,
    album_with,
    broken_python,
    edit,
    expected_files,
    files_on_disk,
    posix_only,
    run_unchanged,
    snapshot,
    sync,
)

linux_only = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux has /dev/full"
)


# =================================================================================================
# Odd dates and unexpected errors.
# =================================================================================================


@pytest.mark.parametrize(
    "date",
    [
        "0000-00-00T00:00:00+00:00",
        "0001-01-01T00:00:00+00:00",
        "1601-01-01T00:00:00+00:00",
        "1901-01-01T00:00:00+00:00",
        "2300-06-01T12:00:00+00:00",
        "2446-06-01T12:00:00+00:00",
        "9999-12-31T23:59:59+00:00",
    ],
)
def test_photos_with_odd_dates_are_downloaded(
    account: Account, smugmug: FakeSmugMug, run: Run, date: str
) -> None:
    album = album_with(account, "taken.JPG", "uploaded.JPG", "both.JPG", "both.mp4")

    def odd(answer: Dict[str, Any]) -> Dict[str, Any]:
        for entry in answer["Response"]["AlbumImage"]:
            if not entry["FileName"].startswith("uploaded"):
                entry["DateTimeOriginal"] = date
            if not entry["FileName"].startswith("taken"):
                entry["DateTimeUploaded"] = date
        return answer

    smugmug.fault("mangle", f"/album/{album.key}!images", times=None, function=odd)
    assert sync(run, "--sidecar", "xmp,json").downloads == 4
    assert expected_files(album).items() <= files_on_disk(run.output).items()
    assert sync(run).cost == NOTHING_NEW
    assert "4 intact" in sync(run, "--verify").stderr


# Every way of naming a file fails for one of them with an unexpected error.
NO_NAME_FOR_BROKEN = """
    import os

    def refusing(function):
        def refuse(source, target, *args, **kwargs):
            if os.fspath(target).endswith("broken.JPG"):
                raise ArithmeticError("nobody expects this")
            return function(source, target, *args, **kwargs)
        return refuse

    for name in ("replace", "rename", "link"):
        setattr(os, name, refusing(getattr(os, name)))
"""


def test_unexpected_errors_fail_one_image_and_ask_for_a_report(
    account: Account, run: Run, tmp_path: Path
) -> None:
    album = album_with(account, "a.JPG", "broken.JPG", "c.JPG")
    broken = sync(run, exit_code=1, env=broken_python(tmp_path / "broken", NO_NAME_FOR_BROKEN))
    line = next(line for line in broken.stderr.splitlines() if "Summer/broken.JPG" in line)
    assert "ArithmeticError" in line and "nobody expects this" in line and "report" in line
    assert "2 downloaded" in broken.stderr
    assert set(files_on_disk(run.output)) == {"Summer/a.JPG", "Summer/c.JPG"}
    assert sync(run).downloads <= 1
    assert files_on_disk(run.output) == expected_files(album)


# =================================================================================================
# Computers short of space, threads or time.
# =================================================================================================


def assert_previewed_or_explained(result: Result, temporary: str) -> None:
    """Check that a preview succeeded or named the temporary folder as the cause."""
    if result.returncode == 0:
        assert "To download: 1 file" in result.stdout
    else:
        # 1: the disk is full, as in a run
        assert result.returncode in (1, 2) and temporary in result.stderr


def test_previews_cope_with_a_missing_temporary_folder(
    account: Account, run: Run, tmp_path: Path
) -> None:
    album = album_with(account, "a.JPG")
    sync(run)
    album.photo("b.JPG")
    missing = tmp_path / "missing"
    env = broken_python(
        tmp_path / "broken", f"import tempfile; tempfile.tempdir = {str(missing)!r}"
    )
    assert_previewed_or_explained(run("--dry-run", env=env), str(missing))


def test_previews_cope_with_a_full_temporary_folder(
    account: Account, run: Run, small_disk: SmallDisk
) -> None:
    album = account.album("Winter")
    album.fill(400, 10)
    sync(run)
    assert (run.output / RECORD).stat().st_size > 30_000
    account.album("Summer").photo("a.JPG")
    tiny = small_disk.mount(size_bytes=2 * 4096)
    assert_previewed_or_explained(run("--dry-run", env={"TMPDIR": str(tiny)}), str(tiny))
    assert list(tiny.iterdir()) == []


FEW_THREADS = """
    import threading

    real_start = threading.Thread.start

    def start(self):
        if threading.active_count() >= %d:
            raise RuntimeError("can't start new thread")
        real_start(self)

    threading.Thread.start = start
"""


@pytest.mark.parametrize("threads", [4, 8])
def test_runs_continue_with_as_many_threads_as_allowed(
    account: Account, run: Run, tmp_path: Path, threads: int
) -> None:
    for name in ("Spring", "Summer", "Autumn"):
        album = account.album(name)
        for number in range(5):
            album.photo(f"{number}.JPG")
    env = broken_python(tmp_path / "broken", FEW_THREADS % threads)
    sync(run, env=env)
    assert files_on_disk(run.output) == expected_files(*account.albums)
    for path in run.output.glob("*/1.JPG"):
        edit(path, keep_time=True)
    sync(run, "--verify", env=env)
    assert expected_files(*account.albums).items() <= files_on_disk(run.output).items()


CLOCK_STEPS_BACK = """
    import os, time

    real_time = time.time
    time.time = lambda: real_time() - (200 if os.path.exists({flag!r}) else 0)
"""


def test_durations_are_never_negative_when_the_clock_steps_back(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    album_with(account, "a.JPG", "b.JPG")
    flag = tmp_path / "now"

    def step(answer: Dict[str, Any]) -> Dict[str, Any]:
        flag.touch()
        return answer

    smugmug.fault("mangle", "!images", function=step)
    env = broken_python(tmp_path / "broken", CLOCK_STEPS_BACK.format(flag=str(flag)))
    told = sync(run, "--report", "report.json", env=env)
    assert not re.search(r"-[0-9]", told.stderr.replace(str(tmp_path), ""))
    report = json.loads((run.folder / "report.json").read_text(encoding="utf-8"))
    assert report["seconds"] >= 0 and report["finished"] >= report["started"]


# =================================================================================================
# Damaged records and leftovers.
# =================================================================================================

NO_NAME = "UPDATE file SET name = CAST(X'ff2e4a5047' AS TEXT) WHERE name = 'a.JPG'"


@pytest.mark.parametrize(
    "statement, args",
    [
        (NO_NAME, []),
        (NO_NAME, ["--verify"]),
        (NO_NAME, ["--dry-run"]),
        (NO_NAME, ["--list-removed", "--full"]),
        ("UPDATE file SET md5 = CAST(X'ff' AS TEXT)", []),
        ("UPDATE album SET folder = CAST(X'53ff' AS TEXT)", []),
        ("UPDATE album SET clocks = X'ff'", []),
    ],
)
def test_records_with_broken_text_are_rebuilt_without_downloads(
    account: Account, run: Run, statement: str, args: List[str]
) -> None:
    album = album_with(account, "a.JPG", "b.JPG")
    sync(run)
    with closing(sqlite3.connect(str(run.output / RECORD))) as database:
        database.execute(statement)
        database.commit()
    assert sync(run, *args).downloads == 0
    assert files_on_disk(run.output) == expected_files(album)
    assert sync(run).downloads == 0
    assert sync(run).cost == NOTHING_NEW


def test_dry_runs_count_files_known_to_be_damaged(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album_with(account, "a.JPG", "b.JPG")
    sync(run)
    edit(run.output / "Summer" / "a.JPG", keep_time=True)
    smugmug.fault("not_found", "cdn", times=None)
    sync(run, "--verify", exit_code=1)
    smugmug.clear_faults()
    preview = run_unchanged(run, "--dry-run")
    assert "To download: 1 file" in preview.stdout
    assert sync(run).downloads == 1


# =================================================================================================
# Destinations of results.
# =================================================================================================


@linux_only
@pytest.mark.parametrize("args", [["--list-removed"], ["--list-removed", "--dry-run"]])
def test_unencodable_names_prevent_neither_summary_nor_report(
    account: Account, run: Run, args: List[str]
) -> None:
    album = album_with(account, "a.JPG", "b.JPG")
    sync(run)
    album.remove(album.images[0])
    sync(run)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, str(SCRIPT), *args, "--report", "report.json"],
            env=run.environment(),
            cwd=str(run.folder),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert (
        "No longer on SmugMug: 1 file" in done.stderr
        and "Cannot write to standard output" in done.stderr
    )
    report = json.loads((run.folder / "report.json").read_text(encoding="utf-8"))
    assert report["exit_code"] == 1


def as_it_is(path: Path) -> str:
    """Return the record's own path."""
    return str(path)


def by_a_detour(path: Path) -> str:
    """Return the record's path with a detour."""
    return str(path.parent / ".." / path.parent.name / path.name)


def by_a_link(path: Path) -> str:
    """Return a symbolic link to the record."""
    link = path.parent.with_name("link")
    link.symlink_to(path)
    return str(link)


def by_a_hard_link(path: Path) -> str:
    """Return a second name of the record."""
    link = path.parent.with_name("link")
    os.link(str(path), str(link))
    return str(link)


def beside_it(path: Path) -> str:
    """Return the path of the record's journal."""
    return str(path) + "-journal"


@posix_only
@pytest.mark.parametrize(
    "option, way, is_there",
    [
        *(
            ("--report", way, True)
            for way in (as_it_is, by_a_detour, by_a_link, by_a_hard_link, beside_it)
        ),
        *(("--report", way, False) for way in (as_it_is, by_a_link)),
        ("--log-file", as_it_is, True),
        ("--log-file", as_it_is, False),
    ],
)
def test_writing_over_the_record_is_refused_before_the_run(
    account: Account, run: Run, option: str, way: Callable[[Path], str], is_there: bool
) -> None:
    album_with(account, "a.JPG")
    if is_there:
        sync(run)
    else:
        run.output.mkdir()
    path = way(run.output / RECORD)
    before = snapshot(run.output)
    refused = sync(run, option, path, exit_code=2)
    assert option in refused.stderr and refused.cost == (0, 0)
    assert snapshot(run.output) == before


# =================================================================================================
# Clocks.
# =================================================================================================


@pytest.mark.parametrize("hours", [-20, 3])
@pytest.mark.parametrize("begins", ["from the start", "in the middle"])
def test_a_clock_off_by_hours_does_no_harm(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path, hours: int, begins: str
) -> None:
    for number in range(5):
        account.album(f"Album {number}").photo()
    sign = tmp_path if begins == "from the start" else run.output / RECORD
    python = broken_python(
        tmp_path / "python",
        f"""
        import os, time
        true_time = time.time
        time.time = lambda: true_time() + {hours} * 3600 * os.path.exists({str(sign)!r})
    """,
    )

    result = run("-v", env=python)

    assert result.returncode == 0 and files_on_disk(run.output) == expected_files(*account.albums)
    refused = [record for record in smugmug.requests if record.status == 401]
    # one for each that was running
    assert 1 <= len(refused) <= 16 and "timestamp_refused" in result.stderr


def test_a_clock_that_steps_leaves_no_trace_in_the_record(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    for number in range(5):
        account.album(f"Album {number}").photo()
    python = broken_python(
        tmp_path / "python",
        """
        import itertools, time
        true_time, steps = time.time, itertools.count()
        time.time = lambda: true_time() - 37 * next(steps) % 240
    """,
    )
    began = time.time()

    result = run(env=python)

    assert result.returncode == 0 and files_on_disk(run.output) == expected_files(*account.albums)
    with closing(sqlite3.connect(str(run.output / RECORD))) as db:
        listed = [at for (at,) in db.execute("SELECT listed_at FROM album")]
    assert len(listed) == 5 and all(began - 2 <= at <= time.time() + 2 for at in listed)
