"""Rules: the functions that decide, asked directly: when to try again, whom to trust, what to
skip.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import socket
import threading
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, List, Optional, Tuple

import pytest
import requests
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st

import download_smugmug_photos as script
from helpers import parse_album, parse_image

BUDGET = settings(max_examples=60, deadline=None, database=None, derandomize=True)
JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


# =================================================================================================
# Retries
# =================================================================================================


def failure(transient: bool = True) -> Any:
    """Make a failed request."""
    return script.RequestFailed("it failed", transient=transient)


def test_delays_double_and_end_with_the_fifth_attempt() -> None:
    assert [script.retry_delay(failure(), attempt, 1.0) for attempt in range(1, 7)] == [
        0.5,
        1.0,
        2.0,
        4.0,
        None,
        None,
    ]


def test_delays_are_spread_over_their_upper_half() -> None:
    assert [script.retry_delay(failure(), 3, chance) for chance in (0.0, 0.5, 1.0)] == [
        1.0,
        1.5,
        2.0,
    ]


def test_permanent_failures_are_not_retried() -> None:
    assert script.retry_delay(failure(transient=False), 1, 0.5) is None


SERVER_DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
SERVER_NOW = 1445412480.0
LOCAL_NOW = SERVER_NOW + 5000.0  # a clock that is wrong


@pytest.mark.parametrize(
    "headers, seconds",
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": " 7 "}, 7),
        ({"Retry-After": "0"}, 1),
        ({"Retry-After": "86400"}, 86400),
        (
            {
                "Retry-After": "7",
                "X-RateLimit-Reset": str(int(SERVER_NOW) + 99),
                "Date": SERVER_DATE,
            },
            7,
        ),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT", "Date": SERVER_DATE}, 30),
        ({"Retry-After": "Wed, 21 Oct 2015 07:27:30 GMT", "Date": SERVER_DATE}, 1),
        ({"Retry-After": "Wed, 21 Oct 2015 08:51:50 GMT"}, 30),
        ({"X-RateLimit-Reset": str(int(SERVER_NOW) + 42), "Date": SERVER_DATE}, 42),
        ({"X-RateLimit-Reset": str(int(LOCAL_NOW) + 42)}, 42),
        ({"X-RateLimit-Reset": str(int(SERVER_NOW) - 42), "Date": SERVER_DATE}, 1),
        (
            {
                "Retry-After": "soon",
                "X-RateLimit-Reset": str(int(SERVER_NOW) + 42),
                "Date": SERVER_DATE,
            },
            42,
        ),
        ({}, 60),
        ({"Retry-After": "soon"}, 60),
        ({"Retry-After": "-5"}, 60),
        ({"Retry-After": "\u0667"}, 60),
        ({"X-RateLimit-Reset": "never"}, 60),
        ({"X-RateLimit-Reset": "-1"}, 60),
        ({"Retry-After": "", "X-RateLimit-Reset": ""}, 60),
    ],
)
def test_a_429_sets_the_wait(headers: Dict[str, str], seconds: float) -> None:
    response = requests.structures.CaseInsensitiveDict(headers)
    assert script.rate_limit_seconds(response, LOCAL_NOW) == seconds


@BUDGET
@given(after=st.text(max_size=30), reset=st.text(max_size=12), date=st.text(max_size=30))
def test_every_429_waits_at_least_a_second(after: str, reset: str, date: str) -> None:
    headers = {"Retry-After": after, "X-RateLimit-Reset": reset, "Date": date}
    assert script.rate_limit_seconds(headers, LOCAL_NOW) >= 1.0


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Kolkata"])
@pytest.mark.parametrize(
    "text, seconds",
    [
        (SERVER_DATE, SERVER_NOW),
        ("Wednesday, 21-Oct-15 07:28:00 GMT", SERVER_NOW),
        ("Wed Oct 21 07:28:00 2015", SERVER_NOW),
        ("Wed, 21 Oct 2015 07:28:00 -0000", SERVER_NOW),
        ("Wed, 21 Oct 2015 09:28:00 +0200", SERVER_NOW),
    ],
)
def test_http_dates_mean_the_same_moment_in_every_zone(
    monkeypatch: pytest.MonkeyPatch, zone: str, text: str, seconds: float
) -> None:
    if not hasattr(time, "tzset"):
        pytest.skip("this system cannot change its zone")
    try:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", zone)
            time.tzset()
            assert script.http_date(text) == seconds
    finally:
        time.tzset()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "yesterday",
        "Wed, 99 Oct 2015 07:28:00 GMT",
        "Wed, 21 Oct 99999 07:28:00 GMT",
        "\x00",
        ",",
    ],
)
def test_malformed_http_dates_are_ignored(text: str) -> None:
    assert script.http_date(text) is None


# =================================================================================================
# Trusted hosts
# =================================================================================================


@pytest.mark.parametrize(
    "url",
    [
        "https://api.smugmug.com/api/v2!authuser",
        "https://photos.smugmug.com/Family/i-KEY/0/hash/D/IMG_1-D.jpg?a=b#c",
        "https://smugmug.com/",
        "https://a.b-c.smugmug.com/x",
        "https://photos.smugmug.com:443/x",
        "HTTPS://Photos.SmugMug.COM/x",
        "https://photos.smugmug.com/https://evil.example/",
    ],
)
def test_urls_of_smugmug_are_trusted(url: str) -> None:
    assert script.is_smugmug(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://photos.smugmug.com/x",
        "ftp://photos.smugmug.com/x",
        "file:///etc/passwd",
        "//photos.smugmug.com/x",
        "/x",
        "",
        "https://",
        "https:///x",
        "https:photos.smugmug.com/x",
        "https://evil.example/smugmug.com",
        "https://smugmug.com.evil.example/",
        "https://evilsmugmug.com/",
        "https://evil-smugmug.com/",
        "https://photos.smugmug.com@evil.example/",
        "https://user:password@photos.smugmug.com/",
        "https://evil.example#photos.smugmug.com",
        "https://evil.example?photos.smugmug.com",
        "https://evil.example\\.smugmug.com/",
        "https://photos.smugmug.com\\@evil.example/",
        "https://evil.example\\@photos.smugmug.com/",
        "https://photos.smugmug.com:8443/",
        "https://photos.smugmug.com:80/",
        "https://photos.smugmug.com.:443/",
        "https://photos.smugmug.comx/",
        "https://[::1]/",
        "https://[photos.smugmug.com]/",
        "https://[/",
        "https://photos.smugmug.com%2eevil.example/",
        "https://evil.example%2f.smugmug.com/",
        "https://photos.smugmug.com\uff0fevil.example/",
        "https://photos.smugmug.com\u3002evil.example/",
        "https://.smugmug.com/",
        "https://a..smugmug.com/",
        "https://a_b.smugmug.com/",
        "https://evil.example/\n.smugmug.com",
        "https://127.0.0.1/",
        "javascript:alert(1)",
        "https://ph\u00f6tos.smugmug.com/",
        "https://photos.smugmug.com\t/x",
        "https://photos.smugmug.com\n",
        " https://photos.smugmug.com/",
        "https://photos.\u017fmugmug.com/",
    ],
)
def test_urls_of_other_hosts_are_not_trusted(url: str) -> None:
    assert not script.is_smugmug(url)


@BUDGET
@given(
    url=st.lists(
        st.one_of(
            st.sampled_from(
                [
                    "https://",
                    "http://",
                    "photos",
                    ".",
                    "smugmug.com",
                    "evil.example",
                    "/",
                    "\\",
                    "@",
                    ":",
                    "443",
                    "#",
                    "?",
                    "%2e",
                    "\t",
                    "\n",
                ]
            ),
            st.text(max_size=2),
        ),
        max_size=8,
    ).map("".join)
)
def test_trusted_urls_lead_requests_to_smugmug_as_well(url: str) -> None:
    if script.is_smugmug(url):
        target = requests.compat.urlparse(str(requests.Request("GET", url).prepare().url))
        assert target.scheme == "https"
        assert target.hostname is not None and ("." + target.hostname).endswith(".smugmug.com")
        assert target.port in (None, 443) and target.username is None


# =================================================================================================
# Error responses
# =================================================================================================

ACCEPT_URL = "https://api.smugmug.com/api/developer/accept"


@pytest.mark.parametrize(
    "body, message",
    [
        (b'{"Code":401,"Message":"oauth_problem=nonce_used"}', "oauth_problem=nonce_used"),
        (b'{"Code":401,"Message":"oauth_problem%3Dnonce_used"}', "oauth_problem=nonce_used"),
        (
            b"oauth_problem=parameter_absent&oauth_parameters_absent=oauth_token",
            "oauth_problem=parameter_absent&oauth_parameters_absent=oauth_token",
        ),
        (b"<!DOCTYPE html><html>Forbidden</html>", ""),
        (b"  <html>", ""),
        (b"", ""),
        (b'{"Code":500}', ""),
        (b'{"Message":null}', ""),
        (b'["Message"]', ""),
        (b'{"Message":{"a":1}}', "{'a': 1}"),
        (b'{"Message":"\\u001b[31mred"}', "\ufffd[31mred"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 1000, "x" * 300),
        (b"[" * 100_000, "[" * 300),
    ],
)
def test_error_messages_are_found_in_responses(body: bytes, message: str) -> None:
    assert script.server_message(body) == message


@pytest.mark.parametrize(
    "message, kind, exit_code, transient, advice",
    [
        ("oauth_problem=nonce_used", script.RequestFailed, 2, True, "nonce_used"),
        (
            "oauth_problem=consumer_key_unknown",
            script.UnknownKey,
            2,
            None,
            "does not know this API key",
        ),
        (
            "oauth_problem=signature_invalid&debug_sbs=GET&oauth_consumer_key=...",
            script.SignatureRefused,
            2,
            False,
            "secret probably does not belong to this API key",
        ),
        ("oauth_problem=signature_invalid", script.SignatureRefused, 2, False, "secret probably"),
        ("oauth_problem=timestamp_refused", script.Problem, 2, None, "clock"),
        ("oauth_problem=token_rejected", script.NotSignedIn, 3, None, "revoked"),
        ("oauth_problem=token_expired", script.NotSignedIn, 3, None, "revoked"),
        ("oauth_problem=permission_denied", script.RequestFailed, 2, False, "permission_denied"),
        (
            f"API key lacks v2 access; please accept the terms of service at {ACCEPT_URL}",
            script.Problem,
            2,
            None,
            "\nhttps://api.smugmug.com/api/developer/accept",
        ),
        (
            "please accept the terms of service at https://api.smugmug.com/elsewhere.",
            script.Problem,
            2,
            None,
            "\nhttps://api.smugmug.com/elsewhere",
        ),
        (
            "please accept the terms of service",
            script.Problem,
            2,
            None,
            "\nhttps://api.smugmug.com/api/developer/accept",
        ),
        ("", script.RequestFailed, 2, False, "401"),
        ("something new", script.RequestFailed, 2, False, "401"),
    ],
)
def test_each_cause_of_a_401_has_its_own_advice(
    message: str, kind: type, exit_code: int, transient: Optional[bool], advice: str
) -> None:
    problem = script.explain_401(message, f'SmugMug returned HTTP 401 "{message}"', 0.0)
    assert type(problem) is kind
    assert problem.exit_code == exit_code
    assert getattr(problem, "transient", None) == transient
    assert advice in str(problem)
    is_explained = message and message not in str(problem)
    assert is_explained or "401" in str(problem)  # SmugMug's own words stand in for advice


def test_the_error_of_a_wrong_clock_is_stated() -> None:
    problem = script.explain_401("oauth_problem=timestamp_refused", "401", 60.0)
    assert "60 minutes" in str(problem)
    # signed by SmugMug's clock, it may pass
    assert isinstance(problem, script.RequestFailed) and problem.transient


def test_advice_never_repeats_a_foreign_address() -> None:
    problem = script.explain_401(
        "accept the terms of service at https://evil.example/pay", "401", 0.0
    )
    assert str(problem).splitlines()[-1] == "https://api.smugmug.com/api/developer/accept"


# =================================================================================================
# JSON of odd types
# =================================================================================================


@pytest.mark.parametrize(
    "value, number",
    [
        (0, 0),
        (7, 7),
        ("7", 7),
        ("0", 0),
        ("007", 7),
        (2**40, 2**40),
        ("218077085", 218077085),
        *(
            (odd, None)
            for odd in (
                None,
                True,
                False,
                -1,
                1.5,
                "",
                "x",
                "-1",
                "1e3",
                "0x10",
                " 7",
                "\u0667",
                [],
                {},
                [1],
                {"a": 1},
                10**30,
                "9" * 40,
            )
        ),
    ],
)
def test_counts_are_read_from_numbers_and_texts(value: Any, number: Optional[int]) -> None:
    found = script.Entry({"Size": value}).integer("Size")
    assert found == number and not isinstance(found, bool)


@pytest.mark.parametrize(
    "value, text",
    [
        ("x", "x"),
        (7, "7"),
        (0, "0"),
        ("", ""),
        (True, ""),
        (None, ""),
        ([], ""),
        ({}, ""),
        (["x"], ""),
    ],
)
def test_texts_are_read_from_texts_and_numbers(value: Any, text: str) -> None:
    assert script.Entry({"Name": value}).text("Name") == text


@pytest.mark.parametrize(
    "value, md5",
    [
        ("ab" * 16, "ab" * 16),
        ("AB" * 16, "ab" * 16),
        ("", None),
        (None, None),
        ("../" * 10 + "ab", None),
        ("ab" * 16 + "\n", None),
        ("xy" * 16, None),
        ("ab" * 15, None),
        (["ab" * 16], None),
        (7, None),
    ],
)
def test_malformed_md5s_are_ignored(value: Any, md5: Optional[str]) -> None:
    assert script.Entry({"MD5": value}).md5("MD5") == md5


@pytest.mark.parametrize(
    "value, objects",
    [
        ([{"a": 1}, {"b": 2}], [{"a": 1}, {"b": 2}]),
        ({"a": 1}, [{"a": 1}]),
        (None, []),
        ([], []),
        ("x", []),
        ([None, {"a": 1}, "x", [{"b": 2}]], [{"a": 1}]),
    ],
)
def test_lists_of_objects_skip_everything_else(value: Any, objects: List[Any]) -> None:
    assert [dict(entry) for entry in script.Entry({"Album": value}).objects("Album")] == objects


@pytest.mark.parametrize(
    "entry, uri",
    [
        ("/api/v2/album/K!images", "/api/v2/album/K!images"),
        ({"Uri": "/api/v2/album/K!images", "Locator": "AlbumImage"}, "/api/v2/album/K!images"),
        (
            "/api/v2/image/K-0!largestvideo?_shorturis=",
            "/api/v2/image/K-0!largestvideo?_shorturis=",
        ),
        ("https://evil.example/api/v2", ""),
        ("//evil.example/api/v2", ""),
        ("@evil.example/api/v2", ""),
        ("/else", ""),
        ("", ""),
        (None, ""),
        ([], ""),
        ({}, ""),
        ({"Uri": None}, ""),
        ({"Uri": {"Uri": "/api/v2"}}, ""),
        (7, ""),
        (True, ""),
    ],
)
def test_api_addresses_are_found_in_both_forms_of_uris(entry: Any, uri: str) -> None:
    assert script.Entry({"Uris": {"AlbumImages": entry}}).uri("AlbumImages") == uri


def test_albums_are_parsed() -> None:
    entry = {
        "AlbumKey": "K1",
        "Name": "Summer",
        "UrlPath": "/Family/Summer",
        "ImageCount": 3,
        "LastUpdated": "a",
        "ImagesLastUpdated": "b",
        "Date": "c",
        "ResponseLevel": "Full",
        "Uris": {"AlbumImages": "/api/v2/album/K1!images"},
    }
    album = parse_album(entry)
    assert (album.key, album.name, album.url_path, album.image_count) == (
        "K1",
        "Summer",
        "/Family/Summer",
        3,
    )
    assert (album.images_uri, album.change_token, album.created) == (
        "/api/v2/album/K1!images",
        "a|b|3",
        "c",
    )
    assert not album.locked


def test_albums_with_only_a_key_are_parsed() -> None:
    album = parse_album({"AlbumKey": "K1"})
    assert (album.key, album.images_uri) == ("K1", "/api/v2/album/K1!images")
    assert (album.name, album.image_count, album.change_token, album.created) == ("", None, "", "")
    assert not album.locked


@pytest.mark.parametrize(
    "level, locked",
    [
        ("Full", False),
        ("Public", False),
        ("Password", True),
        ("GrantAccess", True),
        (None, False),
    ],
)
def test_albums_with_a_strangers_response_are_locked(level: Optional[str], locked: bool) -> None:
    assert parse_album({"AlbumKey": "K1", "ResponseLevel": level}).locked is locked


@pytest.mark.parametrize("missing", ["LastUpdated", "ImagesLastUpdated", "ImageCount"])
def test_albums_with_a_missing_date_have_no_change_token(missing: str) -> None:
    entry = {"AlbumKey": "K1", "LastUpdated": "a", "ImagesLastUpdated": "b", "ImageCount": 0}
    assert parse_album(entry).change_token == "a|b|0"
    del entry[missing]
    assert parse_album(entry).change_token == ""


VIDEO_URI = "/api/v2/image/V1-2!largestvideo?_shorturis="


def photo_entry(**changes: Any) -> Dict[str, Any]:
    """Return a photo as album!images lists it."""
    return {
        "ImageKey": "P1",
        "Serial": 2,
        "FileName": "IMG_1.JPG",
        "IsVideo": False,
        "Processing": False,
        "Status": "Open",
        "SubStatus": "NFS",
        "ArchivedUri": "https://photos.smugmug.com/x-D.jpg",
        "ArchivedSize": 1234,
        "ArchivedMD5": "AB" * 16,
        "OriginalSize": 1234,
        "DateTimeUploaded": "2024-01-01T00:00:00+00:00",
        **changes,
    }


def video_entry(**changes: Any) -> Dict[str, Any]:
    """Return a video as album!images lists it: its ArchivedUri is a still."""
    return {
        **photo_entry(),
        "ImageKey": "V1",
        "FileName": "MVI_1.MOV",
        "IsVideo": True,
        "Uris": {"LargestVideo": VIDEO_URI},
        **changes,
    }


def expansions(**changes: Any) -> Dict[str, Any]:
    """Return the expansions of _expand=LargestVideo."""
    video = {
        "Url": "https://photos.smugmug.com/x-1920.mp4",
        "Ext": "mp4",
        "Size": 99,
        "MD5": "CD" * 16,
        **changes,
    }
    return {
        VIDEO_URI: {
            "LargestVideo": {name: value for name, value in video.items() if value is not None}
        }
    }


def test_photos_are_downloaded_from_archived_uri() -> None:
    image = parse_image(photo_entry())
    assert image.remote is not None
    assert image.remote[:3] == ("https://photos.smugmug.com/x-D.jpg", 1234, "ab" * 16)
    assert image.remote.is_original
    assert (image.key, image.serial, image.uri) == ("P1", "2", "/api/v2/image/P1-2")
    assert (image.file_name, image.extension, image.uploaded) == (
        "IMG_1.JPG",
        "jpg",
        "2024-01-01T00:00:00+00:00",
    )


def test_videos_are_never_downloaded_from_archived_uri() -> None:
    image = parse_image(video_entry(), expansions())
    assert image.remote is not None
    assert image.remote[:3] == ("https://photos.smugmug.com/x-1920.mp4", 99, "cd" * 16)
    assert image.extension == "mp4"
    assert parse_image(video_entry()).remote is None


def test_videos_without_size_and_md5_are_parsed() -> None:
    image = parse_image(video_entry(), expansions(Size=None, MD5=None))
    assert image.remote is not None and image.remote[:3] == (
        "https://photos.smugmug.com/x-1920.mp4",
        None,
        None,
    )


@pytest.mark.parametrize(
    "extension, expected",
    [
        ("mp4", "mp4"),
        ("MP4", "mp4"),
        (".webm", "webm"),
        ("../x", "mp4"),
        ("", "mp4"),
        (None, "mp4"),
        (["mp4"], "mp4"),
        ("x" * 99, "mp4"),
        ("part", "mp4"),
        ("jpg", "mp4"),
    ],
)
def test_odd_extensions_of_videos_are_ignored(extension: Any, expected: str) -> None:
    assert parse_image(video_entry(), expansions(Ext=extension)).extension == expected


def test_long_uris_are_parsed() -> None:
    uris = {"LargestVideo": {"Uri": VIDEO_URI, "Locator": "LargestVideo", "LocatorType": "Object"}}
    remote = parse_image(video_entry(Uris=uris), expansions()).remote
    assert remote is not None and remote.size_bytes == 99


def test_numbers_given_as_texts_are_parsed() -> None:
    image = parse_image(photo_entry(Serial="2", ArchivedSize="1234", OriginalSize="1234"))
    assert image.remote is not None
    assert (image.serial, image.remote.size_bytes, image.original_size_bytes) == ("2", 1234, 1234)


def test_photos_with_only_a_key_are_parsed() -> None:
    image = parse_image({"ImageKey": "P1"})
    assert (image.key, image.serial, image.uri, image.remote, image.file_name) == (
        "P1",
        "",
        "/api/v2/image/P1-0",
        None,
        "",
    )


@pytest.mark.parametrize(
    "status, sub_status, unobtainable",
    [
        ("Preprocess", "CanNotProcess", True),
        ("Preprocess", "NFS", False),
        ("Open", "CanNotProcess", False),
        (None, None, False),
    ],
)
def test_both_status_words_mark_failed_processing(
    status: Any, sub_status: Any, unobtainable: bool
) -> None:
    image = parse_image(photo_entry(Processing=True, Status=status, SubStatus=sub_status))
    assert image.processing is not unobtainable


@BUDGET
@given(
    values=st.dictionaries(st.sampled_from(list(video_entry())[1:]), JSON_VALUES, max_size=6),
    is_video=st.booleans(),
    video=JSON_VALUES,
)
def test_images_with_odd_types_are_parsed_as_far_as_possible(
    values: Dict[str, Any], is_video: bool, video: Any
) -> None:
    image = parse_image(
        {**video_entry(IsVideo=is_video), **values, "ImageKey": "K1"},
        {VIDEO_URI: {"LargestVideo": video}},
    )
    assert image.key == "K1"
    assert all(
        isinstance(text, str)
        for text in (image.serial, image.file_name, image.extension, image.uploaded, image.uri)
    )
    assert all(isinstance(flag, bool) for flag in (image.is_video, image.processing))
    if image.remote is not None:
        assert image.remote.url and isinstance(image.remote.url, str)
        assert image.remote.size_bytes is None or image.remote.size_bytes >= 0


@BUDGET
@given(
    values=st.dictionaries(
        st.sampled_from(
            [
                "Name",
                "UrlPath",
                "ImageCount",
                "LastUpdated",
                "ImagesLastUpdated",
                "Date",
                "ResponseLevel",
                "Uris",
            ]
        ),
        JSON_VALUES,
    )
)
def test_albums_with_odd_types_are_parsed_as_far_as_possible(
    values: Dict[str, Any],
) -> None:
    album = parse_album({**values, "AlbumKey": "K1"})
    assert all(
        isinstance(text, str)
        for text in (album.name, album.url_path, album.change_token, album.created)
    )
    assert album.images_uri.startswith("/api/v2") and isinstance(album.locked, bool)
    assert album.image_count is None or album.image_count >= 0


# =================================================================================================
# Responses and waits
# =================================================================================================


@pytest.mark.parametrize("url", ["https://[/x", "https://photos.smugmug.com.evil.example/x"])
def test_foreign_and_malformed_addresses_are_refused(
    url: str,
) -> None:
    connection = script.Connection(script.Credentials("key", "secret"), 5.0, script.Stop())
    with pytest.raises(script.RequestFailed, match="Refused to contact"):
        connection.get(url, script.Response.body)


@pytest.mark.parametrize(
    "header, length",
    [("8", 8), ("8, 8", 8), ("8,8 , 8", 8), ("8, 9", None), ("", None), ("-1", None), ("x", None)],
)
def test_a_length_that_is_sent_twice_is_one(header: str, length: Any) -> None:
    raw = requests.Response()
    raw.headers["Content-Length"] = header
    connection = script.Connection(script.Credentials("key", "secret"), 5.0, script.Stop())
    assert script.Response(raw, "https://photos.smugmug.com/x", connection).length == length


def test_a_body_that_makes_progress_shows_that_its_host_is_reachable() -> None:
    raw = requests.Response()
    connection = script.Connection(script.Credentials("key", "secret"), 5.0, script.Stop())
    response = script.Response(raw, "https://photos.smugmug.com/x", connection)
    told: List[bool] = []
    host: Any = SimpleNamespace(answered=lambda: told.append(True))
    response._host = host
    response._is_new = False
    for received in (script.CHUNK_BYTES, 100 * script.CHUNK_BYTES):
        response.received_bytes = received
        response.check_progress()
    assert told == [True] and not response.is_slow


def test_bodies_shorter_than_announced_count_as_truncated() -> None:
    raw = requests.Response()
    raw.headers["Content-Length"] = "8"
    raw.raw = urllib3.HTTPResponse(
        io.BytesIO(b"1234"), preload_content=False, enforce_content_length=False
    )
    connection = script.Connection(script.Credentials("key", "secret"), 5.0, script.Stop())
    response = script.Response(raw, "https://photos.smugmug.com/x", connection)
    arrived: List[bytes] = []
    with pytest.raises(
        script.RequestFailed, match=r"photos\.smugmug\.com was interrupted"
    ) as failed:
        arrived.extend(response.chunks())
    assert arrived == [b"1234"]
    assert failed.value.transient and response.received_bytes == 4


@pytest.mark.parametrize(
    "error, says",
    [
        (socket.gaierror(-2, "Name or service not known"), ": host not found. Are you online?"),
        (
            socket.gaierror(-3, "Temporary failure in name resolution"),
            ": host not found. Are you online?",
        ),
        (socket.gaierror(-2, "Name does not resolve"), ": host not found. Are you online?"),
        (
            socket.gaierror(-5, "No address associated with hostname"),
            ": host not found. Are you online?",
        ),
        (
            socket.gaierror(8, "nodename nor servname provided, or not known"),
            ": host not found. Are you online?",
        ),
        (socket.gaierror(11001, "getaddrinfo failed"), ": host not found. Are you online?"),
        (
            ConnectionRefusedError(111, "Connection refused"),
            ": connection refused. Check your firewall, proxy or virus scanner",
        ),
        (OSError(101, "Network is unreachable"), ": network unreachable. Are you online?"),
        (OSError(5, "Something else"), ""),
    ],
)
def test_connection_failures_carry_the_systems_reason(
    monkeypatch: pytest.MonkeyPatch, error: OSError, says: str
) -> None:
    def fail(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(requests.RequestException) as failed:
        requests.get("https://api.smugmug.com/")
    failure = script.connection_failure(failed.value, "api.smugmug.com")
    assert (
        str(failure) == f"The connection to api.smugmug.com failed or was interrupted{says}"
        and failure.transient
    )


def test_interrupts_stop_verifying_and_copying_within_a_file(
    tmp_path: Path,
) -> None:
    stop = script.Stop()
    stop.set()
    path = tmp_path / "Summer" / "a.jpg"
    path.parent.mkdir()
    path.write_bytes(b"content")
    with pytest.raises(script.Stopped):
        script.check_file(script.CheckedFile("K1", record(), path), script.LinkedHashes(), stop)
    image = parse_image(photo_entry())
    job = script.Job(album_of("1|2|3"), image, path.parent, "b.jpg")
    shelf = script.ContentIndex(tmp_path, lambda text: None)
    assert image.remote is not None
    shelf.add(
        path,
        script.FileRecord(
            image.key,
            image.serial,
            path.name,
            image.remote.size_bytes or 0,
            image.remote.md5 or "",
            1,
            True,
        ),
    )
    with pytest.raises(script.Stopped):
        script.copy_existing(job, shelf, threading.Lock(), stop)
    assert list(path.parent.iterdir()) == [path]


# =================================================================================================
# Resuming downloads
# =================================================================================================

MD5 = "ab" * 16


def head_of(status: int, content_range: str = "", encoded: bool = False, etag: str = "") -> Any:
    """Make the head of a response from the file host."""
    headers = requests.structures.CaseInsensitiveDict(
        {"Content-Range": content_range, "ETag": etag}
    )
    return SimpleNamespace(status=status, headers=headers, is_encoded=encoded)


def part(size_bytes: int = 100, etag: str = "") -> Any:
    """Make a part file of this size."""
    return SimpleNamespace(size_bytes=size_bytes, etag=etag)


def remote(size_bytes: Optional[int] = 300, md5: Optional[str] = MD5) -> Any:
    """Make SmugMug's description of a file."""
    return script.RemoteFile("https://photos.smugmug.com/x", size_bytes, md5)


