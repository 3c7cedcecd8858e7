"""Do functions for large accounts read each folder once and use little memory?"""

from __future__ import annotations

import json
import os
import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, List

import pytest

import download_smugmug_photos as script
from helpers import RECORD, parse_album, record


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
        state.totals_on_disk()
        assert signs
    signs.clear()
    with script.open_copy(tmp_path, lambda: signs.append(1)) as state:
        state.marked("removed")
        assert signs


def recorded_file(number: int) -> Any:
    """Return the record of a file."""
    return record(f"{number}.JPG", 1)._replace(image_key=f"I{number}", modified_ns=1 << 60)


def test_records_are_read_one_by_one(tmp_path: Path) -> None:
    with script.open_database(tmp_path, lambda: None) as state:
        for number in range(20_000):
            state.save("A", recorded_file(number))
        tracemalloc.start()
        files = state.files("A")
        kept_bytes, most_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(files) == 20_000 and most_bytes < 1.05 * kept_bytes


def test_a_row_that_is_not_text_costs_only_itself(tmp_path: Path) -> None:
    with script.open_database(tmp_path, lambda: None) as state:
        state.save("A", script.AlbumRecord("Summer"))
        for number in range(100):
            state.save("A", recorded_file(number))
        state._db.execute("UPDATE file SET name = CAST(x'ff' AS TEXT) WHERE image_key = 'I50'")
        files = state.marked("size_bytes = 1")
    others = [("Summer", f"{number}.JPG") for number in range(100) if number != 50]
    assert files == sorted(others)


def test_memory_holds_equal_texts_of_albums_once() -> None:
    """The name, change token and privacy arrive as separate but equal objects."""
    listed = {
        "AlbumKey": "A",
        "Name": "Summer",
        "LastUpdated": "1",
        "ImagesLastUpdated": "2",
        "ImageCount": 3,
        "Privacy": "Public",
    }
    earlier, album = (parse_album(json.loads(json.dumps(listed))) for _ in range(2))
    row = ["Summer", earlier.change_token, 0.0, 0.0, str(b"Summer", "ascii")]
    known = script.album_record(row)
    assert known is not None and known.name is known.folder
    kept = script.sharing_texts({"A": known}, album)
    assert kept == album and kept.name is known.name
    assert kept.change_token is known.change_token and kept.privacy is earlier.privacy
    for other in ({}, {"A": script.NEW_ALBUM}):
        assert script.sharing_texts(other, album) == album


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


def test_large_records_are_not_copied_into_memory(tmp_path: Path) -> None:
    with script.open_database(tmp_path, lambda: None) as state:
        state.save("A", script.AlbumRecord("Summer"))
    with script.open_copy(tmp_path, lambda: None) as state:
        state.save("B", script.AlbumRecord("Winter"))
        assert set(state.albums()) == {"A", "B"}
    with closing(sqlite3.connect(str(tmp_path / RECORD))) as database:
        assert database.execute("SELECT COUNT(*) FROM album").fetchone() == (1,)
