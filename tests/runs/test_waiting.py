"""Is no wait longer than needed, or than --max-outage, and does one wait delay only its own?"""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path
from typing import Any, Dict, List

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import (
    JPEG_MAGIC,
    Account,
    Authority,
    FakeSmugMug,
    Line,
    Pattern,
)
from helpers import (
    GIVEN_UP,
    SHORT,
    SIZE,
    UNREACHABLE,
    big_photo,
    broken_python,
    expected_files,
    files_on_disk,
    fill,
    of_file,
    of_list,
    serve_from,
    stop,
)

pytestmark = pytest.mark.waits

MEGA = 1_000_000


# =================================================================================================
# Waits that would never end.
# =================================================================================================


def test_lines_that_cut_each_download_at_the_same_byte_are_given_up(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    large = album.photo("large.JPG", Pattern(4 * MEGA, 1, JPEG_MAGIC))
    small = album.photo("small.JPG")
    smugmug.fault("cut_without_range", where=of_file(large), times=None, at=2 * MEGA)

    result = run()

    assert result.returncode == 1 and "large.JPG: The connection to" in result.stderr
    assert files_on_disk(run.output) == {"Summer/small.JPG": small.data}
    assert smugmug.count("cdn", of_file(large)) == script.ATTEMPTS


def test_lines_that_cut_each_download_a_little_later_are_good_enough(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = account.album("Summer").photo("large.JPG", Pattern(2 * MEGA, 1, JPEG_MAGIC))
    smugmug.fault("cut", where="cdn", times=7, at=250_000)
    assert run().returncode == 0
    assert files_on_disk(run.output) == {"Summer/large.JPG": photo.data}
    assert smugmug.count("cdn") == 8


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "999999999"},
        {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"},
        {"X-RateLimit-Reset": "253402300799", "Retry-After": ""},
    ],
    ids=["seconds", "date", "reset"],
)
@pytest.mark.parametrize("where", ["cdn", "!images"])
def test_waits_of_years_are_cut_to_the_longest_outage(
    account: Account,
    smugmug: FakeSmugMug,
    run: Run,
    status: int,
    headers: Dict[str, str],
    where: str,
) -> None:
    fill(account.album("Summer"), 3)
    smugmug.fault("respond", where=where, times=None, status=status, headers=headers)

    result = run("--max-outage", SHORT)

    assert result.returncode == 1 and GIVEN_UP in result.stderr
    assert result.stderr.count("; waiting 1 s.") == 1
    if where == "cdn":
        assert "3 failed" in result.stderr
    else:
        assert "SmugMug was unreachable" in result.stderr and "not tried" in result.stderr


def test_heads_that_drip_are_cut(account: Account, smugmug: FakeSmugMug, run: Run) -> None:
    album = account.album("Summer")
    photo = album.photo()
    for where in ("!authuser", "!albums", of_list(album), "cdn"):
        smugmug.fault("dripping_head", where=where, seconds=0.2)

    result = run("--timeout", 1)

    assert result.returncode == 0, result.stderr
    assert files_on_disk(run.output) == {"Summer/IMG_1.JPG": photo.data}
    assert smugmug.count() == 8


@pytest.mark.parametrize("after", [0, 2])
def test_silent_connections_are_waited_for_no_longer_than_the_longest_outage(
    account: Account, smugmug: FakeSmugMug, run: Run, after: int
) -> None:
    fill(account.album("Summer"), 3)
    smugmug.fault("stall", where="api", times=None, after=after, before_headers=True)

    result = run("--max-outage", SHORT, timeout=50)  # --timeout is 60

    assert result.returncode == (1 if after else 2)
    assert "api.smugmug.com did not respond in time" in result.stderr
    assert (GIVEN_UP in result.stderr) == bool(after)
    assert smugmug.count("api") <= after + 4
    assert ("3 photos and videos were not tried." in result.stderr) == bool(after)


# =================================================================================================
# One wait delays only its own.
# =================================================================================================