@pytest.mark.parametrize(
    "status, content_range, expected",
    [
        (206, "bytes 100-299/300", True),
        (206, "bytes 100-299/*", True),
        (206, "bytes 0-299/300", False),
        (206, "bytes 99-299/300", False),
        (206, "bytes 101-299/300", False),
        (206, "bytes 100-299/301", True),
        (206, "bytes */300", False),
        (206, "bytes 100-", False),
        (206, "items 100-299/300", False),
        (206, "", False),
        (206, "bytes 100-299/300, 0-1/300", False),
        (200, "bytes 100-299/300", False),
        (200, "", False),
        (416, "bytes */300", False),
        (416, "bytes */100", True),
        (416, "bytes */*", False),
        (416, "", False),
    ],
)
def test_status_and_range_decide_whether_a_download_resumes(
    status: int, content_range: str, expected: bool
) -> None:
    assert script.resumes(head_of(status, content_range), remote(), part()) is expected


def test_compressed_bodies_never_resume() -> None:
    assert not script.resumes(head_of(206, "bytes 100-299/300", encoded=True), remote(), part())


def test_empty_part_files_never_resume() -> None:
    assert not script.resumes(head_of(206, "bytes 0-299/300"), remote(), part(0))
    assert not script.resumes(head_of(416, "bytes */0"), remote(), part(0))


