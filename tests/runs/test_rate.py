"""The speed of downloads: a limit for it, the time that is left, and previews that foretell it."""

from __future__ import annotations

import re
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from types import SimpleNamespace
from typing import Any, List

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import JPEG_MAGIC, Account, FakeSmugMug, Pattern
from helpers import part_files, stop, sync

MB = 1_000_000


@pytest.mark.parametrize("jobs", [[], ["-j", "8"], ["-j", "1"]], ids=["adapts", "8", "1"])
def test_all_downloads_together_stay_below_the_limit(
    account: Account, run: Run, jobs: Any
) -> None:
    album = account.album("Summer")
    for number in range(8):
        album.photo(content=Pattern(300_000, number, JPEG_MAGIC))
    began = time.monotonic()
    sync(run, "--limit-rate", "600k", *jobs)
    assert time.monotonic() - began > 8 * 300_000 / (600 * 1024) * 0.9


def test_pieces_of_all_downloads_wait_in_one_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: List[float] = []
    waiter: Any = SimpleNamespace(pause=waits.append)
    limit = script.RateLimit(1000.0, waiter)
    monkeypatch.setattr(time, "monotonic", lambda: 50.0)
    assert not limit.is_reached()
    for _ in range(4):
        limit.hold(500)
    assert waits == pytest.approx([0.4, 0.9, 1.4, 1.9])
    assert limit.is_reached()


@pytest.mark.waits
def test_downloads_that_wait_for_the_limit_are_not_stalled(account: Account, run: Run) -> None:
    album = account.album("Summer")
    for number in range(8):
        album.photo(content=Pattern(2_000, number, JPEG_MAGIC))
    # each waits 8 s for its second half
    result = sync(run, "-j", "8", "--limit-rate", "1k", "--timeout", "4", "-v")
    assert "almost no data" not in result.stderr and "8 downloaded" in result.stderr


def test_an_interrupt_is_heard_while_downloads_wait_for_the_limit() -> None:
    interrupt = script.Stop()
    limit = script.RateLimit(1.0, interrupt)
    interrupt.set()
    with pytest.raises(script.Stopped):
        limit.hold(1_000_000)


@pytest.mark.parametrize(
    "text, rate",
    [
        ("200000", 200_000.0),
        ("500k", 512_000.0),
        ("1.5M", 1.5 * 1024**2),
        ("2m", 2.0 * 1024**2),
        ("1G", 1024.0**3),
    ],
)
def test_rates_are_read_as_curl_reads_them(text: str, rate: float) -> None:
    assert script.parse_rate(text) == rate


@pytest.mark.parametrize("text", ["0", "-1", "k", "5x", "fast", "1e6", "0.0k"])
def test_other_rates_are_refused(run: Run, text: str) -> None:
    result = run(f"--limit-rate={text}")
    assert result.returncode == 2 and "is not a rate" in result.stderr


def test_a_preview_tells_how_long_the_run_will_take(account: Account, run: Run) -> None:
    album = account.album("Summer")
    album.photo(content=Pattern(200_000, 1, JPEG_MAGIC))
    assert "at the speed of the last run" not in sync(run, "--dry-run").stderr
    sync(run)
    assert "at the speed of the last run" not in sync(run, "--dry-run").stderr
    album.photo(content=Pattern(400_000, 2, JPEG_MAGIC))
    preview = sync(run, "--dry-run")
    assert "This takes " in preview.stderr and "at the speed of the last run" in preview.stderr
    slow = sync(run, "--dry-run", "--limit-rate", "1k").stderr
    assert "This takes about 6 min 31 s" in slow
    with closing(sqlite3.connect(str(run.output / ".smugmug.sqlite3"))) as database, database:
        database.execute("UPDATE account SET bytes_per_second = 1e9")
    assert "This takes less than a second at the speed" in sync(run, "--dry-run").stderr


def test_small_runs_do_not_change_the_speed_that_previews_use(account: Account, run: Run) -> None:
    album = account.album("Summer")
    album.photo(content=Pattern(11 * MB, 1, JPEG_MAGIC))
    sync(run)
    album.photo(content=Pattern(500 * MB, 2, JPEG_MAGIC))
    before = sync(run, "--dry-run").stderr
    account.album("Winter").photo(content=Pattern(100, 3, JPEG_MAGIC))
    sync(run, "--album", "Winter")
    after = sync(run, "--dry-run", "--album", "Summer").stderr
    told = re.findall("This takes .*", before)
    assert len(told) == 1 and re.findall("This takes .*", after) == told


