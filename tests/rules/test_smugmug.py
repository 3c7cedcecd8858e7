"""Are albums and images read from any response, even with fields of odd types?"""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import download_smugmug_photos as script
from helpers import parse_album, parse_image, photo_entry

BUDGET = settings(max_examples=60, deadline=None, database=None, derandomize=True)
JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


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