def test_files_of_unknown_size_resume_if_their_md5_is_known() -> None:
    assert script.resumes(head_of(206, "bytes 100-299/300"), remote(size_bytes=None), part())


@pytest.mark.parametrize(
    "before, now, expected",
    [
        ('"a"', '"a"', True),
        ('"a"', '"b"', False),
        ("", "", False),
        ("", '"a"', False),
        ("", f'"{MD5}"', True),
        ('"a"', f'"{MD5}"', False),
    ],
)
def test_files_without_md5_resume_only_under_the_same_etag_or_one_that_is_an_md5(
    before: str, now: str, expected: bool
) -> None:
    assert (
        script.resumes(
            head_of(206, "bytes 100-299/300", etag=now), remote(md5=None), part(etag=before)
        )
        is expected
    )


def test_files_without_md5_resume_only_with_the_stated_size() -> None:
    head = head_of(206, "bytes 100-299/300", etag='"a"')
    for size_bytes, expected in ((300, True), (None, True), (301, False)):
        described = remote(size_bytes, md5=None)
        assert script.resumes(head, described, part(etag='"a"')) is expected


def test_bodies_without_any_sign_of_their_end_are_not_taken_for_complete(
    tmp_path: Path,
) -> None:
    response: Any = SimpleNamespace(
        status=200, headers={}, has_end=False, length=None, chunks=lambda: iter([b"some"])
    )
    file = script.PartFile(tmp_path / "a.part")
    with pytest.raises(script.Damaged, match="completeness cannot be checked"):
        script.write_body(response, remote(None, None), file, script.Stop(), 100)
    script.write_body(response, remote(None), file, script.Stop(), 100)
    assert file.size_bytes == 4
    file.close()