def summary_of(**values: Any) -> Any:
    """Return a summary of a run that has begun a second ago."""
    summary = script.Summary()
    summary.began = time.monotonic() - 1.0
    for name, value in values.items():
        setattr(summary, name, value)
    return summary


def line_of(summary: Any, received_bytes: int, columns: int = 200) -> str:
    """Return the progress line."""
    return script.progress_line(summary, received_bytes, columns)


def visit_with(pending: int) -> Any:
    """Return an album with this many images that have no result yet."""
    return SimpleNamespace(pending=pending)


def test_the_time_left_follows_the_bytes_and_their_speed_lately(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    summary = summary_of(
        images_expected=10,
        planned_images=10,
        planned_bytes=7300 * MB,
        visits={"K": visit_with(10)},
    )
    line_of(summary, 0)
    for _ in range(100):
        now += 1.0
        line_of(summary, int((now - 1000.0) * 10 * MB))
    line = line_of(summary, 1000 * MB)
    assert line.startswith("13%, 10 min 30 s left, 0/10 files, 1.0 of 7.3 GB, ")
    assert line.endswith("10.0 MB/s")
    for _ in range(40):  # a slower connection shows within half a minute
        now += 1.0
        line = line_of(summary, int(1000 * MB + (now - 1100.0) * MB))
    assert "1.0 MB/s" in line and "1 h 44 min left" in line


def test_a_large_file_shows_that_it_moves_in_a_narrow_terminal() -> None:
    summary = summary_of(
        images_expected=1, planned_images=1, planned_bytes=800 * MB, visits={"K": visit_with(1)}
    )
    line_of(summary, 0)
    lines = {line_of(summary, received * MB, 37) for received in (10, 100, 200)}
    assert len({line.split("%")[0] for line in lines}) == 3


@pytest.mark.parametrize("waiting", ["waiting for SmugMug: 12 s", "SmugMug: unreachable since 1"])
def test_no_time_left_is_shown_during_waits_nor_do_waits_slow_it_down(
    monkeypatch: pytest.MonkeyPatch, waiting: str
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    summary = summary_of(
        images_expected=10,
        planned_images=10,
        planned_bytes=1000 * MB,
        visits={"K": visit_with(10)},
    )
    line_of(summary, 0)
    now += 10.0
    assert "1 min 30 s left" in line_of(summary, 100 * MB)
    summary.waiting = waiting
    for _ in range(20):
        now += 10.0
        line = line_of(summary, 100 * MB)
        assert line.startswith(waiting) and " left" not in line and "/s" not in line
    summary.waiting = ""
    now += 1.0
    assert "1 min 29 s left" in line_of(summary, 110 * MB)


def test_images_that_are_not_listed_yet_count_like_the_average() -> None:
    summary = summary_of(
        images_expected=100,
        planned_images=10,
        planned_bytes=10 * MB,
        finished_bytes=5 * MB,
        downloaded_bytes=5 * MB,
        visits={"K": visit_with(5)},
        counts=Counter({script.Result.DOWNLOADED: 5}),
    )
    assert script.bytes_left(summary, 5 * MB) == 95 * MB
    assert script.bytes_left(summary, 6 * MB) == 94 * MB


@pytest.mark.parametrize(
    "part, total, text",
    [
        (2000 * MB, 7300 * MB, "2.0 of 7.3 GB"),
        (210 * MB, 1200 * MB, "210 MB of 1.2 GB"),
        (0, 5 * MB, "0 B"),
        (5 * MB, 5 * MB, "5.0 MB"),
    ],
)
def test_parts_of_sizes_are_told_in_one_unit(part: int, total: int, text: str) -> None:
    assert script.part_of_bytes(part, total) == text


def test_unfinished_files_count_in_the_summary_as_on_the_progress_line(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = account.album("Summer").photo(content=Pattern(2 * MB, 1, JPEG_MAGIC))
    stall = smugmug.fault("stall", f"/i-{photo.key}/", after_bytes=1_600_000)
    process = run.start()
    assert stall.reached.wait(300)
    deadline = time.monotonic() + 300
    while not any(path.stat().st_size > 1_200_000 for path in part_files(run)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    told = stop(process, signal.SIGINT)
    assert re.search(r"^1\.[2-6] MB in ", told, re.MULTILINE), told
