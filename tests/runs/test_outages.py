"""Does a run survive outages, maintenance and revoked sign-ins without anyone attending?"""

from __future__ import annotations

import re
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Dict

import pytest

from conftest import Run
from fake_smugmug import (
    JPEG_MAGIC,
    MP4_MAGIC,
    Account,
    Album,
    Authority,
    FakeSmugMug,
    Image,
    Line,
    Pattern,
)
from helpers import (
    RECORD,
    broken_python,
    expected_files,
    files_on_disk,
    of_file,
    of_list,
    part_files,
    stop,
)

pytestmark = pytest.mark.waits

SIZE = 600_000
CUT = 400_000
A_FEW_LOOKS = 5  # failed connections: as many as one file is tried, two of them probes
SHORT = 0.02  # minutes
OUT_OF_REACH = "has been unreachable since"


def big_photo(album: Album, name: str) -> Image:
    """Add a photo larger than two pieces of a body."""
    return album.photo(name, Pattern(SIZE, album.account.new_seed(), JPEG_MAGIC))


def be_away_for_a_while(smugmug: FakeSmugMug) -> None:
    """Be unreachable until a run has probed a few times."""
    smugmug.go_away()
    smugmug.wait_for(lambda: smugmug.turned_away >= A_FEW_LOOKS)
    smugmug.come_back()


# =================================================================================================
# Network outages.
# =================================================================================================


@pytest.mark.parametrize("jobs", [1, 8])
def test_downloads_resume_after_an_outage(
    account: Account, smugmug: FakeSmugMug, run: Run, jobs: int
) -> None:
    album = account.album("Summer")
    for number in range(20):
        big_photo(album, f"IMG_{number}.JPG")
    smugmug.fault("stall", where="cdn", times=jobs, after=2, after_bytes=CUT)
    process = run.start("-j", jobs)
    smugmug.wait_for(lambda: smugmug.count("cdn") == 2 + jobs)
    be_away_for_a_while(smugmug)

    _, stderr = process.communicate(timeout=300)

    assert process.returncode == 0, stderr
    assert files_on_disk(run.output) == expected_files(album) and not part_files(run)
    assert (
        stderr.count(OUT_OF_REACH) == 1 and "Failed (" not in stderr and "20 downloaded" in stderr
    )
    sent = sum(record.bytes_sent for record in smugmug.select("cdn"))
    assert 20 * SIZE <= sent < 20 * SIZE + jobs * CUT  # otherwise each part was downloaded again