def test_a_416_does_not_complete_files_without_md5() -> None:
    assert not script.resumes(
        head_of(416, "bytes */100"), remote(size_bytes=100, md5=None), part(etag='"a"')
    )


@pytest.mark.parametrize(
    "stated, fields, expected",
    [
        (7, {"OriginalSize": 0}, (64 << 20) + 14),
        (0, {"OriginalSize": 9}, (64 << 20) + 18),
        (7, {"OriginalSize": 9}, (64 << 20) + 18),
        (0, {"OriginalSize": 0}, 512 << 20),
        (0, {"IsVideo": True}, 4 << 30),
    ],
)
def test_bodies_without_a_length_are_limited_by_the_stated_sizes(
    stated: int, fields: Dict[str, Any], expected: int
) -> None:
    image = parse_image(photo_entry(**fields))
    assert script.most_expected_bytes(remote(size_bytes=stated or None), image) == expected


# =================================================================================================
# Skipping
# =================================================================================================

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20


@pytest.mark.parametrize(
    "uploaded, fresh",
    [
        ("2023-11-14T22:13:00+00:00", True),
        ("2023-11-13T22:13:21+00:00", True),
        ("2023-11-13T22:13:20+00:00", False),
        ("2013-11-14T22:13:20+00:00", False),
        ("1970-01-01T00:00:00+00:00", False),
        ("2023-12-24T00:00:00+00:00", True),
        ("", True),
        ("yesterday", True),
        ("2023-11-14", True),
    ],
)
def test_uploads_of_the_last_day_or_without_a_date_are_fresh(uploaded: str, fresh: bool) -> None:
    image = parse_image(
        photo_entry(DateTimeUploaded=uploaded, Date="", Processing=True, ArchivedUri="")
    )
    step = script.plan_image(place("a|b|1", script.NEW_ALBUM), image, "a.jpg", NOW)
    assert isinstance(step, script.Outcome if fresh else script.Job)


