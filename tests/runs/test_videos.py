"""Are videos dated and found, and are those without a file handled?"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any, Dict, List

import pytest

from conftest import Run
from fake_smugmug import Account, FakeSmugMug, Image, Video, bytes_of, file_content
from helpers import NOTHING_NEW, files_on_disk, of_file, parse_image, sync

DAY = 86_400.0
NIGHT = DAY + 60  # between nightly runs, which do not begin on the second
UPLOADED = datetime(2024, 6, 1, 12, 0, 0)  # in UTC


def asked_for(smugmug: FakeSmugMug, image: Image) -> List[str]:
    """Return what was requested from the API for one image alone."""
    return [
        record.path.rpartition("/")[2].partition("!")[2] or "the image"
        for record in smugmug.select("api", f"/image/{image.key}")
    ]


# =================================================================================================
# Dates
# =================================================================================================


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
def test_videos_bear_their_utc_time_if_it_is_before_the_upload(
    account: Account, run: Run, zone: str, fields: Dict[str, Any], expected: datetime
) -> None:
    account.album("Summer").video("video.mp4", uploaded=UPLOADED, **fields)
    assert run(env={"TZ": zone}).returncode == 0
    modified = (run.output / "Summer" / "video.mp4").stat().st_mtime
    assert datetime.fromtimestamp(modified, timezone.utc) == expected.replace(tzinfo=timezone.utc)


def test_times_of_videos_are_not_written_as_camera_times(account: Account, run: Run) -> None:
    album = account.album("Summer")
    album.video("video.mp4", created_utc=datetime(2023, 5, 1, 20, 0, 0), title="Swans")
    album.photo("photo.JPG", taken=datetime(2023, 5, 1, 20, 0, 0), title="Swans")
    sync(run, "--sidecar", "xmp,json,dates")
    said = {
        name: (run.output / "Summer" / f"{name}.xmp").read_text()
        for name in ("video.mp4", "photo.JPG")
    }
    images = json.loads((run.output / "Summer" / "album.json").read_text())["images"]
    assert [image["taken"] for image in images] == [None, "2023-05-01T20:00:00"]
    for field in ("DateCreated", "DateTimeOriginal", "CreateDate"):
        assert field not in said["video.mp4"] and field in said["photo.JPG"]


# =================================================================================================
# Files
# =================================================================================================


@pytest.mark.parametrize("width, height", [(1920, 1080), (1080, 1920)], ids=["level", "upright"])
@pytest.mark.parametrize(
    "fields", [{}, {"processing": True, "playable": True}], ids=["ready", "processing for long"]
)
@pytest.mark.parametrize("largest, linked", [(1920, True), (960, True), (1280, False)])
def test_videos_without_largest_video_are_downloaded_in_their_largest_size(
    account: Account,
    smugmug: FakeSmugMug,
    run: Run,
    width: int,
    height: int,
    fields: Dict[str, Any],
    largest: int,
    linked: bool,
) -> None:
    video = account.album("Summer").video(
        "video.MOV",
        width=width,
        height=height,
        largest_given=False,
        largest_size=largest,
        largest_linked=linked,
        **fields,
    )
    smugmug.fault("corrupt", of_file(video))

    result = sync(run)

    content = file_content(video, str(largest))
    assert content is not None and files_on_disk(run.output) == {
        "Summer/video.mp4": bytes_of(content)
    }
    assert result.downloads == 2, "its MD5 is known, so damage is found"
    assert all(f"/{largest}/" in record.path for record in smugmug.select("cdn"))
    assert asked_for(smugmug, video) == ["largestvideo", "sizedetails"]
    assert "\n1 photo or video is in " in result.stderr
    assert sync(run).cost == NOTHING_NEW


def test_videos_without_a_file_count_as_processing_for_a_day(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.set_clock()
    video = account.album("Summer").video(
        "video.MOV", processing=True, playable=True, largest_given=False
    )
    assert "\nStill processing (1):\n" in sync(run).stderr
    assert asked_for(smugmug, video) == [] and files_on_disk(run.output) == {}
    smugmug.let_time_pass(NIGHT)
    sync(run)
    assert files_on_disk(run.output) == {"Summer/video.mp4": video.data}


@pytest.mark.parametrize(
    "here, there", [("", ""), ("", "?_shorturis="), ("?_shorturis=", "?_shorturis=")]
)
def test_files_of_videos_are_found_in_expansions_under_any_key(here: str, there: str) -> None:
    uri = "/api/v2/image/abc-0!largestvideo"
    entry = {"ImageKey": "abc", "Serial": 0, "IsVideo": True, "Uris": {"LargestVideo": uri + here}}
    image = parse_image(
        entry,
        {uri + there: {"LargestVideo": {"Url": "https://photos.smugmug.com/x.mp4", "Size": 7}}},
    )
    assert image.remote is not None and image.remote.size_bytes == 7


# =================================================================================================
# Unavailable files
# =================================================================================================


@pytest.fixture
def unavailable(account: Account) -> Video:
    """Add a video without a file to an album with a photo."""
    album = account.album("Summer")
    album.photo()
    return album.video("video.MOV", playable=False)


def is_named(text: str) -> bool:
    """Return True if the summary names the video as unavailable."""
    return "1 unavailable" in text and "\nUnavailable (1):\n  Summer/video.MOV: " in text


def test_unavailable_files_are_retried_at_growing_intervals_and_named_by_every_run(
    account: Account, smugmug: FakeSmugMug, run: Run, unavailable: Video
) -> None:
    asked_on = []
    today = 0.0
    for day in (0, 0.5, 1.1, 2, 3.2, 5, 7.3, 11, 15.4, 23, 31.5, 45, 61, 61.6, 91, 91.7, 121.8):
        smugmug.let_time_pass((day - today) * DAY)
        today = day
        result = sync(run)
        assert is_named(result.stderr) and "1 of 2 are in " in result.stderr
        if asked_for(smugmug, unavailable):
            asked_on.append(day)
            assert asked_for(smugmug, unavailable) == ["largestvideo", "sizedetails", "the image"]
    assert asked_on == [0, 1.1, 3.2, 7.3, 15.4, 31.5, 61.6, 91.7, 121.8]
    assert sync(run).cost == NOTHING_NEW


def test_responses_without_a_date_do_not_restore_a_wrong_clock(
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
    assert is_named(sync(run).stderr) and len(asked_for(smugmug, unavailable)) == 3
    assert sync(run).cost == NOTHING_NEW  # on SmugMug, less than a day has passed


def test_listings_do_not_retry_unavailable_files_early(
    account: Account, smugmug: FakeSmugMug, run: Run, unavailable: Video
) -> None:
    sync(run)
    for args in (("--full",), ("--sidecar", "json"), ()):
        unavailable.album.touch()
        result = sync(run, *args)
        assert result.cost == (3, 0) and is_named(result.stderr)
    smugmug.let_time_pass(NIGHT)
    assert sync(run).calls == 3 + 3


def test_files_available_at_last_are_downloaded_when_listed(
    account: Account, run: Run, unavailable: Video
) -> None:
    sync(run)
    unavailable.playable = True
    unavailable.album.touch()
    result = sync(run)
    assert result.cost == (3, 1) and not is_named(result.stderr)
    assert files_on_disk(run.output)["Summer/video.mp4"] == unavailable.data
    again = sync(run)
    assert again.cost == NOTHING_NEW and "All 2 photos and videos are in " in again.stderr


def test_new_versions_of_unavailable_files_are_requested_at_once(
    account: Account, smugmug: FakeSmugMug, run: Run, unavailable: Video
) -> None:
    sync(run)
    unavailable.replace(unavailable.content, moves_clock=True)
    result = sync(run)
    assert asked_for(smugmug, unavailable) == [
        "largestvideo",
        "sizedetails",
        "the image",
    ] and is_named(result.stderr)
    smugmug.let_time_pass(NIGHT)
    # the intervals begin with a day again
    assert len(asked_for(smugmug, unavailable)) == 3 and sync(run).calls == 3 + 3


def test_deleted_unavailable_files_are_forgotten(
    account: Account, smugmug: FakeSmugMug, run: Run, unavailable: Video
) -> None:
    sync(run)
    unavailable.album.remove(unavailable)
    result = sync(run)
    assert result.cost == (3, 0) and "1 unavailable" not in result.stderr
    smugmug.let_time_pass(2 * NIGHT)
    assert sync(run).cost == NOTHING_NEW


def test_previews_name_unavailable_files_without_counting_them(
    account: Account, smugmug: FakeSmugMug, run: Run, unavailable: Video
) -> None:
    sync(run)
    for args in ((), ("--full",)):
        result = sync(run, "--dry-run", *args)
        assert result.stdout == "To download: 0 files, 0 B\n" and is_named(result.stderr)
    smugmug.let_time_pass(NIGHT)
    sync(run, "--dry-run")
    assert asked_for(smugmug, unavailable) == [], "a dry run asks for no file"
    assert sync(run).calls == 3 + 3, "and puts nothing off"
