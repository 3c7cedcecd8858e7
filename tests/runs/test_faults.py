"""Does every fault between here and SmugMug, by name, fail only what it concerns?"""

from __future__ import annotations

import re
import sqlite3
import sys
import time
from contextlib import closing
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
    FakeSmugMug,
    Image,
    Pattern,
    file_url,
)
from helpers import (
    CUT,
    GIVEN_UP,
    OUT_OF_REACH,
    PAGE,
    RECORD,
    SHORT,
    SIZE,
    UNREACHABLE,
    Faults,
    arm,
    big_photo,
    broken_python,
    expected_files,
    files_on_disk,
    fill,
    of_file,
    of_list,
    part_files,
    serve_from,
)

pytestmark = pytest.mark.waits

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


def assert_signed_afresh(smugmug: FakeSmugMug) -> None:
    """Check that every request has a signature of its own."""
    signatures = [record.headers.get("authorization") for record in smugmug.requests]
    assert None not in signatures and len(set(signatures)) == len(signatures)


# =================================================================================================
# Hosts, proxies, entries and responses that fail alone.
# =================================================================================================


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


# =================================================================================================
# Files and responses that fail alone.
# =================================================================================================


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