def album_of(clocks: str) -> Any:
    """Make an album with this change token."""
    return parse_album({"AlbumKey": "K1"})._replace(change_token=clocks)


def record(
    name: str = "a.jpg", size_bytes: int = 7, md5: str = MD5, serial: str = "2", **more: Any
) -> Any:
    """Make the record of a file."""
    return script.FileRecord(
        image_key="P1",
        serial=serial,
        name=name,
        size_bytes=size_bytes,
        md5=md5,
        modified_ns=1,
        is_original=True,
        **more,
    )


def on_disk(*files: Any) -> script.FilesOnDisk:
    """Make the content of a folder."""
    return script.FilesOnDisk(files)


def place(
    clocks: str, known: Any, records: Optional[Dict[str, Any]] = None, files: Any = None
) -> Any:
    """Make an album as it stands on disk."""
    visit = script.Visit(album_of(clocks))
    visit.folder, visit.album_record, visit.records, visit.on_disk = (
        Path("Summer"),
        known,
        records or {},
        files or on_disk(),
    )
    return visit


def test_a_smaller_copy_beside_a_damaged_original_is_not_downloaded_each_night() -> None:
    image = parse_image(photo_entry(ArchivedUri=""))
    visit = place("a|b|1", script.NEW_ALBUM, {"P1": record(damaged=True)}, on_disk(("a.jpg", 7)))
    assert isinstance(script.plan_image(visit, image, "a.jpg", NOW), script.Job)
    kept = script.Unavailable("P1", image.serial, "a.jpg", "only a smaller copy", 0, NOW + 1)
    visit.unavailable = {"P1": kept}
    step = script.plan_image(visit, image, "a.jpg", NOW)
    assert isinstance(step, script.Outcome)
    assert (step.result, step.retry) == (script.Result.ALREADY_THERE, True)
    assert isinstance(script.plan_image(visit, image, "a.jpg", NOW + 1), script.Job)
    original = parse_image(photo_entry())
    assert isinstance(script.plan_image(visit, original, "a.jpg", NOW), script.Job)
    visit.asks_again = True
    assert isinstance(script.plan_image(visit, image, "a.jpg", NOW), script.Job)


