"""Films: when they were taken, where their files are found, and what becomes of those that have none."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any, Dict, List

import pytest

from conftest import Run
from fake_smugmug import Account, FakeSmugMug, Image, Video, bytes_of, file_content
from helpers import NOTHING_NEW, files_on_disk, of_file, parse_image, sync

DAY = 86_400.0
NIGHT = DAY + 60  # from one nightly run to the next: they do not begin on the second
UPLOADED = datetime(2024, 6, 1, 12, 0, 0)  # in UTC


def asked_for(smugmug: FakeSmugMug, image: Image) -> List[str]:
    """What was asked of the API for one image alone."""
    return [
        record.path.rpartition("/")[2].partition("!")[2] or "the image"
        for record in smugmug.select("api", f"/image/{image.key}")
    ]


# ======================================================================================================================
# When they were taken
# ======================================================================================================================


@pytest.mark.parametrize(
    "zone, fields, expected",
    [
        ("EST5", {"created_utc": datetime(2024, 5, 1, 20, 0, 0)}, datetime(2024, 5, 1, 20, 0, 0)),
        ("EST5", {"created_utc": UPLOADED}, UPLOADED),
        ("IST-5:30", {"taken": datetime(2024, 6, 1, 15, 0, 0)}, datetime(2024, 6, 1, 9, 30, 0)),
        ("IST-5:30", {"taken": datetime(2024, 6, 1, 18, 0, 0)}, UPLOADED),
        ("EST5", {"taken": datetime(2024, 6, 1, 15, 0, 0)}, UPLOADED),
        ("EST5", {}, UPLOADED),
    ],
    ids=[
        "in UTC",
        "in UTC, just before its upload",
        "the camera's clock",
        "the camera's clock, and too late",
        "the camera's clock, and later than the upload both ways",
        "unknown",
    ],
)
def test_a_film_bears_the_time_that_it_states_in_utc_if_that_lies_before_its_upload(
    account: Account, run: Run, zone: str, fields: Dict[str, Any], expected: datetime
) -> None:
    account.album("Summer").video("film.mp4", uploaded=UPLOADED, **fields)
    assert run(env={"TZ": zone}).returncode == 0
    modified = (run.output / "Summer" / "film.mp4").stat().st_mtime
    assert datetime.fromtimestamp(modified, timezone.utc) == expected.replace(tzinfo=timezone.utc)


def test_the_time_of_a_film_stays_out_of_what_is_for_the_clock_of_the_camera(
    account: Account, run: Run
) -> None:
    album = account.album("Summer")
    album.video("film.mp4", created_utc=datetime(2023, 5, 1, 20, 0, 0), title="Swans")
    album.photo("photo.JPG", taken=datetime(2023, 5, 1, 20, 0, 0), title="Swans")
    sync(run, "--sidecar", "xmp,json,dates")
    said = {
        name: (run.output / "Summer" / f"{name}.xmp").read_text()
        for name in ("film.mp4", "photo.JPG")
    }
    images = json.loads((run.output / "Summer" / "album.json").read_text())["images"]
    assert [image["taken"] for image in images] == [None, "2023-05-01T20:00:00"]
    for field in ("DateCreated", "DateTimeOriginal", "CreateDate"):
        assert field not in said["film.mp4"] and field in said["photo.JPG"]


# ======================================================================================================================
# Where their files are found
# ======================================================================================================================


@pytest.mark.parametrize("width, height", [(1920, 1080), (1080, 1920)], ids=["level", "upright"])
@pytest.mark.parametrize(
    "fields", [{}, {"processing": True, "playable": True}], ids=["ready", "processing for long"]
)
@pytest.mark.parametrize("largest, linked", [(1920, True), (960, True), (1280, False)])
def test_a_film_without_a_largest_video_is_fetched_in_its_largest_size_and_proven(
    account: Account,
    smugmug: FakeSmugMug,
    run: Run,
    width: int,
    height: int,
    fields: Dict[str, Any],
    largest: int,
    linked: bool,
) -> None:
    film = account.album("Summer").video(
        "film.MOV",
        width=width,
        height=height,
        largest_given=False,
        largest_size=largest,
        largest_linked=linked,
        **fields,
    )
    smugmug.fault("corrupt", of_file(film))

    result = sync(run)

    content = file_content(film, str(largest))
    assert content is not None and files_on_disk(run.output) == {
        "Summer/film.mp4": bytes_of(content)
    }
    assert result.downloads == 2, "its MD5 is known, so damage is found"
    assert all(f"/{largest}/" in record.path for record in smugmug.select("cdn"))
    assert asked_for(smugmug, film) == ["largestvideo", "sizedetails"]
    assert "\n1 photo or video is in " in result.stderr
    assert sync(run).cost == NOTHING_NEW


def test_a_film_that_is_still_processed_is_not_ready_for_a_day(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.set_clock()
    film = account.album("Summer").video(
        "film.MOV", processing=True, playable=True, largest_given=False
    )
    assert "\nStill processing (1):\n" in sync(run).stderr
    assert asked_for(smugmug, film) == [] and files_on_disk(run.output) == {}
    smugmug.let_time_pass(NIGHT)
    sync(run)
    assert files_on_disk(run.output) == {"Summer/film.mp4": film.data}


@pytest.mark.parametrize(
    "here, there", [("", ""), ("", "?_shorturis="), ("?_shorturis=", "?_shorturis=")]
)
def test_the_file_of_a_film_is_found_among_the_expansions_however_they_are_keyed(
    here: str, there: str
) -> None:
    uri = "/api/v2/image/abc-0!largestvideo"
    entry = {"ImageKey": "abc", "Serial": 0, "IsVideo": True, "Uris": {"LargestVideo": uri + here}}
    image = parse_image(
        entry,
        {uri + there: {"LargestVideo": {"Url": "https://photos.smugmug.com/x.mp4", "Size": 7}}},
    )
    assert image.remote is not None and image.remote.size_bytes == 7


# ======================================================================================================================
# What cannot be had
# ======================================================================================================================


@pytest.fixture
def unavailable(account: Account) -> Video:
    """A film without a file, in an album with a photo."""
    album = account.album("Summer")
    album.photo()
    return album.video("film.MOV", playable=False)


def is_told(text: str) -> bool:
    """Whether the summary names the film as unavailable."""
    return "1 unavailable" in text and "\nUnavailable (1):\n  Summer/film.MOV: " in text


def test_what_cannot_be_had_is_asked_for_after_a_day_then_ever_more_rarely_down_to_once_a_month_and_told_by_every_run(
    account: Account, smugmug: FakeSmugMug, run: Run, unavailable: Video
) -> None:
    asked_on = []
    today = 0.0
    for day in (0, 0.5, 1.1, 2, 3.2, 5, 7.3, 11, 15.4, 23, 31.5, 45, 61, 61.6, 91, 91.7, 121.8):
        smugmug.let_time_pass((day - today) * DAY)
        today = day
        result = sync(run)
        assert is_told(result.stderr) and "1 of 2 are in " in result.stderr
        if asked_for(smugmug, unavailable):
            asked_on.append(day)
            assert asked_for(smugmug, unavailable) == ["largestvideo", "sizedetails", "the image"]
    assert asked_on == [0, 1.1, 3.2, 7.3, 15.4, 31.5, 61.6, 91.7, 121.8]
    assert sync(run).cost == NOTHING_NEW


def test_an_answer_without_the_time_of_day_does_not_bring_back_a_wrong_clock(
    account: Account, smugmug: FakeSmugMug, run: Run, unavailable: Video
) -> None:
    account.set_clock(datetime(2034, 5, 6, 7, 8, 9))
    for path, status in (
        (f"/image/{unavailable.key}-0!", 404),
        (f"/image/{unavailable.key}-0[?]", 200),
    ):
        smugmug.fault(
            "respond",
            path,
            times=None,
            status=status,
            headers={"Date": ""},
            body=b'{"Response": {}}',
        )
    assert is_told(sync(run).stderr) and len(asked_for(smugmug, unavailable)) == 3
    assert sync(run).cost == NOTHING_NEW  # at SmugMug, a day has not gone by


def test_a_listing_for_another_reason_asks_no_earlier_for_what_cannot_be_had(
    account: Account, smugmug: FakeSmugMug, run: Run, unavailable: Video
) -> None:
    sync(run)
    for args in (("--full",), ("--sidecar", "json"), ()):
        unavailable.album.touch()
        result = sync(run, *args)
        assert result.cost == (3, 0) and is_told(result.stderr)
    smugmug.let_time_pass(NIGHT)
    assert sync(run).calls == 3 + 3


def test_a_file_that_is_there_at_last_comes_home_as_soon_as_it_is_listed(
    account: Account, run: Run, unavailable: Video
) -> None:
    sync(run)
    unavailable.playable = True
    unavailable.album.touch()
    result = sync(run)
    assert result.cost == (3, 1) and not is_told(result.stderr)
    assert files_on_disk(run.output)["Summer/film.mp4"] == unavailable.data
    again = sync(run)
    assert again.cost == NOTHING_NEW and "All 2 photos and videos are in " in again.stderr


def test_a_new_version_of_what_could_not_be_had_is_asked_for_at_once(
    account: Account, smugmug: FakeSmugMug, run: Run, unavailable: Video
) -> None:
    sync(run)
    unavailable.replace(unavailable.content, moves_clock=True)
    result = sync(run)
    assert asked_for(smugmug, unavailable) == [
        "largestvideo",
        "sizedetails",
        "the image",
    ] and is_told(result.stderr)
    smugmug.let_time_pass(NIGHT)
    # it begins with a day once more
    assert len(asked_for(smugmug, unavailable)) == 3 and sync(run).calls == 3 + 3


def test_what_could_not_be_had_and_was_deleted_is_forgotten(
    account: Account, smugmug: FakeSmugMug, run: Run, unavailable: Video
) -> None:
    sync(run)
    unavailable.album.remove(unavailable)
    result = sync(run)
    assert result.cost == (3, 0) and "navailable" not in result.stderr
    smugmug.let_time_pass(2 * NIGHT)
    assert sync(run).cost == NOTHING_NEW


def test_a_dry_run_names_what_cannot_be_had_and_does_not_count_it(
    account: Account, smugmug: FakeSmugMug, run: Run, unavailable: Video
) -> None:
    sync(run)
    for args in ((), ("--full",)):
        result = sync(run, "--dry-run", *args)
        assert result.stdout == "To download: 0 files, 0 B\n" and is_told(result.stderr)
    smugmug.let_time_pass(NIGHT)
    sync(run, "--dry-run")
    assert asked_for(smugmug, unavailable) == [], "a dry run asks for no file"
    assert sync(run).calls == 3 + 3, "and puts nothing off"
