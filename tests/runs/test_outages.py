"""What counts as an outage, and does a run survive it without anyone attending?"""

from __future__ import annotations

import re
import signal
import sys
import time
from typing import Any, Dict

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import (
    MP4_MAGIC,
    Account,
    FakeSmugMug,
    Pattern,
)
from helpers import (
    A_FEW_LOOKS,
    CUT,
    OUT_OF_REACH,
    PAGE,
    SIZE,
    UNREACHABLE,
    big_photo,
    expected_files,
    files_on_disk,
    fill,
    hide_image_counts,
    of_file,
    of_list,
    part_files,
)

pytestmark = pytest.mark.waits

SHORT = 0.02  # minutes


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
    smugmug.wait_for(lambda: smugmug.count("cdn") >= 2 + jobs)
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
    smugmug.wait_for(lambda: fault.hits >= 4)
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
    smugmug.wait_for(lambda: smugmug.count("cdn") >= 5)
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


# =================================================================================================
# Maintenance of SmugMug.
# =================================================================================================


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


# =================================================================================================
# Revoked sign-ins.
# =================================================================================================


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


# =================================================================================================
# What counts as an outage.
# =================================================================================================


def is_probe(record: Any) -> bool:
    """Return True for a request that only tests if a host is there."""
    return bool(record.headers.get("range") == "bytes=0-0")


def test_outages_that_are_over_at_every_other_probe_end(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    fill(account.album("Summer"), 7)
    smugmug.fault("out_of_service", where="cdn", times=None, after=1, answered_probes=2)

    result = run("-j", 2, "--max-outage", 0.1)

    assert result.returncode == 1 and "6 failed" in result.stderr
    assert result.stderr.count(UNREACHABLE) <= 1
    assert smugmug.count("cdn") < 6 * script.ATTEMPTS + 20


def test_a_single_silent_page_ends_no_run_with_a_short_longest_outage(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    fill(album, 3)
    smugmug.fault("stall", where=of_list(album), before_headers=True)

    result = run("--max-outage", 0.07)

    assert result.returncode == 0, result.stderr
    assert len(files_on_disk(run.output)) == 3


@pytest.mark.parametrize("fault, options", [("reset", {}), ("server_error", {"status": 504})])
@pytest.mark.parametrize("photos, jobs", [(1, 4), (2, 1), (2, 2)])
def test_short_outages_fail_no_files_where_they_are_few(
    account: Account,
    smugmug: FakeSmugMug,
    run: Run,
    fault: str,
    options: Dict[str, Any],
    photos: int,
    jobs: int,
) -> None:
    album = account.album("Summer")
    fill(album, photos)
    outage = smugmug.fault(fault, where="cdn", times=None, **options)
    process = run.start("-j", jobs)
    smugmug.wait_for(lambda: outage.hits > script.ATTEMPTS)  # as often as one file is tried
    smugmug.clear_faults()

    _, stderr = process.communicate(timeout=300)

    assert process.returncode == 0, stderr
    assert files_on_disk(run.output) == expected_files(album)
    assert stderr.count(f"SmugMug's photo host {UNREACHABLE}") == 1
    assert smugmug.count("api", "!authuser") == 1, "another host was probed"


@pytest.mark.parametrize("status", [502, 503, 504])
def test_gateways_without_a_server_are_an_outage(
    account: Account, smugmug: FakeSmugMug, run: Run, status: int
) -> None:
    album = account.album("Summer")
    fill(album, 60)
    outage = smugmug.fault("server_error", where="cdn", times=None, after=10, status=status)
    process = run.start("-j", 8)
    smugmug.wait_for(lambda: outage.hits >= 12)
    smugmug.wait_for(lambda: sum(map(is_probe, smugmug.select("cdn"))) >= 2)
    smugmug.clear_faults()

    _, stderr = process.communicate(timeout=300)

    assert process.returncode == 0, stderr
    assert files_on_disk(run.output) == expected_files(album)
    assert stderr.count(UNREACHABLE) == 1
    assert outage.hits < 8 + script.UNANSWERED_IN_A_ROW + 20


@pytest.mark.parametrize("gives", ["timeout", "server_error"])
def test_gateways_that_give_up_on_long_pages_are_no_outage(
    account: Account, smugmug: FakeSmugMug, run: Run, gives: str
) -> None:
    for number in range(8):
        account.album(f"Album {number}").fill(100, 60)
    hide_image_counts(smugmug)
    smugmug.gateway.give_up_above(60)
    smugmug.gateway.gives = gives

    result = run("-n")

    assert result.returncode == 0 and UNREACHABLE not in result.stderr
    assert "800 to download" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process")
def test_time_that_a_computer_sleeps_is_no_outage(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    fill(album, 4)
    outage = smugmug.fault("server_error", where="cdn", times=None)
    process = run.start("--max-outage", 0.1)
    smugmug.wait_for(lambda: any(map(is_probe, smugmug.select("cdn"))))
    process.send_signal(signal.SIGSTOP)
    time.sleep(7)
    smugmug.clear_faults()
    process.send_signal(signal.SIGCONT)

    _, stderr = process.communicate(timeout=300)

    assert process.returncode == 0 and outage.hits, stderr
    assert files_on_disk(run.output) == expected_files(album)