@pytest.mark.parametrize(
    "clocks, known, records, files, expected",
    [
        ("a|b|1", "a|b|1", [record()], on_disk(("a.jpg", 7)), True),
        ("a|b|1", "a|b|1", [record()], on_disk(("a.jpg", 7), ("mine.txt", 1)), True),
        ("a|b|0", "a|b|0", [], [], True),
        ("a|b|1", "a|c|1", [record()], on_disk(("a.jpg", 7)), False),
        ("a|b|1", "", [record()], on_disk(("a.jpg", 7)), False),
        ("", "", [], [], False),
        ("a|b|1", "a|b|1", [record()], [], False),
        ("a|b|1", "a|b|1", [record()], on_disk(("a.jpg", 6)), False),
        ("a|b|1", "a|b|1", [record()], on_disk(("A.jpg", 7)), True),
        ("a|b|1", "a|b|1", [record("Café.jpg")], on_disk(("Cafe\u0301.jpg", 7)), True),
        ("a|b|1", "a|b|1", [record(removed=True)], [], True),
        ("a|b|1", "a|b|1", [record(damaged=True)], on_disk(("a.jpg", 7)), False),
        ("a|b|1", "a|b|1", [record(), record("b.jpg")], on_disk(("a.jpg", 7)), False),
    ],
)
def test_albums_are_skipped_only_if_nothing_changed_on_either_side(
    clocks: str, known: str, records: List[Any], files: List[Any], expected: bool
) -> None:
    by_key = {str(number): known_file for number, known_file in enumerate(records)}
    then = script.AlbumRecord(folder="Summer", change_token=known, listed_at=0.0)
    assert script.is_unchanged(place(clocks, then, by_key, files), NOW) is expected


def test_albums_never_downloaded_completely_are_not_skipped() -> None:
    assert not script.is_unchanged(place("a|b|0", script.NEW_ALBUM), NOW)


WORDY = {
    "ImageKey": "P1",
    "FileName": "a.jpg",
    "Serial": 2,
    "ArchivedMD5": MD5,
    "ArchivedSize": 7,
    "Caption": "Swans",
    "DateTimeOriginal": "2019-08-04T18:28:12+00:00",
    "ComponentFileTypes": {"Image": ["jpg", "nef"]},
}
NO_TEXTS: Dict[str, Any] = {
    "title": "",
    "caption": "",
    "keywords": (),
    "web_uri": "",
    "location": None,
}


@pytest.mark.parametrize(
    "known, files, listed, is_home",
    [
        (record(), on_disk(("a.jpg", 7)), {}, True),
        (record("A.JPG"), on_disk(("a.jpg", 7)), {}, True),
        (record(removed=True), on_disk(("a.jpg", 7)), {}, True),
        (record(), on_disk(), {}, False),
        (record(), on_disk(("a.jpg", 6)), {}, False),
        (record(damaged=True), on_disk(("a.jpg", 7)), {}, False),
        (record(), on_disk(("a.jpg", 7)), {"ArchivedMD5": "f" * 32}, False),
        (record(), on_disk(("a.jpg", 7)), {"ImageKey": "P2"}, False),
    ],
)
def test_images_on_disk_are_planned_without_the_fields_of_downloads(
    known: Any, files: Any, listed: Dict[str, Any], is_home: bool
) -> None:
    listed_image = parse_image(photo_entry(**{**WORDY, **listed}))
    image = listed_image._replace(**NO_TEXTS)
    then = place("a|b|1", script.NEW_ALBUM, {"P1": known}, files)
    kept = script.without_metadata(then, listed_image)
    before, after = (script.plan_image(then, each, "a.jpg", NOW) for each in (image, kept))
    assert isinstance(before, script.Outcome) is is_home
    if is_home:
        assert kept.remote is None and kept.file_name == "" and kept.source_types == ("nef",)
        assert isinstance(before, script.Outcome) and isinstance(after, script.Outcome)
        assert (after.result, after.file) == (before.result, before.file)
    else:
        assert kept == image and after == before


@pytest.mark.parametrize(
    "known, listed",
    [
        (record(), {"Serial": 3}),
        (record(serial="1"), {}),
        (record()._replace(is_original=False), {}),
    ],
)
def test_images_with_a_changing_record_keep_the_fields_of_downloads(
    known: Any, listed: Dict[str, Any]
) -> None:
    image = parse_image(photo_entry(**{**WORDY, **listed}))
    visit = place("a|b|1", script.NEW_ALBUM, {"P1": known}, on_disk(("a.jpg", 7)))
    assert script.without_metadata(visit, image) == image._replace(**NO_TEXTS)