def test_files_of_another_host_are_downloaded_while_one_is_waited_for(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    photos = fill(album, 12)
    smugmug.dead_hosts.add("photos2.smugmug.com")
    move = serve_from("photos2.smugmug.com", [photo.key for photo in photos[:3]])
    smugmug.fault("mangle", where=of_list(album), times=None, function=move)
    process = run.start("-j", 1)
    smugmug.wait_for(lambda: smugmug.count("cdn", "photos.smugmug.com .*/i-") >= 9)
    smugmug.wait_for(lambda: smugmug.turned_away >= 4)
    smugmug.dead_hosts.clear()

    _, stderr = process.communicate(timeout=300)

    assert process.returncode == 0, stderr
    assert files_on_disk(run.output) == expected_files(album)
    assert stderr.count(f"photos2.smugmug.com {UNREACHABLE}") == 1


def test_a_file_that_asks_to_wait_waits_alone(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    photos = fill(album, 60)
    sick = photos[0]
    fault = smugmug.fault("server_error", where=of_file(sick), times=None, retry_after="1")

    result = run("-j", 4)

    assert result.returncode == 1 and "1 failed" in result.stderr
    assert "IMG_000.JPG: SmugMug is temporarily unavailable" in result.stderr
    assert len(files_on_disk(run.output)) == 59
    assert result.stderr.count("; waiting 1 s.") == 1
    assert script.ATTEMPTS <= fault.hits <= script.ATTEMPTS + 1
    refusals = [record.time_monotonic for record in smugmug.select("cdn", of_file(sick))]
    others = [
        record.time_monotonic
        for record in smugmug.select("cdn")
        if record.status == 200 and record.time_monotonic > refusals[-1]
    ]
    assert others == []


def test_photos_are_downloaded_while_the_api_makes_others_wait(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    for number in range(10):
        album.photo(f"A {number}.JPG", archived=False)  # these need a call each
    photos = fill(album, 30)
    smugmug.fault("rate_limited", where="!download", times=None, retry_after="3600")
    process = run.start("-j", 2)
    smugmug.wait_for(
        lambda: sum(record.status == 200 for record in smugmug.select("cdn")) == len(photos)
    )

    stderr = stop(process, signal.SIGINT)

    assert process.returncode == 130
    assert stderr.count("SmugMug's rate limit is reached (0 requests left); waiting 3600 s.") == 1
    assert "; 10 files waiting" in stderr
    assert smugmug.count("api", "!download") <= 2


def takes_ipv6() -> bool:
    """Return True if this system can connect to itself over IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as own:
            own.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not takes_ipv6(), reason="this system has no IPv6")
def test_ipv6_that_swallows_connections_is_tried_only_once(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    album = account.album("Summer")
    fill(album, 6)
    attempts = tmp_path / "attempts"
    python = broken_python(
        tmp_path / "python",
        f"""
        import socket
        silent = socket.socket(socket.AF_INET6)
        silent.bind(("::1", 0))
        silent.listen(0)
        queue = [socket.socket(socket.AF_INET6) for _ in range(4)]
        for waiting in queue:
            waiting.setblocking(False)
            waiting.connect_ex(silent.getsockname())
        true_addresses = socket.getaddrinfo

        def addresses(*arguments, **options):
            found = true_addresses(*arguments, **options)
            return [(socket.AF_INET6, *found[0][1:4], silent.getsockname()), *found]

        class CountedSocket(socket.socket):
            def connect(self, address):
                self.count()
                return super().connect(address)

            def connect_ex(self, address):
                self.count()
                return super().connect_ex(address)

            def count(self):
                with open({str(attempts)!r}, "a") as log:
                    log.write(self.family.name + "\\n")

        socket.getaddrinfo = addresses
        socket.socket = CountedSocket
        """,
    )

    result = run("-j", 3, "--timeout", 20, env=python)

    assert result.returncode == 0 and "did not respond" not in result.stderr
    assert files_on_disk(run.output) == expected_files(album)
    families = attempts.read_text().split()
    assert families.count("AF_INET6") == 1 and families.count("AF_INET") >= 3


def test_sign_ins_wait_for_the_rate_limit(smugmug: FakeSmugMug, run: Run) -> None:
    smugmug.fault("rate_limited", where="getRequestToken", retry_after="1")
    smugmug.fault("rate_limited", where="!authuser", retry_after="1")
    result = run("--login", input=f"{smugmug.pin}\n", signed_in=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("; waiting 1 s.") == 2


def test_downloads_do_not_wait_for_a_host_that_was_closed_before(
    account: Account, ca: Authority, tmp_path: Any
) -> None:
    fill(account.album("Summer"), 8)
    with FakeSmugMug(account, ca, Line(file_latency_seconds=0.05)) as smugmug:
        smugmug.fault("rate_limited", where="cdn", times=3, retry_after="1")
        result = Run(smugmug, tmp_path)("-j", 3, "-v")
        assert result.returncode == 0 and "8 downloaded" in result.stderr
        assert re.search("429 .*X-RateLimit-Remaining: 0, Retry-After: 1", result.stderr)


# =================================================================================================
# Waits that SmugMug asks for.
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
# Rate limits.
# =================================================================================================


WAIT_SECONDS = 2
LATENCY_SECONDS = 0.7  # so that all workers send their requests before the first response
SERVER_CLOCK = "Mon, 01 Jan 2024 00:00:00 GMT"  # SmugMug's clock counts, not that of this computer
RATE_LIMITS = {
    "seconds": {"Date": SERVER_CLOCK, "Retry-After": str(WAIT_SECONDS)},
    "date": {"Date": SERVER_CLOCK, "Retry-After": "Mon, 01 Jan 2024 00:00:02 GMT"},
    "reset": {"Date": SERVER_CLOCK, "X-RateLimit-Reset": "1704067202"},
}


@pytest.mark.parametrize("headers", RATE_LIMITS.values(), ids=RATE_LIMITS)
def test_workers_refused_at_the_same_time_wait_once_and_together(
    account: Account, ca: Authority, tmp_path: Path, headers: Dict[str, str]
) -> None:
    album = account.album("Busy")
    for number in range(2 * WORKERS):
        album.photo(f"IMG_{number}.JPG")
    with FakeSmugMug(account, ca, Line(file_latency_seconds=LATENCY_SECONDS)) as smugmug:
        smugmug.fault("respond", where="cdn", times=WORKERS, status=429, headers=headers)
        run = Run(smugmug, tmp_path)

        result = run("-j", WORKERS)

        assert result.returncode == 0 and files_on_disk(run.output) == expected_files(album)
        assert result.stderr.count("waiting 2 s") == 1
        refused, served = cdn_by_status(smugmug, 429), cdn_by_status(smugmug, 200)
        assert len(refused) == WORKERS and len(served) == 2 * WORKERS
        # no request was sent during the wait
        assert min(served) >= max(refused) + WAIT_SECONDS


def test_all_workers_wait_if_one_is_refused(
    account: Account, ca: Authority, tmp_path: Path
) -> None:
    album = account.album("Busy")
    for number in range(8 * WORKERS):
        album.photo(f"IMG_{number}.JPG")
    with FakeSmugMug(account, ca, Line(file_latency_seconds=0.2)) as smugmug:
        smugmug.fault("rate_limited", where="cdn", retry_after=str(WAIT_SECONDS), after=WORKERS)
        run = Run(smugmug, tmp_path)

        result = run("-j", WORKERS)

        assert result.returncode == 0 and files_on_disk(run.output) == expected_files(album)
        assert result.stderr.count("waiting 2 s") == 1
        (refused_at,) = cdn_by_status(smugmug, 429)
        knocked = [
            at for at in cdn_by_status(smugmug, 200) if refused_at < at < refused_at + WAIT_SECONDS
        ]
        assert len(knocked) <= 2 * WORKERS  # only what was running


def test_a_wait_for_the_api_delays_all_listings_and_loses_nothing(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    for number in range(8):
        account.album(f"Album {number}").photo()
    smugmug.limit(requests=6, window_seconds=2)

    result = run()

    assert result.returncode == 0 and files_on_disk(run.output) == expected_files(*account.albums)
    waits = result.stderr.count("waiting")
    refused = [record for record in smugmug.select("api") if record.status == 429]
    assert waits == 1 and 1 <= len(refused) <= 4  # at most what was running
    assert "SmugMug's rate limit is reached (0 requests left); waiting " in result.stderr


def cdn_by_status(smugmug: FakeSmugMug, status: int) -> List[float]:
    """Return the times of requests for files that got this status."""
    return [record.time_monotonic for record in smugmug.select("cdn") if record.status == status]
