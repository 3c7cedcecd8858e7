"""Do large accounts need no more listings, disk accesses and memory than necessary?"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Dict, List

import pytest

from conftest import Run
from fake_smugmug import Account
from helpers import broken_python, expected_files, files_on_disk, sync

# =================================================================================================
# --since: albums without new uploads are not listed.
# =================================================================================================


@pytest.fixture
def years(account: Account) -> Account:
    """Add ten albums, one per year, with photos uploaded in that year."""
    account.set_clock(datetime(2024, 6, 1))
    for year in range(2015, 2025):
        album = account.album(f"Year {year}")
        album.photo("a.JPG", uploaded=datetime(year, 1, 1))
        album.images_last_updated = album.last_updated = datetime(year, 1, 1)
    return account


def test_since_lists_only_albums_that_an_upload_may_have_changed(years: Account, run: Run) -> None:
    result = sync(run, "--since", "2023-01-01T00:00:00Z")
    assert result.cost == (2 + 2, 2)
    assert files_on_disk(run.output) == expected_files(*years.albums[-2:])
    assert "Albums: 2 new, 0 changed, 8 unchanged" in result.stderr
    assert "All 2 photos and videos that you asked for are in " in result.stderr

    years.albums[0].photo("late.JPG", uploaded=datetime(2024, 5, 31))
    assert sync(run, "--since", "2024-05-30T00:00:00Z").cost == (2 + 1, 1)
    assert sync(run).downloads == 8  # skipped albums do not count as complete
    assert files_on_disk(run.output) == expected_files(*years.albums)


@pytest.mark.parametrize("option", [["--full"], ["--sidecar", "json"]])
def test_full_lists_every_album_despite_since(years: Account, run: Run, option: List[str]) -> None:
    assert sync(run, "--since", "2023-01-01T00:00:00Z", *option).cost == (2 + 10, 2)


def test_previews_with_since_list_no_more_albums(years: Account, run: Run) -> None:
    result = sync(run, "--since", "2023-01-01T00:00:00Z", "-n")
    assert result.calls == 2 + 2 and "To download: 2 files" in result.stdout


# =================================================================================================
# Progress of long steps.
# =================================================================================================

COUNTED = """
    import os, sys, threading
    calls = {}
    def count(frame, event, argument):
        name = frame.f_code.co_name
        if event == "call" and name in ("show", "needs_listing", "listdir", "moved_folder"):
            calls[name] = calls.get(name, 0) + 1
    import atexit
    @atexit.register
    def tell():
        sys.setprofile(None)
        with open(os.environ["COUNTS"], "w") as file:
            file.write(repr(calls))
    sys.setprofile(count)
    """


def counts_of(run: Run, *args: Any) -> Dict[str, int]:
    """Count the calls of these functions in the main thread of a run."""
    folder = run.folder / "counting"
    env = {"PYTHONPATH": str(folder)} if folder.exists() else broken_python(folder, COUNTED)
    path = run.folder / "counts"
    assert run(*args, env={**env, "COUNTS": str(path)}).returncode == 0
    counts: Dict[str, int] = eval(path.read_text())
    return counts


def test_previews_show_albums_that_need_no_listing(account: Account, run: Run) -> None:
    for number in range(40):
        account.album(f"Album {number:03}").fill(1, 100)
    sync(run)
    counts = counts_of(run, "-n")
    assert counts["needs_listing"] == 40 and counts["show"] >= 2 * 40


def test_the_search_for_removed_files_shows_progress(account: Account, run: Run) -> None:
    album, other = account.album("Summer"), account.album("Winter")
    for index in range(30):
        album.photo(f"{index}.JPG")
    other.photo()
    sync(run)
    before = counts_of(run)["show"]
    for image in list(album.images):
        album.remove(image)
    sync(run)
    assert counts_of(run)["show"] >= before + 30


# =================================================================================================
# Nothing is quadratic.
# =================================================================================================


def test_renamed_albums_get_one_new_folder_name_each(account: Account, run: Run) -> None:
    for number in range(30):
        account.album(f"Album {number:02}").photo(f"{number}.JPG")
    sync(run)
    for number, album in enumerate(account.albums):
        # three albums of each name
        album.name = f"ALBUM {number:02}" if number < 10 else f"Trip {number % 10}"
        album.touch_settings()
    assert sync(run, "--rename").downloads == 0
    folders = sorted(path.name for path in run.output.iterdir() if path.is_dir())
    assert len({name.casefold() for name in folders}) == 30
    assert sum(name.startswith("ALBUM ") for name in folders) == 10
    assert sum(name in {f"Trip {digit}" for digit in range(10)} for name in folders) == 10
    assert "was renamed to" not in sync(run, "--rename").stderr


def test_listings_are_parsed_and_released_page_by_page(account: Account, run: Run) -> None:
    album = account.album("Summer")
    for index in range(120):
        album.video(f"{index}.mp4")
    assert sync(run).downloads == 120  # the page's Expansions held each address
    assert files_on_disk(run.output) == expected_files(album)