def test_images_keep_all_fields_for_sidecars() -> None:
    image = parse_image(photo_entry(**WORDY))
    visit = place("a|b|1", script.NEW_ALBUM, {"P1": record()}, on_disk(("a.jpg", 7)))
    visit.keeps_metadata = True
    assert script.without_metadata(visit, image) == image


@pytest.mark.parametrize(
    "known, listed, expected",
    [
        (record(md5=MD5, serial="2"), photo_entry(ArchivedMD5=MD5, Serial=2), True),
        (record(md5=MD5, serial="1"), photo_entry(ArchivedMD5=MD5, Serial=2), True),
        (record(md5=MD5, serial="2"), photo_entry(ArchivedMD5="cd" * 16, Serial=2), False),
        (record(md5="", serial="2"), photo_entry(ArchivedMD5=MD5, Serial=2), True),
        (record(md5="", serial="1"), photo_entry(ArchivedMD5=MD5, Serial=2), False),
        (record(md5=MD5, serial="2"), photo_entry(ArchivedUri=None, Serial=2), True),
        (record(md5=MD5, serial="1"), photo_entry(ArchivedUri=None, Serial=2), False),
    ],
)
def test_versions_are_told_by_md5_or_else_by_serial(
    known: Any, listed: Dict[str, Any], expected: bool
) -> None:
    assert script.is_version_of(known, parse_image(listed)) is expected


# =================================================================================================
# Settings, streams and paths
# =================================================================================================


@pytest.mark.parametrize(
    "platform, environ, expected",
    [
        ("linux", {}, "home/.config/download_smugmug_photos"),
        ("linux", {"XDG_CONFIG_HOME": "xdg"}, "xdg/download_smugmug_photos"),
        ("linux", {"XDG_CONFIG_HOME": ""}, "home/.config/download_smugmug_photos"),
        ("linux", {"APPDATA": "roaming"}, "home/.config/download_smugmug_photos"),
        ("darwin", {"XDG_CONFIG_HOME": "xdg"}, "xdg/download_smugmug_photos"),
        (
            "win32",
            {"APPDATA": "roaming", "XDG_CONFIG_HOME": "xdg"},
            "roaming/download_smugmug_photos",
        ),
        ("win32", {}, "home/AppData/Roaming/download_smugmug_photos"),
    ],
)
def test_the_token_file_is_in_the_systems_settings_folder(
    platform: str, environ: Dict[str, str], expected: str
) -> None:
    assert script.config_folder(environ, platform, "home") == Path(expected)


@pytest.mark.parametrize(
    "platform, at_null_device", [("linux", False), ("darwin", False), ("win32", True)]
)
def test_pins_can_come_from_anywhere_but_the_null_device(
    platform: str, at_null_device: bool, tmp_path: Path
) -> None:
    assert script.can_prompt(None, platform) is False
    (tmp_path / "pin").write_text("123456")
    with open(os.devnull) as nothing, open(str(tmp_path / "pin")) as something:
        assert script.can_prompt(something, platform) is True
        # on Windows a terminal looks like that
        assert script.can_prompt(nothing, platform) is at_null_device
    # of which the system knows nothing
    assert script.can_prompt(io.StringIO("123456"), platform) is True


