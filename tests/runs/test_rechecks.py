"""Are changes found that SmugMug's dates hide: silent replacements and lagging listings?"""

from __future__ import annotations

import re
import signal
from collections import Counter
from datetime import datetime
from typing import Any, Dict, List

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import JPEG_MAGIC, Account, Album, FakeSmugMug, Image, Lag, Pattern
from helpers import (
    NOTHING_NEW,
    expected_files,
    files_on_disk,
    of_file,
    of_list,
    parse_album,
    stop,
    sync,
)

DAY = 86_400.0
NIGHT = DAY + 60  # between nightly runs, which do not begin on the second
ALBUMS = 60


def listed(smugmug: FakeSmugMug) -> List[str]:
    """Return the keys of the albums listed since the requests were forgotten."""
    return [
        record.path.split("/")[-1].split("!")[0] for record in smugmug.select("api", "!images")
    ]


# =================================================================================================
# Regular rechecks.
# =================================================================================================


def test_silently_replaced_photos_are_downloaded_within_a_month_of_nightly_runs(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photos = {}
    for number in range(ALBUMS):
        album = account.album(f"Album {number:02}")
        photos[album.key] = album.photo()
    sync(run)
    for number, photo in enumerate(photos.values()):
        photo.replace(Pattern(2500, number, JPEG_MAGIC), moves_clock=False)
    seen: Dict[str, List[int]] = {key: [0] for key in photos}

    for night in range(1, 46):
        smugmug.let_time_pass(NIGHT)
        result = sync(run)
        keys = listed(smugmug)
        assert len(keys) <= 3
        for key in keys:
            seen[key].append(night)
        first_looks = sum(len(seen[key]) == 2 for key in keys)
        assert result.cost == (1 + 1 + len(keys), first_looks)
        again = f"{len(keys)} rechecked, " if keys else ""
        assert (
            f"Albums: 0 new, 0 changed, {again}{ALBUMS - len(keys)} unchanged\n" in result.stderr
        )
        assert (f", {first_looks} replaced" in result.stderr) == (first_looks > 0)

    assert files_on_disk(run.output) == expected_files(*account.albums)
    gaps = [
        later - earlier for nights in seen.values() for earlier, later in zip(nights, nights[1:])
    ]
    assert min(gaps) >= 7 and max(gaps) <= 30 and min(map(len, seen.values())) >= 2


@pytest.mark.parametrize("number", [1, 19, 20, 21, 39, 59, 60, 61, 400])
def test_every_album_is_rechecked_within_a_month_and_none_within_a_week(
    number: int,
) -> None:
    albums = [
        parse_album(
            {
                "AlbumKey": f"a{index}",
                "LastUpdated": "x",
                "ImagesLastUpdated": "y",
                "ImageCount": 1,
            }
        )
        for index in range(number)
    ]
    known = {album.key: script.AlbumRecord("folder", album.change_token, 0.0) for album in albums}
    looks: Counter[str] = Counter()
    for night in range(1, 92):
        now = night * DAY
        keys = script.albums_to_recheck(albums, known, now)
        assert len(keys) <= max(1, number / 20 + 1)
        for key in keys:
            assert 7 * DAY <= now - known[key].listed_at <= 30 * DAY
            known[key] = known[key]._replace(listed_at=now)
            looks[key] += 1
    assert len(looks) == number and min(looks.values()) >= 3


def test_incomplete_and_changed_albums_are_not_rechecked(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    _, changed, failing = (account.album(name) for name in ("Still", "Changed", "Failing"))
    for album in account.albums:
        album.photo()
    smugmug.fault("respond", of_file(failing.images[0]), times=None, status=403)
    sync(run, exit_code=1)
    changed.touch()
    smugmug.let_time_pass(30 * NIGHT)
    assert sync(run, exit_code=1).cost == (2 + 3, 1)
    assert sync(run, exit_code=1).cost == (2 + 1, 1)
    assert listed(smugmug) == [failing.key]


def test_runs_for_one_album_recheck_it_but_not_within_a_week(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    one, other = account.album("One"), account.album("Other")
    one.photo()
    other.photo()
    sync(run)
    looks = []
    for _ in range(16):
        smugmug.let_time_pass(NIGHT)
        sync(run, "--album", "One")
        looks.append(listed(smugmug))
    assert [night for night, keys in enumerate(looks, 1) if keys == [one.key]] == [7, 14]
    assert sum(map(len, looks)) == 2
    assert len(set(looks[6]) & {other.key}) == 0


# =================================================================================================
# Recent dates are not trusted.
# =================================================================================================


def swap(album: Album) -> Image:
    """Delete the last photo of an album and upload another, which keeps its ImageCount."""
    album.remove(album.images[-1])
    return album.photo(f"{len(album.account.albums)} {album.images_last_updated:%H%M%S}.JPG")


YEARS_APART = [None, datetime(2034, 5, 6, 7, 8, 9), datetime(2019, 5, 6, 7, 8, 9)]


@pytest.mark.parametrize(
    "moment", YEARS_APART, ids=["same clocks", "SmugMug years ahead", "SmugMug years behind"]
)
def test_uploads_missing_in_a_listing_are_downloaded_by_the_next_run(
    account: Account, smugmug: FakeSmugMug, run: Run, moment: Any
) -> None:
    account.set_clock(moment)
    album = account.album("Summer")
    album.photo("a.JPG")
    album.photo("b.JPG")
    sync(run)
    account.lag = Lag(seconds=600)
    late = swap(album)

    assert "Summer/" + late.file_name not in files_on_disk(run.output)
    sync(run)  # its dates have moved, but the listing is old
    smugmug.let_time_pass(600)
    result = sync(run)

    assert result.cost == (3, 1)
    assert "\nAlbums: 0 new, 0 changed, 1 rechecked, 0 unchanged\n" in result.stderr
    assert files_on_disk(run.output)["Summer/" + late.file_name] == late.data
    assert sync(run).cost == (3, 0)
    smugmug.let_time_pass(330)
    # a quarter of an hour has passed, and the listing is trusted
    assert sync(run).cost == (
        3,
        0,
    )
    assert sync(run).cost == NOTHING_NEW


def test_dates_are_judged_at_the_time_of_the_listing(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.set_clock()
    album = account.album("Summer")
    album.photo("a.JPG")
    album.photo("b.JPG", archived=False)  # needs a request, whose response tells the time
    smugmug.fault("stall", "cdn", seconds=1, before_headers=True)
    process = run.start("-j", 1)
    smugmug.wait_for(lambda: smugmug.count("cdn"))
    smugmug.let_time_pass(3600)
    assert process.wait() == 0
    assert sync(run).cost == (3, 0)
    assert sync(run).cost == NOTHING_NEW


@pytest.mark.parametrize("hours, state", [(1, "Still processing"), (25, "Unavailable")])
def test_smugmugs_clock_decides_if_an_upload_is_fresh(
    account: Account, smugmug: FakeSmugMug, run: Run, hours: float, state: str
) -> None:
    account.set_clock(datetime(2034, 5, 6, 7, 8, 9))
    account.album("Summer").video(processing=True)
    smugmug.let_time_pass(hours * 3600)
    assert f"\n{state} (1):\n" in sync(run).stderr


# =================================================================================================
# Lagging listings: a second listing at the end of the run.
# =================================================================================================


@pytest.fixture
def lagging(account: Account) -> Album:
    """Add an album of four photos, the last not listed at once, and another album."""
    album = account.album("Summer")
    for name in ("a.JPG", "b.JPG", "c.JPG"):
        album.photo(name, caption="Swans")
    account.album("Winter").photo()
    return album


@pytest.mark.parametrize("total_follows", ["listing", "count"])
@pytest.mark.parametrize("args", [(), ("--sidecar", "xmp,json")], ids=["plain", "sidecars"])
def test_images_missing_in_a_listing_are_downloaded_after_a_second_one(
    account: Account, smugmug: FakeSmugMug, run: Run, lagging: Album, total_follows: str, args: Any
) -> None:
    account.total_follows, account.lag = total_follows, Lag(listings=1)
    lagging.photo("late.JPG", caption="Geese")

    result = sync(run, *args)

    asked = smugmug.select("api", "!images")
    # for the image that was counted but not listed
    assert len(asked) == 2 + 1 + (total_follows == "count")
    assert result.cost == (2 + len(asked), 5)
    assert "\nAll 5 photos and videos are in " in result.stderr
    assert (
        "\nAlbums: 2 new, 0 changed, 0 unchanged\nFiles: 5 downloaded, 0 already there, 0 failed\n"
        in result.stderr
    )
    photos = {
        name: data for name, data in files_on_disk(run.output).items() if name.endswith(".JPG")
    }
    assert photos == expected_files(*account.albums)
    if args:
        written = {path.name for path in (run.output / "Summer").glob("*.xmp")}
        assert written == {"a.JPG.xmp", "b.JPG.xmp", "c.JPG.xmp", "late.JPG.xmp"}
        assert (run.output / "Summer" / "album.json").read_text().count('"file": ') == 4


@pytest.mark.parametrize(
    "total_follows, pages, reason",
    [
        ("listing", 1, "SmugMug reports 4 photos and videos in this album but lists 3"),
        ("count", 2, "the listing is incomplete: 3 of 4 entries"),
    ],
)
def test_images_missing_in_both_listings_are_a_failure(
    account: Account,
    smugmug: FakeSmugMug,
    run: Run,
    lagging: Album,
    total_follows: str,
    pages: int,
    reason: str,
) -> None:
    account.total_follows, account.lag = total_follows, Lag(listings=4)
    lagging.photo("late.JPG")

    first = sync(run, exit_code=1)
    assert first.cost == (2 + 1 + 2 * pages, 4)
    assert f"\nFailed (1):\n  Summer: {reason}\n" in first.stderr
    assert "\nFiles: 4 downloaded, 0 already there, 1 failed\n" in first.stderr
    second = sync(run, exit_code=1)
    assert (
        second.cost == (2 + 2 * pages, 0)
        and "\nFiles: 0 downloaded, 4 already there, 1 failed\n" in second.stderr
    )
    assert sync(run).cost == (2 + 1, 1)
    assert sync(run).cost == NOTHING_NEW
    assert files_on_disk(run.output) == expected_files(*account.albums)


def test_photos_that_fail_before_the_second_listing_are_retried_by_the_next_run(
    account: Account, smugmug: FakeSmugMug, run: Run, lagging: Album
) -> None:
    account.lag = Lag(listings=1)
    lagging.photo("late.JPG")
    smugmug.fault("respond", of_file(lagging.images[0]), times=None, status=403)
    result = sync(run, exit_code=1)
    assert (
        result.cost == (2 + 2 + 1, 5)
        and "\nFiles: 4 downloaded, 0 already there, 1 failed\n" in result.stderr
    )
    smugmug.clear_faults()
    assert sync(run).cost == (3, 1)
    assert files_on_disk(run.output) == expected_files(*account.albums)


def test_the_second_listing_adds_only_new_uploads(
    account: Account, smugmug: FakeSmugMug, run: Run, lagging: Album
) -> None:
    account.lag = Lag(listings=1)
    lagging.photo("late.JPG", uploaded=datetime(2026, 1, 2))
    lagging.photo("later.JPG", uploaded=datetime(2025, 1, 2))
    result = sync(run, "--since", "2026-01-01", "--album", "Summer")
    assert result.cost == (2 + 2, 1)
    assert files_on_disk(run.output) == {"Summer/late.JPG": lagging.images[3].data}
    assert sync(run).cost == (2 + 2, 5)


def test_runs_interrupted_during_the_second_listing_are_completed_by_the_next(
    account: Account, smugmug: FakeSmugMug, run: Run, lagging: Album
) -> None:
    account.lag = Lag(listings=1)
    lagging.photo("late.JPG")
    smugmug.fault("stall", of_list(lagging), after=1, before_headers=True)
    process = run.start()
    smugmug.wait_for(lambda: len(smugmug.select("api", of_list(lagging))) >= 2)
    said = stop(process, signal.SIGINT)
    assert process.wait() == 130 and "\nStopped early: 4 of 5 are in " in said
    assert sync(run).cost == (3, 1)
    assert files_on_disk(run.output) == expected_files(*account.albums)


@pytest.mark.parametrize("listings, exit_code, files", [(1, 0, 5), (2, 1, 4)])
def test_previews_list_a_second_time_as_well(
    account: Account,
    smugmug: FakeSmugMug,
    run: Run,
    lagging: Album,
    listings: int,
    exit_code: int,
    files: int,
) -> None:
    account.lag = Lag(listings=listings)
    lagging.photo("late.JPG")
    result = sync(run, "--dry-run", exit_code=exit_code)
    assert result.cost == (2 + 2 + 1, 0)
    assert result.stdout.splitlines()[-1].startswith(f"To download: {files} files, ")
    assert "\nAlbums: 2 new, 0 changed, 0 unchanged\n" in "\n" + result.stderr
    assert ("Failed (1):\n  Summer: " in result.stderr) == (exit_code == 1)
    assert not run.output.exists()


# =================================================================================================
# Deleted images that are still listed.
# =================================================================================================


@pytest.mark.parametrize("total_follows", ["listing", "count"])
def test_listed_but_deleted_images_are_named_without_failure(
    account: Account, smugmug: FakeSmugMug, run: Run, total_follows: str
) -> None:
    album = account.album("Summer")
    for name in ("a.JPG", "b.JPG"):
        album.photo(name)
    video = album.video("c.MOV", playable=False)
    account.total_follows, account.lag = total_follows, Lag(listings=1)
    deleted = album.images[0]
    album.remove(deleted)
    album.remove(video)

    result = sync(run)

    assert files_on_disk(run.output) == expected_files(album)
    assert "\n1 photo or video is in " in result.stderr and "Failed" not in result.stderr
    assert (
        "\nFiles: 1 downloaded, 0 already there, 2 deleted on SmugMug, 0 failed\n" in result.stderr
    )
    assert re.search(
        r"\nDeleted on SmugMug \(2\):\n  Summer/a\.JPG, Summer/c\.MOV: ", result.stderr
    )
    assert smugmug.count("cdn", of_file(deleted)) == 1
    assert sync(run).cost == (3, 0)  # now they are no longer listed
    assert sync(run).cost == NOTHING_NEW


def test_images_with_only_the_file_missing_are_failures(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = account.album("Summer").photo()
    smugmug.fault("not_found", of_file(photo), times=None)
    result = sync(run, exit_code=1)
    assert result.cost == (2 + 1 + 1, 1)  # checks whether it still exists
    assert "\nFailed (1):\n  Summer/IMG_1.JPG: SmugMug returned HTTP 404" in result.stderr
