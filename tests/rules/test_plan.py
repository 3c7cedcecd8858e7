"""Is an album skipped only if nothing changed, and are versions told apart?"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

import download_smugmug_photos as script
from helpers import MD5, album_of, parse_image, photo_entry, record

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


@pytest.mark.parametrize("since", ["", "2020-01-01"])
def test_upload_times_of_images_on_disk_are_kept_for_since(since: str) -> None:
    image = parse_image(photo_entry(**WORDY, DateTimeUploaded="2020-05-01T10:00:00+00:00"))
    visit = place("a|b|1", script.NEW_ALBUM, {"P1": record()}, on_disk(("a.jpg", 7)))
    visit.since = since
    kept = script.without_metadata(visit, image)
    assert kept.uploaded == (image.uploaded if since else "") and image.uploaded
    assert kept.key is visit.records["P1"].image_key


def test_previews_keep_only_the_sizes_and_md5s_of_files() -> None:
    image = parse_image(photo_entry(**WORDY))
    visit = place("a|b|1", script.NEW_ALBUM)
    visit.is_preview = True
    kept = script.without_metadata(visit, image)
    assert (
        kept.remote is not None and image.remote is not None and image.remote.url and image.taken
    )
    assert kept.remote == image.remote._replace(url="") and kept.taken == ""
    undecided = image._replace(remote=None)
    assert script.without_metadata(visit, undecided).remote is None


@pytest.mark.parametrize(
    "known, listed",
    [
        (record(), {"Serial": 3}),
        (record(serial="1"), {}),
        (record()._replace(is_original=False), {}),
        (record(removed=True), {}),
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