class FakeTerminal(io.StringIO):
    """A standard input that is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


@pytest.mark.parametrize(
    "platform, environ, expected",
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ""}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"SSH_CONNECTION": "1", "SSH_TTY": "/dev/pts/1"}, False),
        ("linux", {"SSH_CONNECTION": "1", "DISPLAY": "localhost:10.0"}, True),
        ("freebsd13", {"DISPLAY": ":0"}, True),
        ("freebsd13", {}, False),
        ("darwin", {}, True),
        ("darwin", {"SSH_CONNECTION": "1"}, False),
        ("darwin", {"SSH_TTY": "/dev/ttys001"}, False),
        ("win32", {}, True),
        ("win32", {"SSH_CLIENT": "1"}, False),
    ],
)
def test_a_browser_opens_only_before_a_screen(
    platform: str, environ: Dict[str, str], expected: bool
) -> None:
    assert script.can_open_browser(FakeTerminal(), environ, platform) is expected
    assert script.can_open_browser(io.StringIO("a pipe"), environ, platform) is False
    assert script.can_open_browser(None, environ, platform) is False


@pytest.mark.parametrize(
    "platform, expected", [("linux", "\x1b[K"), ("darwin", "\x1b[K"), ("win32", "     ")]
)
def test_lines_are_cleared_by_the_means_of_the_console(platform: str, expected: str) -> None:
    assert script.rest_of_line(5, platform) == expected


@pytest.mark.parametrize(
    "platform, characters, expected",
    [
        ("linux", 300, False),
        ("darwin", 300, False),
        ("win32", 247, False),
        ("win32", 248, True),
        ("win32", 300, True),
    ],
)
def test_paths_too_long_for_windows_are_reported_with_a_way_out(
    platform: str, characters: int, expected: bool
) -> None:
    path = Path(os.path.abspath(os.sep)) / ("x" * (characters - len(os.path.abspath(os.sep))))
    # a part file has a longer name
    error = FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
    problem = script.disk_problem(error, path.with_name("short"), platform)
    assert ("Choose a shorter --output" in str(problem)) is expected
    assert str(problem).startswith("No such file or directory: ")
    denied = script.disk_problem(
        PermissionError(errno.EACCES, "Permission denied", str(path)), path, platform
    )
    assert "shorter" not in str(denied)


@pytest.mark.parametrize(
    "error, expected",
    [
        (FileNotFoundError(errno.ENOENT, "the working folder is gone"), True),
        (OSError(errno.ENAMETOOLONG, "File name too long"), True),
        (UnicodeEncodeError("ascii", "\u00e9", 0, 1, "not in this file system"), True),
        (RuntimeError("Symlink loop"), False),
        (PermissionError(errno.EACCES, "Permission denied"), False),
        (OSError(errno.ELOOP, "Too many levels of symbolic links"), False),
    ],
)
def test_unresolvable_paths_do_not_count_as_inside_a_folder(
    error: Exception, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(path: Path) -> Path:
        raise error

    monkeypatch.setattr(Path, "resolve", resolve)
    assert script.is_within(Path("photos/Summer"), Path("photos")) is expected


def test_abandoned_log_files_stay_silent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(script.LogFile(tmp_path / "log.txt")) as log_file:
        log_file.handleError(logging.makeLogRecord({"msg": "from a thread that had to wait"}))
    assert caplog.text == ""


def test_credentials_hide_themselves_in_repr() -> None:
    credentials = script.Credentials("key", "s3cret-of-key", "token", "s3cret-of-token")
    assert "s3cret" not in f"{credentials} {credentials!r} {[credentials]}"


@pytest.mark.parametrize("platform_error", [OSError("no"), KeyboardInterrupt()])
def test_failed_atomic_writes_leave_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform_error: BaseException
) -> None:
    def broken(*arguments: Any) -> None:
        raise platform_error

    target = tmp_path / "token.json"
    target.write_bytes(b"old")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(type(platform_error)):
        script.write_atomically(target, b"new", mode=0o600)
    assert target.read_bytes() == b"old"
    assert sorted(tmp_path.iterdir()) == before


# =================================================================================================
# Bodies
# =================================================================================================


def test_large_bodies_are_read_in_larger_pieces_while_fast() -> None:
    host = script.Host("photos.smugmug.com", 3600.0, lambda: 0.0)
    connection: Any = SimpleNamespace(
        bodies=set(),
        host=lambda url: host,
        piece_bytes=1 << 16,
        is_quick=False,
        slow_seconds=60.0,
        received_bytes=0,
        rate_limit=None,
        file_bytes=0,
    )
    pieces: List[int] = []

    def read(size_bytes: int, is_slow: bool = False) -> None:
        def iter_content(piece_bytes: int) -> Any:
            pieces.append(piece_bytes)
            yield bytes(size_bytes)

        raw: Any = SimpleNamespace(status_code=200, headers={}, iter_content=iter_content)
        response = script.Response(raw, "https://photos.smugmug.com/a", connection)
        response.is_slow = is_slow
        for _ in response.chunks():
            pass

    read(100)
    read(2 << 20)
    read(2 << 20)
    with pytest.raises(script.RequestFailed, match="sent almost no data"):
        read(0, is_slow=True)
    read(100)
    assert pieces == [1 << 16, 1 << 16, 1 << 18, 1 << 18, 1 << 16]


# =================================================================================================
# Files on disk
# =================================================================================================


@pytest.mark.parametrize(
    "number, free, video, ends",
    [
        (errno.EDQUOT, 1 << 40, False, True),
        (errno.EDQUOT, 1 << 40, True, True),
        (errno.ENOSPC, 1 << 40, False, False),
        (errno.ENOSPC, 0, True, True),
        (errno.ENOSPC, None, False, True),
        (errno.ENOSPC, None, True, False),
        (errno.EIO, 0, False, False),
    ],
)
def test_a_full_disk_ends_the_run_unless_smaller_files_may_fit(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    number: int,
    free: Optional[int],
    video: bool,
    ends: bool,
) -> None:
    monkeypatch.setattr(script, "free_space", lambda folder: free)
    image = parse_image(photo_entry(IsVideo=video))
    job = script.Job(album_of("1|2|3"), image, tmp_path, "a.jpg")
    error = OSError(number, os.strerror(number))
    if ends:
        with pytest.raises(script.DiskFull):
            script.disk_reason(error, job)
    else:
        assert os.strerror(number) in script.disk_reason(error, job)


@pytest.mark.parametrize(
    "names, expected",
    [((), False), (("missing",), False), (("short",), False), (("short", "missing", "fit"), True)],
)
def test_any_of_several_files_may_be_the_image(
    tmp_path: Path, names: Tuple[str, ...], expected: bool
) -> None:
    (tmp_path / "short").write_bytes(b"1")
    (tmp_path / "fit").write_bytes(bytes(1234))
    image = parse_image(photo_entry())
    job = script.Job(album_of("1|2|3"), image, tmp_path, "a.jpg", adoptable=names)
    assert script.looks_adoptable(job) is expected


@pytest.mark.parametrize(
    "fields, recorded, expected",
    [
        ({}, {}, True),
        ({}, {"stated_md5": "cd" * 16}, False),
        ({}, {"stated_md5": ""}, False),
        ({"ArchivedMD5": ""}, {"size_bytes": 1234}, True),
        ({"ArchivedMD5": "", "ArchivedSize": 1235}, {"size_bytes": 1234}, False),
        ({"ArchivedMD5": "", "ArchivedSize": None}, {"size_bytes": 1234}, True),
        ({"ArchivedUri": ""}, {}, True),
        ({"ArchivedUri": "", "Serial": 3}, {"stated_md5": ""}, True),
        ({"ArchivedUri": ""}, {"damaged": True, "stated_md5": ""}, True),
        ({"ArchivedUri": ""}, {"stated_md5": ""}, False),
    ],
)
def test_an_offer_is_known_by_its_md5_and_without_one_by_its_size(
    fields: Dict[str, Any], recorded: Dict[str, Any], expected: bool
) -> None:
    image = parse_image(photo_entry(**fields))
    file = record(md5="ef" * 16, stated_md5=MD5)._replace(**recorded)
    assert script.is_offer_beside(image, file) is expected


def new_file(path: Path, content: bytes) -> script.NewFile:
    """Return a downloaded file that still has its part file's name."""
    file = script.PartFile(path)
    file.write(content)
    return script.NewFile(file, script.Result.DOWNLOADED, is_original=True, is_full=True)


def test_a_file_that_is_edited_during_the_decision_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"before")
    image = parse_image(photo_entry(ArchivedMD5="", ArchivedSize=0, OriginalSize=0))
    known = script.file_record(
        image._replace(serial="1"), path, script.file_md5(path), True, is_written=True
    )
    job = script.Job(album_of("1|2|3"), image, tmp_path, "a.jpg", known)
    decide = script.choose_landing
    decisions = []

    def edit_meanwhile(*arguments: Any) -> Any:
        decisions.append(decide(*arguments))
        if len(decisions) == 1:
            path.write_bytes(b"edited by the user")
        return decisions[-1]

    monkeypatch.setattr(script, "choose_landing", edit_meanwhile)
    new = new_file(tmp_path / ".P1.part", b"new")
    outcome = script.move_into_place(job, new, threading.Lock())
    assert decisions == [script.Landing.REPLACE, script.Landing.BESIDE]
    assert path.read_bytes() == b"edited by the user"
    assert outcome.file is not None
    assert (tmp_path / outcome.file.name).read_bytes() == b"new"


def test_the_file_beside_is_found_by_its_content(tmp_path: Path) -> None:
    image = parse_image(photo_entry())
    new = new_file(tmp_path / ".P1.part", b"new")
    path, first, second = (tmp_path / name for name in ("a.jpg", "a_P1.jpg", "a_P1-2.jpg"))
    for occupied, content in ((path, b"old"), (first, b"wen")):
        occupied.write_bytes(content)
        assert script.file_beside(path, image, new) is None
    second.write_bytes(b"new")
    assert script.file_beside(path, image, new) == second
    new.part.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_a_pipe_in_place_of_a_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(str(tmp_path / "a.jpg"))
    check = script.CheckedFile("A1", record(), tmp_path / "a.jpg")
    hashes: Any = SimpleNamespace(md5=lambda *arguments: pytest.fail("it would never end"))
    checked = script.check_file(check, hashes, script.Stop())
    assert checked.condition is script.Condition.UNREADABLE
    assert checked.reason == "it is not a regular file"
