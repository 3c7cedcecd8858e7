"""Does every fault between here and SmugMug, by name, fail only what it concerns?"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple
from urllib.parse import urlsplit

import pytest

import download_smugmug_photos as script
from conftest import Result, Run
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
    file_url,
)
from helpers import Faults, arm, expected_files, files_on_disk, of_file, of_list, part_files, stop

pytestmark = pytest.mark.waits

SIZE = 600_000  # more than two pieces of a body
CUT = 400_000
HALVINGS = 4  # halvings of a page, from 100 to 10


class Passing(NamedTuple):
    """Temporary faults, and the number of requests until the file or the list is complete."""

    name: str
    faults: Faults
    requests: int
    is_video: bool = False


class Lasting(NamedTuple):
    """A permanent fault, the number of requests before giving up, and the summary's words.

    `may_be_too_much` marks a fault of a list that a smaller page might avoid.
    """

    name: str
    fault: Tuple[str, Dict[str, Any]]
    requests: int
    says: str
    kind: str = "photo"
    may_be_too_much: bool = False


def one(name: str, **options: Any) -> Tuple[str, Dict[str, Any]]:
    """Make a chain of one fault."""
    return name, options


WEB_PAGE = {
    "headers": {"Content-Type": "image/jpeg"},
    "body": b"<!DOCTYPE html><title>Log in</title>" + b" " * 3000,
}
MESSAGE = {
    "headers": {"Content-Type": "image/jpeg"},
    "body": b'{"Code":500,"Message":"Later"}' + b" " * 3000,
}
ABROAD = "https://evil.example/x.jpg"

PASSING_CDN = (
    Passing("500", [one("server_error", status=500)], 2),
    Passing("502", [one("server_error", status=502)], 2),
    Passing("503", [one("server_error", status=503)], 2),
    Passing("503 without a body", [one("server_error", status=503, empty=True)], 2),
    Passing("504", [one("server_error", status=504)], 2),
    Passing("three in a row", [one("server_error"), one("reset"), one("cut", at=0)], 4),
    Passing("html 200", [one("html_200")], 2),
    Passing("json 200", [one("json_200")], 2),
    Passing("empty 200", [one("empty_200")], 2),
    Passing("nonce used", [one("nonce_used")], 2),
    Passing("reset", [one("reset")], 2),
    Passing("cut before the first byte", [one("cut", at=0)], 2),
    Passing("cut", [one("cut", at=CUT)], 2),
    Passing("cut before the last byte", [one("cut", at=SIZE - 1)], 2),
    Passing("short", [one("short")], 2),
    Passing("long", [one("long")], 2),
    Passing("corrupt", [one("corrupt")], 2),
    Passing("gzip", [one("gzip_body")], 1),
    Passing("chunked", [one("no_length", chunked=True)], 1),
    Passing("no length", [one("no_length", chunked=False)], 1),
    Passing("range ignored", [one("cut", at=CUT), one("range_ignored")], 2),
    Passing("wrong range", [one("cut", at=CUT), one("wrong_range")], 3),
    Passing("416", [one("cut", at=CUT), one("not_satisfiable")], 3),
    Passing("gzip from the middle on", [one("cut", at=CUT), one("gzip_body")], 3),
    Passing("cut and corrupt", [one("cut", at=CUT), one("corrupt")], 3),
    Passing("cut and short", [one("cut", at=CUT), one("short")], 3),
    Passing("cut and long", [one("cut", at=CUT), one("long")], 3),
    Passing("still", [one("still_instead_of_video")], 2, is_video=True),
    Passing("cut video", [one("cut", at=CUT)], 2, is_video=True),
)

LASTING_CDN = (
    Lasting("500", one("server_error", status=500), 5, "SmugMug returned HTTP 500"),
    Lasting("502", one("server_error", status=502), 5, "SmugMug returned HTTP 502"),
    Lasting("503", one("server_error", status=503), 5, "SmugMug returned HTTP 503"),
    Lasting("504", one("server_error", status=504), 5, "SmugMug returned HTTP 504"),
    Lasting("html 200", one("html_200"), 5, "text/html instead of the file"),
    Lasting("json 200", one("json_200"), 5, "application/json instead of the file"),
    Lasting("nonce used", one("nonce_used"), 5, "nonce_used"),
    Lasting("reset", one("reset"), 5, "failed"),
    Lasting("cut", one("cut", at=0), 5, "was interrupted"),
    Lasting("empty 200", one("empty_200"), 2, "empty file"),
    Lasting("short", one("short"), 2, f"received {SIZE - 1} of {SIZE} bytes"),
    Lasting("long", one("long"), 2, f"received {SIZE + 1} of {SIZE} bytes"),
    Lasting("corrupt", one("corrupt"), 2, "checksum (MD5)"),
    Lasting("404", one("not_found"), 1, "SmugMug returned HTTP 404"),
    Lasting("403", one("respond", status=403), 1, "SmugMug returned HTTP 403"),
    Lasting(
        "301 abroad",
        one("redirect", to=ABROAD, status=301),
        1,
        "Refused to contact https://evil.example/",
    ),
    Lasting(
        "302 abroad",
        one("redirect", to=ABROAD, status=302),
        1,
        "Refused to contact https://evil.example/",
    ),
    Lasting(
        "303 abroad",
        one("redirect", to=ABROAD, status=303),
        1,
        "Refused to contact https://evil.example/",
    ),
    Lasting(
        "307 abroad",
        one("redirect", to=ABROAD, status=307),
        1,
        "Refused to contact https://evil.example/",
    ),
    Lasting(
        "308 abroad",
        one("redirect", to=ABROAD, status=308),
        1,
        "Refused to contact https://evil.example/",
    ),
    Lasting(
        "no scheme abroad",
        one("redirect", to="//evil.example/x.jpg"),
        1,
        "Refused to contact https://evil.example/",
    ),
    Lasting(
        "to http",
        one("redirect", to="http://photos.smugmug.com/x.jpg"),
        1,
        "Refused to contact http://photos.",
    ),
    Lasting("to nowhere", one("respond", status=302), 6, "too many redirects"),
    Lasting("to no address", one("redirect", to="https://[x/"), 1, "an invalid address"),
    Lasting("still", one("still_instead_of_video"), 2, f"of {SIZE} bytes", kind="video"),
    Lasting(
        "still of no size",
        one("still_instead_of_video"),
        2,
        "a still picture instead",
        kind="bare video",
    ),
    Lasting(
        "web page of no MD5",
        one("respond", **WEB_PAGE),
        2,
        "a web page or a message",
        kind="bare photo",
    ),
    Lasting(
        "message of no MD5",
        one("respond", **MESSAGE),
        2,
        "a web page or a message",
        kind="bare photo",
    ),
    Lasting("empty of no MD5", one("empty_200"), 2, "empty file", kind="bare photo"),
)

PASSING_API = (
    Passing("500", [one("server_error", status=500)], 2),
    Passing("502", [one("server_error", status=502)], 2),
    Passing("503", [one("server_error", status=503)], 2),
    Passing("500 without a body", [one("server_error", status=500, empty=True)], 2),
    Passing("504", [one("server_error", status=504)], 2),
    Passing("html 200", [one("html_200")], 2),
    Passing("json 200", [one("json_200")], 2),
    Passing("empty 200", [one("empty_200")], 2),
    Passing("broken JSON", [one("broken_json")], 2),
    Passing("JSON that is no object", [one("mangle", function=lambda answer: [])], 2),
    Passing("nonce used", [one("nonce_used")], 2),
    Passing("reset", [one("reset")], 2),
    Passing("cut before the first byte", [one("cut", at=0)], 2),
    Passing("cut", [one("cut", at=100)], 2),
    Passing("chunked", [one("no_length", chunked=True)], 1),
    Passing("no length", [one("no_length", chunked=False)], 1),
)

LASTING_API = (
    Lasting(
        "503",
        one("server_error", status=503),
        5,
        "SmugMug returned HTTP 503",
        may_be_too_much=True,
    ),
    Lasting("html 200", one("html_200"), 5, "sent an invalid API response", may_be_too_much=True),
    Lasting(
        "broken JSON",
        one("broken_json"),
        5,
        "sent an invalid API response",
        may_be_too_much=True,
    ),
    Lasting("reset", one("reset"), 5, "failed"),
    Lasting("404", one("not_found"), 1, "SmugMug returned HTTP 404"),
    Lasting("403", one("respond", status=403), 1, "SmugMug returned HTTP 403"),
    Lasting("abroad", one("redirect", to=ABROAD), 1, "Refused to contact https://evil.example/"),
    Lasting(
        "to http",
        one("redirect", to="http://api.smugmug.com/api/v2"),
        1,
        "Refused to contact http://api.",
    ),
    Lasting("to nowhere", one("respond", status=302), 6, "too many redirects"),
)


# =================================================================================================
# Faults of downloads and of lists.
# =================================================================================================


def test_files_are_downloaded_whole_after_temporary_faults(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Faults")
    images = {
        row.name: add(album, row.name, "video" if row.is_video else "photo") for row in PASSING_CDN
    }
    for row in PASSING_CDN:
        arm(smugmug, row.faults, of_file(images[row.name]))

    result = run("-j", 32)

    assert files_on_disk(run.output) == expected_files(album)
    assert counts(smugmug, images) == {row.name: row.requests for row in PASSING_CDN}
    assert result.returncode == 0 and "Failed" not in result.stderr
    assert not part_files(run)
    assert_signed_afresh(smugmug)


def test_files_with_a_permanent_fault_are_named_and_the_rest_downloaded(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album, sound = account.album("Faults"), account.album("Sound")
    sound.photo("IMG_1.JPG")
    images = {row.name: add(album, row.name, row.kind) for row in LASTING_CDN}
    for row in LASTING_CDN:
        arm(smugmug, [row.fault], of_file(images[row.name]), times=None)

    result = run("-j", 32, "-v")

    assert files_on_disk(run.output) == expected_files(sound)
    assert counts(smugmug, images) == {row.name: row.requests for row in LASTING_CDN}
    assert unsaid(result, {f"Faults/{row.name}.": row.says for row in LASTING_CDN}) == []
    assert (
        result.returncode == 1
        and f"1 downloaded, 0 already there, {len(LASTING_CDN)} failed" in result.stderr
    )
    assert smugmug.count("abroad") == smugmug.count("plain") == 0


def test_lists_are_read_whole_after_temporary_faults(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    albums = {row.name: account.album(row.name) for row in PASSING_API}
    for row in PASSING_API:
        albums[row.name].photo()
        arm(smugmug, row.faults, of_list(albums[row.name]))
    smugmug.fault("server_error", where="!authuser")
    smugmug.fault("broken_json", where="user/family!albums")

    result = run()

    assert files_on_disk(run.output) == expected_files(*albums.values())
    assert list_counts(smugmug, albums) == {row.name: row.requests for row in PASSING_API}
    assert smugmug.count("api", "!albums") == 2
    # Five albums without a response in a row make the run probe the API.
    assert 2 <= smugmug.count("api", "!authuser") <= 4
    assert result.returncode == 0 and "Failed" not in result.stderr
    assert_signed_afresh(smugmug)


def test_albums_that_cannot_be_listed_are_named_and_the_rest_downloaded(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    sound = account.album("Sound")
    sound.photo()
    albums = {row.name: account.album(row.name) for row in LASTING_API}
    for row in LASTING_API:
        albums[row.name].photo()
        arm(smugmug, [row.fault], of_list(albums[row.name]), times=None)

    result = run()

    assert files_on_disk(run.output) == expected_files(sound)
    made = list_counts(smugmug, albums)
    for row in (
        LASTING_API
    ):  # each is listed again at the end; a page that may be too large is halved before
        assert (
            2 * row.requests <= made[row.name] <= 2 * row.requests + HALVINGS * row.may_be_too_much
        ), row.name
    assert (
        unsaid(
            result, {f"{row.name}: the album could not be listed": row.says for row in LASTING_API}
        )
        == []
    )
    assert result.returncode == 1
    assert smugmug.count("abroad") == smugmug.count("plain") == 0


def test_silent_connections_time_out(account: Account, smugmug: FakeSmugMug, run: Run) -> None:
    album = account.album("Stalls")
    images = {
        name: add(album, name, "photo") for name in ("before the head", "in the body", "forever")
    }
    smugmug.fault("stall", where=of_file(images["before the head"]), before_headers=True)
    smugmug.fault("stall", where=of_file(images["in the body"]), after_bytes=CUT)
    smugmug.fault("stall", where=of_file(images["forever"]), times=None, before_headers=True)
    smugmug.fault("stall", where=of_list(album), before_headers=True)
    smugmug.fault("stall", where="!albums", after_bytes=10)

    result = run("--timeout", 1)

    expected = expected_files(album)
    del expected["Stalls/forever.JPG"]
    assert files_on_disk(run.output) == expected
    assert counts(smugmug, images) == {"before the head": 2, "in the body": 2, "forever": 5}
    assert smugmug.count("api", "!albums") == smugmug.count("api", "!images") == 2
    assert unsaid(result, {"Stalls/forever.": "photos.smugmug.com did not respond in time"}) == []
    assert result.returncode == 1


@pytest.mark.parametrize(
    "fault, says, requests",
    [
        (one("redirect", to=ABROAD), "Refused to contact https://evil.example/", 1),
        (one("not_found"), "SmugMug returned HTTP 404", script.ATTEMPTS),
    ],
)
def test_runs_without_a_list_of_albums_exit_with_2(
    account: Account,
    smugmug: FakeSmugMug,
    run: Run,
    fault: Tuple[str, Dict[str, Any]],
    says: str,
    requests: int,
) -> None:
    account.album("Summer").photo()
    arm(smugmug, [fault], "!albums", times=None)

    result = run()

    assert result.returncode == 2 and says in result.stderr
    assert smugmug.count("api", "!albums") == requests and smugmug.count("abroad") == 0


def test_runs_without_smugmug_exit_with_2(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    smugmug.fault("reset", where="api", times=None)

    result = run()

    assert result.returncode == 2 and "The connection to api.smugmug.com" in result.stderr
    assert smugmug.count("api") == 5
    assert not run.output.exists()


# =================================================================================================
# Where the token may be sent.
# =================================================================================================


def test_redirects_within_smugmug_are_followed_and_signed_again(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Moved")
    photo, other, video = album.photo("a.JPG"), album.photo("b.JPG"), album.video("c.MOV")
    smugmug.fault("redirect", where=of_file(photo), to=file_url(photo, "D"), status=301)
    smugmug.fault(
        "redirect", where=of_file(other), to=urlsplit(file_url(other, "D")).path, status=307
    )
    smugmug.fault(
        "redirect",
        where=of_list(album),
        to=f"https://secure.smugmug.com/api/v2/album/{album.key}!images"
        "?count=500&_expand=LargestVideo",
    )

    result = run()

    assert result.returncode == 0, result.stderr
    assert files_on_disk(run.output) == expected_files(album)
    assert counts(smugmug, {"a": photo, "b": other, "c": video}) == {"a": 2, "b": 2, "c": 1}
    assert_signed_afresh(smugmug)


def test_foreign_and_unencrypted_addresses_in_listings_are_refused(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    sound, foreign, plain = (
        account.album("Sound"),
        account.album("Foreign"),
        account.album("Plain"),
    )
    for album in (sound, foreign, plain):
        album.photo("IMG_1.JPG")
    foreign.video("MVI_1.MOV")
    smugmug.fault("foreign_uri", where=of_list(foreign), times=None, url=ABROAD)
    smugmug.fault(
        "foreign_uri", where=of_list(plain), times=None, url="http://photos.smugmug.com/x.jpg"
    )

    result = run()

    assert files_on_disk(run.output) == expected_files(sound)
    assert smugmug.count("abroad") == smugmug.count("plain") == 0 and smugmug.count("cdn") == 1
    assert (
        unsaid(
            result,
            {
                "Foreign/IMG_1.JPG": "Refused to contact https://evil.example/",
                "Foreign/MVI_1.MOV": "Refused to contact https://evil.example/",
                "Plain/IMG_1.JPG": "Refused to contact http://photos.smugmug.com/",
            },
        )
        == []
    )
    assert result.returncode == 1


# =================================================================================================
# 429: one wait for all.
# =================================================================================================

WAIT_SECONDS = 2
LATENCY_SECONDS = 0.7  # so that all workers send their requests before the first response
WORKERS = 8
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


# =================================================================================================
# Attempts and connections.
# =================================================================================================


def test_downloads_that_progress_may_be_interrupted_any_number_of_times(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = account.album("Big").photo("pano.JPG", Pattern(10_000_000, 1, JPEG_MAGIC))
    fault = smugmug.fault("cut", where="cdn", times=6, at=1_500_000)

    result = run()

    assert result.returncode == 0 and fault.hits == 6
    assert files_on_disk(run.output) == {"Big/pano.JPG": photo.data}


@pytest.mark.parametrize("jobs", [1, 3])
def test_each_worker_keeps_one_connection_to_each_host(
    account: Account, smugmug: FakeSmugMug, run: Run, jobs: int
) -> None:
    for number in range(3):
        album = account.album(f"Album {number}")
        for index in range(8):
            album.photo(f"IMG_{index}.JPG")
        album.photo("unlisted.JPG", archived=False)  # takes a request by the worker

    result = run("-j", jobs)

    assert result.returncode == 0 and files_on_disk(run.output) == expected_files(*account.albums)
    assert smugmug.connections("photos.smugmug.com") <= jobs
    assert len({record.connection_id for record in smugmug.select("api", "!download")}) <= jobs


def test_albums_are_listed_no_further_ahead_than_downloads_need(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    for number in range(40):
        account.album(f"Album {number}").fill(200, 60)
    smugmug.fault("stall", where="cdn", seconds=3, before_headers=True)

    process = run.start("-j", 1)
    smugmug.wait_for(lambda: smugmug.count("cdn") == 2)
    listed = {record.path for record in smugmug.select("api", "!images")}
    stop(process, signal.SIGINT)

    enough = script.JOBS_AHEAD // 200
    assert enough <= len(listed) <= enough + script.LISTING_THREADS


# =================================================================================================
# Helpers.
# =================================================================================================


def add(album: Album, name: str, kind: str) -> Image:
    """Add a photo or video; the listing states neither size nor MD5 of a "bare" one."""
    content = Pattern(SIZE, album.account.new_seed(), JPEG_MAGIC if "photo" in kind else MP4_MAGIC)
    if kind == "bare photo":
        return album.photo(f"{name}.JPG", content, archived=False)
    if kind == "photo":
        return album.photo(f"{name}.JPG", content)
    listed = kind != "bare video"
    return album.video(f"{name}.MOV", content, size_listed=listed, md5_listed=listed)


def counts(smugmug: FakeSmugMug, images: Dict[str, Image]) -> Dict[str, int]:
    """Return the number of requests for each file; probes take a byte and do not count."""
    return {
        name: sum(
            record.headers.get("range") != "bytes=0-0"
            for record in smugmug.select("cdn", of_file(image))
        )
        for name, image in images.items()
    }


def list_counts(smugmug: FakeSmugMug, albums: Dict[str, Album]) -> Dict[str, int]:
    """Return the number of requests for each album's list."""
    return {name: smugmug.count("api", of_list(album)) for name, album in albums.items()}


def unsaid(result: Result, reasons: Dict[str, str]) -> List[str]:
    """Return what the summary lacks: each name should stand on a line with its reason."""
    lines = result.stderr.splitlines()
    return [
        f"{name} ... {reason}"
        for name, reason in reasons.items()
        if not any(f" {name}" in f" {line}" and reason in line for line in lines)
    ]


def cdn_by_status(smugmug: FakeSmugMug, status: int) -> List[float]:
    """Return the times of requests for files that got this status."""
    return [record.time_monotonic for record in smugmug.select("cdn") if record.status == status]


def assert_signed_afresh(smugmug: FakeSmugMug) -> None:
    """Check that every request has a signature of its own."""
    signatures = [record.headers.get("authorization") for record in smugmug.requests]
    assert None not in signatures and len(set(signatures)) == len(signatures)
