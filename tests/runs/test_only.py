"""Does --only download photos or videos alone, and count what is complete then?"""

from __future__ import annotations

import pytest

from conftest import Run
from fake_smugmug import Account, Album
from helpers import NOTHING_NEW, expected_files, files_on_disk, sync


def mixed_album(account: Account, name: str = "Summer") -> Album:
    """Make an album of two photos and a video."""
    album = account.album(name)
    album.photo("a.JPG")
    album.video("film.mp4")
    album.photo("b.JPG")
    return album


def test_photos_alone_are_downloaded_and_later_the_videos(account: Account, run: Run) -> None:
    album = mixed_album(account)
    first = sync(run, "--only", "photos")
    assert first.downloads == 2 and "All 2 photos that you asked for are in" in first.stderr
    assert not list(run.output.rglob("*.mp4"))
    nightly = sync(run, "--only", "photos")
    assert nightly.cost == NOTHING_NEW and "All 2 photos" in nightly.stderr
    later = sync(run)
    assert "Albums: 0 new, 0 changed, 1 rechecked" in later.stderr
    assert later.downloads == 1 and "All 3 photos and videos are in" in later.stderr
    assert files_on_disk(run.output) == expected_files(album)
    assert sync(run).cost == NOTHING_NEW
    assert sync(run, "--only", "photos").cost == NOTHING_NEW
    assert sync(run, "--only", "videos").cost == NOTHING_NEW


def test_videos_alone_are_downloaded(account: Account, run: Run) -> None:
    mixed_album(account)
    first = sync(run, "--only", "videos")
    assert first.downloads == 1 and "1 video that you asked for is in" in first.stderr
    assert sync(run, "--only", "videos").cost == NOTHING_NEW
    photos = sync(run, "--only", "photos")
    assert photos.downloads == 2 and "0 changed" in photos.stderr


def test_deleted_videos_do_not_cost_a_listing_each_night(account: Account, run: Run) -> None:
    mixed_album(account)
    sync(run)
    (run.output / "Summer" / "film.mp4").unlink()
    for _ in range(2):
        nightly = sync(run, "--only", "photos")
        assert nightly.cost == NOTHING_NEW and "All 2 photos" in nightly.stderr
    assert sync(run).downloads == 1


def test_new_photos_are_noticed_after_a_run_for_photos(account: Account, run: Run) -> None:
    album = mixed_album(account)
    sync(run, "--only", "photos")
    album.photo("c.JPG")
    changed = sync(run, "--only", "photos")
    assert changed.cost == (3, 1) and "Albums: 0 new, 1 changed" in changed.stderr
    album.video("film 2.mp4")
    assert sync(run, "--only", "photos").cost == (3, 0)
    assert sync(run, "--only", "photos").cost == NOTHING_NEW


def test_an_album_without_any_of_the_kind_is_complete(account: Account, run: Run) -> None:
    account.album("Films").video("film.mp4")
    mixed_album(account)
    assert sync(run, "--only", "photos").downloads == 2
    assert sync(run, "--only", "photos").cost == NOTHING_NEW


def test_previews_count_the_selection(account: Account, run: Run) -> None:
    mixed_album(account)
    assert "To download: 2 files," in sync(run, "-n", "--only", "photos").stdout
    assert "To download: 1 file," in sync(run, "-n", env={"SMUGMUG_ONLY": "videos"}).stdout


@pytest.mark.parametrize("value", ["films", "photos,videos"])
def test_another_kind_is_refused(account: Account, run: Run, value: str) -> None:
    refused = run("--only", value)
    assert refused.returncode == 2 and "photos or videos" in refused.stderr