def test_a_single_video_survives_an_outage(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = big_photo(account.album("Summer"), "IMG_1.JPG")
    fault = smugmug.fault("stall", where="cdn", after_bytes=CUT)
    process = run.start()
    assert fault.reached.wait(300)
    be_away_for_a_while(smugmug)

    _, stderr = process.communicate(timeout=300)

    assert process.returncode == 0 and files_on_disk(run.output) == {
        "Summer/IMG_1.JPG": photo.data
    }
    assert stderr.count(OUT_OF_REACH) == 1


def test_a_video_without_md5_resumes_after_an_outage(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    video = account.album("Summer").video(
        "clip.MOV", Pattern(SIZE, account.new_seed(), MP4_MAGIC), md5_listed=False
    )
    smugmug.fault("stall", where="cdn", after_bytes=CUT)
    process = run.start()
    deadline = time.monotonic() + 300
    while not any(part.stat().st_size for part in part_files(run)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    be_away_for_a_while(smugmug)

    _, stderr = process.communicate(timeout=300)

    assert process.returncode == 0, stderr
    assert files_on_disk(run.output) == {"Summer/clip.mp4": video.data}
    last = smugmug.select("cdn", of_file(video))[-1]
    assert re.fullmatch("bytes=[1-9][0-9]*-", last.headers.get("range", ""))


def test_listings_survive_an_outage(account: Account, smugmug: FakeSmugMug, run: Run) -> None:
    for number in range(12):
        account.album(f"Album {number}").photo()
    fault = smugmug.fault("stall", where="!images", times=4, before_headers=True)
    process = run.start()
    smugmug.wait_for(lambda: fault.hits == 4)
    be_away_for_a_while(smugmug)

    _, stderr = process.communicate(timeout=300)

    assert process.returncode == 0, stderr
    assert files_on_disk(run.output) == expected_files(*account.albums)
    assert "could not be listed" not in stderr and stderr.count(OUT_OF_REACH) == 1


def test_an_outage_during_a_requested_wait_is_survived(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    for number in range(8):
        album.photo(f"IMG_{number}.JPG")
    smugmug.fault("rate_limited", where="cdn", after=1, retry_after="1")
    smugmug.fault("stall", where="cdn", times=None, after=1, before_headers=True)
    process = run.start()
    smugmug.wait_for(lambda: any(record.status == 429 for record in smugmug.select("cdn")))
    smugmug.go_away()
    smugmug.clear_faults()
    smugmug.wait_for(lambda: smugmug.turned_away >= A_FEW_LOOKS)
    smugmug.come_back()

    _, stderr = process.communicate(timeout=300)

    assert process.returncode == 0, stderr
    assert files_on_disk(run.output) == expected_files(album)
    assert stderr.count("waiting 1 s") == stderr.count(OUT_OF_REACH) == 1


def test_a_lasting_outage_of_the_photo_host_fails_its_files_and_the_next_run_completes(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    for number in range(9):
        big_photo(album, f"IMG_{number}.JPG")
    smugmug.fault("stall", where="cdn", times=None, after=1, after_bytes=CUT)
    process = run.start("-j", 4, "--max-outage", SHORT)
    smugmug.wait_for(lambda: smugmug.count("cdn") == 5)
    smugmug.wait_for(
        lambda: (
            sum(
                record.status == 200 and record.bytes_sent == SIZE
                for record in smugmug.select("cdn")
            )
            == 1
        )
    )
    smugmug.go_away()

    _, stderr = process.communicate(timeout=300)

    assert process.returncode == 1
    assert "SmugMug's photo host was unreachable for 0.02 minutes (" in stderr
    assert "8 failed" in stderr and "Failed (8):" in stderr and "1 of 9" in stderr
    parts = len(part_files(run))
    assert 1 <= parts <= 4

    smugmug.come_back()
    smugmug.clear_faults()
    smugmug.clear_requests()
    assert run().returncode == 0 and files_on_disk(run.output) == expected_files(album)
    assert sum("range" in record.headers for record in smugmug.select("cdn")) == parts


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals to other processes")
def test_interrupts_end_the_wait_for_the_network(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    for number in range(9):
        big_photo(album, f"IMG_{number}.JPG")
    smugmug.fault("stall", where="cdn", times=None, after=1, after_bytes=CUT)
    process = run.start("-j", 4)
    smugmug.wait_for(lambda: smugmug.count("cdn") == 5)
    smugmug.go_away()
    smugmug.wait_for(lambda: smugmug.turned_away >= A_FEW_LOOKS)

    stderr = stop(process, signal.SIGINT)

    assert process.returncode == 130 and "Files: " in stderr and "Interrupted" in stderr
    assert OUT_OF_REACH in stderr and part_files(run)


@pytest.mark.parametrize("name, options", [("reset", {}), ("server_error", {})])
def test_files_without_a_response_fail_alone(
    account: Account, smugmug: FakeSmugMug, run: Run, name: str, options: Dict[str, Any]
) -> None:
    album = account.album("Summer")
    lost, sound = album.photo("lost.JPG"), album.photo("sound.JPG")
    smugmug.fault(name, where=of_file(lost), times=None, **options)

    for expected in (1, 1):  # the second run has nothing else to do
        smugmug.clear_requests()
        result = run("-j", 1)
        assert result.returncode == expected and "1 failed" in result.stderr
        assert OUT_OF_REACH not in result.stderr and smugmug.count("cdn", of_file(lost)) == 5
    assert files_on_disk(run.output) == {"Summer/sound.JPG": sound.data}


# =================================================================================================
# Maintenance of SmugMug.
# =================================================================================================

WORKERS = 8


def test_all_workers_obey_a_503_with_retry_after(
    account: Account, ca: Authority, tmp_path: Path
) -> None:
    album = account.album("Busy")
    for number in range(2 * WORKERS):
        album.photo(f"IMG_{number}.JPG")
    with FakeSmugMug(account, ca, Line(file_latency_seconds=0.7)) as smugmug:
        smugmug.fault("server_error", where="cdn", times=WORKERS, retry_after="2")

        result = Run(smugmug, tmp_path)("-j", WORKERS)

        assert result.returncode == 0
        assert result.stderr.count("waiting 2 s") == 1
        refused, served = (
            [record.time_monotonic for record in smugmug.select("cdn") if record.status == status]
            for status in (503, 200)
        )
        assert len(refused) == WORKERS and len(served) == 2 * WORKERS
        assert min(served) >= max(refused) + 2  # no request in between


def test_503_to_everything_counts_as_an_outage(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    for number in range(30):
        big_photo(album, f"IMG_{number}.JPG")
    smugmug.fault("server_error", where=".", times=None, after=12)
    process = run.start("-j", 4)
    smugmug.wait_for(lambda: sum(record.status == 503 for record in smugmug.requests) >= 8)
    smugmug.clear_faults()

    _, stderr = process.communicate(timeout=300)

    assert process.returncode == 0, stderr
    assert files_on_disk(run.output) == expected_files(album) and stderr.count(OUT_OF_REACH) == 1


def test_503_to_everything_for_too_long_fails_the_files_that_are_left(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    for number in range(30):
        album.photo(f"IMG_{number}.JPG")
    smugmug.fault("server_error", where=".", times=None, after=12)
    result = run("-j", 4, "--max-outage", SHORT)
    assert result.returncode == 1 and "SmugMug returned HTTP 503" in result.stderr
    assert "SmugMug's photo host was unreachable for 0.02 minutes (" in result.stderr
    assert re.search("[0-9]+ failed", result.stderr)


def test_downloads_continue_while_the_api_waits(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    for album in (account.album("Summer"), account.album("Winter")):  # one of them is listed first
        for number in range(9):
            big_photo(album, f"IMG_{number}.JPG")
    refusal = smugmug.fault("rate_limited", where="!images", after=1, retry_after="3600")
    held = smugmug.fault("stall", where="cdn", seconds=1, before_headers=True)
    process = run.start("-j", 1)
    assert refusal.reached.wait(300) and held.reached.wait(300)
    smugmug.wait_for(
        lambda: sum(record.bytes_sent == SIZE for record in smugmug.select("cdn")) == 9
    )

    stderr = stop(process, signal.SIGINT)

    assert "waiting 3600 s." in stderr and process.returncode == 130


# =================================================================================================
# Revoked sign-ins.
# =================================================================================================

PAGE: Dict[str, Any] = {
    "headers": {"Content-Type": "text/html"},
    "body": b"<html>Who are you?</html>",
}


@pytest.mark.parametrize("where", ["cdn", "!images"])
def test_revoking_the_sign_in_ends_the_run_with_one_line(
    account: Account, smugmug: FakeSmugMug, run: Run, where: str
) -> None:
    for number in range(3):
        account.album(f"Album {number}").fill(30, 60)
    smugmug.fault("respond", where=where, times=None, status=401, **PAGE)
    smugmug.fault("respond", where="!authuser", times=None, after=1, status=401, **PAGE)

    result = run("-j", 4)

    assert result.returncode == 3
    assert result.stderr.count("probably revoked") == 1 and "Failed (" not in result.stderr
    assert smugmug.count(None, where) <= 8  # only what was running


def test_revoking_the_sign_in_between_pages_is_no_interruption(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.album("Short").fill(90, 600_000)  # while these run
    long = account.album("Long")
    long.fill(900, 60)
    smugmug.fault(
        "respond", where=of_list(long) + ".*start=[2-9]01", times=None, status=401, **PAGE
    )
    smugmug.fault("respond", where="!authuser", times=None, after=1, status=401, **PAGE)

    result = run("-j", 4)

    assert result.returncode == 3 and "Interrupted" not in result.stderr
    assert result.stderr.count("probably revoked") == 1


def test_a_401_for_one_file_fails_only_that_file(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    lost, sound = album.photo("lost.JPG"), album.photo("sound.JPG")
    smugmug.fault("respond", where=of_file(lost), times=None, status=401, **PAGE)

    result = run()

    assert result.returncode == 1 and "Summer/lost.JPG: SmugMug returned HTTP 401" in result.stderr
    assert files_on_disk(run.output) == {"Summer/sound.JPG": sound.data}
    assert smugmug.count("cdn", of_file(lost)) == 1 and smugmug.count("api", "!authuser") == 2


# =================================================================================================
# Bodies that do not end.
# =================================================================================================


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_trickling_downloads_are_aborted_and_resumed(
    account: Account, smugmug: FakeSmugMug, run: Run, framing: str
) -> None:
    photo = big_photo(account.album("Summer"), "IMG_1.JPG")
    smugmug.fault(
        "trickle", where="cdn", seconds=0.3, after_bytes=CUT, chunked=framing == "chunked"
    )

    result = run("--timeout", 1, timeout=300)

    assert result.returncode == 0 and files_on_disk(run.output) == {"Summer/IMG_1.JPG": photo.data}
    first, second = smugmug.select("cdn")
    assert CUT <= first.bytes_sent < CUT + 100 and second.status == 206


def test_trickling_lists_and_refusals_are_requested_again(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    photo = album.photo()
    smugmug.fault("trickle", where="!authuser", seconds=0.3)
    smugmug.fault("trickle", where=of_list(album), seconds=0.3, after_bytes=100)
    smugmug.fault("trickle", where="cdn", seconds=0.3, status=404)

    result = run("--timeout", 1, timeout=300)

    assert result.returncode == 0 and files_on_disk(run.output) == {"Summer/IMG_1.JPG": photo.data}
    assert (
        smugmug.count("cdn")
        == smugmug.count("api", "!images")
        == smugmug.count("api", "!authuser")
        == 2
    )


@pytest.mark.skipif(
    not sys.platform.startswith("linux"),
    reason="only Linux tells so simply what memory a run took",
)
def test_huge_compressed_responses_are_refused_in_little_memory(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    album, sound = account.album("Huge"), account.album("Sound")
    album.photo()
    sound.photo()
    smugmug.fault("inflated", where=of_list(album), times=None, megabytes=300)
    told = tmp_path / "memory"
    python = broken_python(
        tmp_path / "python",
        f"""
        import atexit
        atexit.register(lambda: open({str(told)!r}, "w").write(open("/proc/self/status").read()))
    """,
    )

    result = run(env=python)

    assert result.returncode == 1 and "SmugMug's response is larger than 16 MB" in result.stderr
    assert files_on_disk(run.output) == expected_files(sound)
    peak = re.search(r"VmHWM:\s+([0-9]+) kB", told.read_text(encoding="utf-8"))
    assert peak is not None and int(peak.group(1)) < 200_000


# =================================================================================================
# Clocks and closed terminals.
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
