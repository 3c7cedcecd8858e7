"""One sick file, host, entry or response fails alone, and no wait is longer than --max-outage."""

from __future__ import annotations

import re
import signal
import socket
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, List

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import (
    JPEG_MAGIC,
    JSON,
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
    UNREACHABLE,
    broken_python,
    expected_files,
    files_on_disk,
    hide_image_counts,
    of_file,
    of_list,
    stop,
)

pytestmark = pytest.mark.waits

SHORT = 0.02  # minutes
GIVEN_UP = "was unreachable for 0.02 minutes ("
MEGA = 1_000_000


def fill(album: Album, count: int) -> List[Image]:
    """Add small photos to an album."""
    return [album.photo(f"IMG_{number:03}.JPG") for number in range(count)]


def is_probe(record: Any) -> bool:
    """Return True for a request that only tests if a host is there."""
    return bool(record.headers.get("range") == "bytes=0-0")


# =================================================================================================
# Waits that would never end
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


def test_outages_that_are_over_at_every_other_probe_end(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    fill(account.album("Summer"), 7)
    smugmug.fault("out_of_service", where="cdn", times=None, after=1, answered_probes=2)

    result = run("-j", 2, "--max-outage", 0.1)

    assert result.returncode == 1 and "6 failed" in result.stderr
    assert result.stderr.count(UNREACHABLE) <= 1
    assert smugmug.count("cdn") < 6 * script.ATTEMPTS + 20


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


def test_a_single_silent_page_ends_no_run_with_a_short_longest_outage(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    fill(album, 3)
    smugmug.fault("stall", where=of_list(album), before_headers=True)

    result = run("--max-outage", 0.07)

    assert result.returncode == 0, result.stderr
    assert len(files_on_disk(run.output)) == 3


# =================================================================================================
# One stops all
# =================================================================================================


def serve_from(host: str, keys: List[str]) -> Any:
    """Return a function for the fault `mangle` that moves photos to another host."""

    def move(answer: JSON) -> JSON:
        for item in answer["Response"]["AlbumImage"]:
            if item["ImageKey"] in keys:
                item["ArchivedUri"] = item["ArchivedUri"].replace("photos.smugmug.com", host)
        return answer

    return move


def test_a_dead_file_host_fails_its_own_files(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    photos = fill(album, 12)
    keys = [photo.key for photo in photos[:2]]
    smugmug.dead_hosts.add("photos2.smugmug.com")
    move = serve_from("photos2.smugmug.com", keys)
    smugmug.fault("mangle", where=of_list(album), times=None, function=move)

    result = run("-j", 1, "--max-outage", SHORT)

    assert result.returncode == 1
    assert len(files_on_disk(run.output)) == 10 and "10 downloaded" in result.stderr
    assert "Failed (2):" in result.stderr and result.stderr.count(GIVEN_UP) == 1
    assert "10 of 12 are in" in result.stderr


def test_files_of_another_host_are_downloaded_while_one_is_waited_for(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    photos = fill(album, 12)
    smugmug.dead_hosts.add("photos2.smugmug.com")
    move = serve_from("photos2.smugmug.com", [photo.key for photo in photos[:3]])
    smugmug.fault("mangle", where=of_list(album), times=None, function=move)
    process = run.start("-j", 1)
    smugmug.wait_for(lambda: smugmug.count("cdn", "photos.smugmug.com .*/i-") == 9)
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


@pytest.mark.parametrize("status", [408, 425])
@pytest.mark.parametrize("where", ["!authuser", "!albums", "!images", "cdn"])
def test_timeouts_of_a_server_are_retried(
    account: Account, smugmug: FakeSmugMug, run: Run, status: int, where: str
) -> None:
    album = account.album("Summer")
    fill(album, 1)
    smugmug.fault("respond", where=where, status=status)
    assert run().returncode == 0
    assert files_on_disk(run.output) == expected_files(album)
    assert (smugmug.count("cdn") if where == "cdn" else smugmug.count(None, where)) == 2


def test_a_404_for_the_list_of_albums_is_retried(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    fill(album, 1)
    smugmug.fault("not_found", where="!albums")
    assert run().returncode == 0
    assert files_on_disk(run.output) == expected_files(album)
    assert smugmug.count("api", "!albums") == 2


@pytest.mark.parametrize(
    "options",
    [
        {"status": 500},
        {"status": 504},
        {"status": 200, "body": b'{"Response": {"AlbumIm'},
        {"status": 400},
    ],
    ids=["500", "504", "invalid JSON", "400"],
)
def test_an_entry_that_no_page_survives_costs_itself_alone(
    account: Account, smugmug: FakeSmugMug, run: Run, options: Dict[str, Any]
) -> None:
    album = account.album("Summer")
    album.fill(230, 60)
    key = album.entries[136].image.key
    smugmug.fault("poisoned", where=of_list(album), times=None, key=key, **options)

    result = run()

    assert result.returncode == 1
    assert len(files_on_disk(run.output)) == 229
    assert "Summer: entry 137 of the list could not be read: SmugMug " in result.stderr
    assert "229 of 230 are in" in result.stderr and UNREACHABLE not in result.stderr


def test_an_album_that_no_page_survives_costs_itself_alone(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    albums = [account.album(f"Album {number}") for number in range(5)]
    for album in albums:
        fill(album, 1)
    smugmug.fault("poisoned", where="!albums", times=None, key=albums[2].key)

    result = run()

    assert result.returncode == 1
    assert re.search("the list of albums: entry [1-5] of the list could not be", result.stderr)
    del albums[2]
    assert files_on_disk(run.output) == expected_files(*albums)


def test_pages_grow_again_after_a_short_failure(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.fill(3000, 60)
    smugmug.fault("server_error", where="!images", times=12, status=504)

    result = run("-n")

    assert result.returncode == 0 and "3,000 to download" in result.stderr
    asked = [int(record.query["count"]) for record in smugmug.select("api", "!images")]
    assert len(asked) < 120 and 100 in asked[-8:]  # it would be 300 at the smallest size


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


def test_interrupts_are_heard_while_one_file_waits_alone(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photos = fill(account.album("Summer"), 3)
    fault = smugmug.fault("server_error", where=of_file(photos[0]), times=2, retry_after="1")
    smugmug.fault("server_error", where=of_file(photos[0]), times=None, retry_after="3000")
    process = run.start("-j", 1)
    smugmug.wait_for(lambda: smugmug.count("cdn", of_file(photos[0])) == 3)
    assert fault.hits == 2

    stop(process, signal.SIGINT)

    assert process.returncode == 130 and len(files_on_disk(run.output)) == 2


def test_sign_ins_wait_for_the_rate_limit(smugmug: FakeSmugMug, run: Run) -> None:
    smugmug.fault("rate_limited", where="getRequestToken", retry_after="1")
    smugmug.fault("rate_limited", where="!authuser", retry_after="1")
    result = run("--login", input=f"{smugmug.pin}\n", signed_in=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("; waiting 1 s.") == 2


# =================================================================================================
# Responses with errors in them
# =================================================================================================


@pytest.mark.parametrize(
    "where, old, new",
    [
        ("!images", b"PLACE", b"caf\xe9 \xff\xfe"),
        ("!images", b"PLACE", b"a\x01b\tc\nd"),
        ("!images", b'{"Request', b'\xef\xbb\xbf{"Request'),
        ("!albums", b"PLACE", b"caf\xe9"),
        ("!albums", b"PLACE", b"\x00\x1f\x7f"),
        ("!albums", b'{"Request', b'\xef\xbb\xbf{"Request'),
        ("!authuser", b'{"Request', b'\xef\xbb\xbf{"Request'),
        ("!authuser", b'"NickName', b'"Quota":"\xff\x02","NickName'),
    ],
)
def test_bad_bytes_in_responses_cost_nothing(
    account: Account, smugmug: FakeSmugMug, run: Run, where: str, old: bytes, new: bytes
) -> None:
    album = account.album("Summer", description="PLACE")
    for number in range(3):
        album.photo(f"IMG_{number}.JPG", caption="PLACE" if number == 1 else "")
    smugmug.fault("bad_bytes", where=where, times=None, old=old, new=new)
    result = run("--sidecar", "xmp", "--sidecar", "json")
    assert result.returncode == 0, result.stderr
    found = files_on_disk(run.output)
    assert expected_files(album).items() <= found.items()


@pytest.mark.parametrize(
    "date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"]
)
def test_impossible_dates_of_servers_put_nothing_off(
    account: Account, smugmug: FakeSmugMug, run: Run, date: str
) -> None:
    album = account.album("Summer")
    fill(album, 2)
    smugmug.fault("other_date", where=".", times=None, date=date)
    assert run("--sidecar", "html").returncode == 0
    with closing(sqlite3.connect(str(run.output / RECORD))) as record:
        ((listed_at,),) = record.execute("SELECT listed_at FROM album")
    assert abs(listed_at - time.time()) < 3600
    smugmug.clear_faults()
    assert run().returncode == 0


@pytest.mark.parametrize("is_locked_out", [True, False])
def test_a_proxy_that_refuses_is_named_with_its_reason(
    account: Account, smugmug: FakeSmugMug, run: Run, is_locked_out: bool
) -> None:
    smugmug.proxy_status = 407 if is_locked_out else 403
    result = run()
    assert result.returncode == 2 and "HTTPS_PROXY" in result.stderr
    assert f"{smugmug.proxy_status}" in result.stderr
    assert ("user:password@" in result.stderr) == is_locked_out
    assert smugmug.turned_away == (1 if is_locked_out else script.ATTEMPTS)


def test_a_socks_proxy_without_its_package_is_told(run: Run) -> None:
    proxies: Dict[str, Any] = dict.fromkeys(("HTTPS_PROXY", "https_proxy"))
    result = run(env={**proxies, "ALL_PROXY": "socks5://127.0.0.1:1"})
    assert result.returncode == 2
    assert "ALL_PROXY" in result.stderr and "PySocks" in result.stderr


def test_downloads_do_not_wait_for_a_host_that_was_closed_before(
    account: Account, ca: Authority, tmp_path: Any
) -> None:
    fill(account.album("Summer"), 8)
    with FakeSmugMug(account, ca, Line(file_latency_seconds=0.05)) as smugmug:
        smugmug.fault("rate_limited", where="cdn", times=3, retry_after="1")
        result = Run(smugmug, tmp_path)("-j", 3, "-v")
        assert result.returncode == 0 and "8 downloaded" in result.stderr
        assert re.search("429 .*X-RateLimit-Remaining: 0, Retry-After: 1", result.stderr)
