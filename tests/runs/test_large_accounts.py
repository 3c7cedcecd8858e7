"""Do large accounts need no more listings, disk accesses and memory than necessary?"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import Account
from helpers import RECORD, broken_python, expected_files, files_on_disk, parse_album, sync

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


@pytest.mark.parametrize(
    "updated, images_updated, may",
    [
        ("2024-05-29T23:59:59+00:00", "2019-01-01T00:00:00+00:00", False),
        ("2019-01-01T00:00:00+00:00", "2024-05-29T23:59:59+00:00", False),
        (
            "2019-01-01T00:00:00+00:00",
            "2024-05-30T00:00:01+00:00",
            True,
        ),  # a day of tolerance
        ("2024-06-30T00:00:00+00:00", "2019-01-01T00:00:00+00:00", True),
        ("", "2019-01-01T00:00:00+00:00", True),
        ("2019-01-01T00:00:00+00:00", "", True),
        ("long ago", "in the year of the snow", True),
    ],
)
def test_only_complete_and_old_dates_exclude_new_uploads(
    updated: str, images_updated: str, may: bool
) -> None:
    album = parse_album(
        {
            "AlbumKey": "K1",
            "ImageCount": 3,
            "LastUpdated": updated,
            "ImagesLastUpdated": images_updated,
        }
    )
    assert script.may_have_uploads(album, "2024-05-31T00:00:00") is may
    assert script.may_have_uploads(album, "")


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


def test_long_sqlite_statements_show_progress(tmp_path: Path) -> None:
    signs: List[int] = []
    with script.open_database(tmp_path, lambda: signs.append(1)) as state:
        for number in range(20):
            state.save(f"A{number}", script.AlbumRecord(f"Album {number}"))
        for number in range(100_000):
            state.save(
                f"A{number % 20}",
                script.FileRecord(f"I{number}", "0", f"{number}.JPG", 1, "", 0, True),
            )
        signs.clear()
        state.marked("removed")
        state.bytes_on_disk()
        assert signs
    signs.clear()
    with script.open_copy(tmp_path, lambda: signs.append(1)) as state:
        state.marked("removed")
        assert signs


# =================================================================================================
# Nothing is quadratic.
# =================================================================================================


def test_moved_folders_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, count = tmp_path / "moved", 50
    folder.mkdir()
    records = []
    for number in range(count):
        (folder / f"IMG_{number}.JPG").write_bytes(bytes(100 + number))
        records.append(
            script.FileRecord(
                f"I{number}", "0", f"img_{number}.jpg", 100 + number, "0" * 32, 0, True
            )
        )
    shelf = script.ContentIndex(tmp_path, lambda text: None)
    with script.open_database(tmp_path / "state", lambda: None) as state:
        shelf.fill(state)
    reads: List[Any] = []
    scandir: Callable[[str], Any] = os.scandir

    def counted(path: str) -> Any:
        reads.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    assert script.moved_folder(shelf, "Summer", {"."}, records, script.Stop()) is None
    assert len(reads) == 1


def test_moved_files_are_remembered_on_disk_under_any_name(tmp_path: Path) -> None:
    names = ["a.JPG", "\u00c4pfel.JPG"] + (
        [os.fsdecode(b"\xff.JPG")] if os.name == "posix" else []
    )
    for name in names:
        (tmp_path / name).write_bytes(b"12345")
    (tmp_path / "other.JPG").write_bytes(b"1234")
    signs: List[int] = []
    shelf = script.ContentIndex(tmp_path, lambda text: signs.append(1))
    with script.open_database(tmp_path / ".state", lambda: None) as state:
        shelf.fill(state)
    assert sorted(shelf.of_size(5)) == sorted(tmp_path / name for name in names)
    assert shelf.of_size(6) == [] and shelf.of_size(None) == [] and signs


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


def test_large_records_are_not_copied_into_memory(tmp_path: Path) -> None:
    with script.open_database(tmp_path, lambda: None) as state:
        state.save("A", script.AlbumRecord("Summer"))
    with script.open_copy(tmp_path, lambda: None) as state:
        state.save("B", script.AlbumRecord("Winter"))
        assert set(state.albums()) == {"A", "B"}
    with closing(sqlite3.connect(str(tmp_path / RECORD))) as database:
        assert database.execute("SELECT COUNT(*) FROM album").fetchone() == (1,)


def test_listings_are_parsed_and_released_page_by_page(account: Account, run: Run) -> None:
    album = account.album("Summer")
    for index in range(120):
        album.video(f"{index}.mp4")
    assert sync(run).downloads == 120  # the page's Expansions held each address
    assert files_on_disk(run.output) == expected_files(album)
