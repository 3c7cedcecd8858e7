"""Are records copied safely while they change, and missing disks recognized?"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, List

import pytest

import download_smugmug_photos as script
from helpers import RECORD, record


def test_a_record_that_changes_while_it_is_copied_is_copied_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, copy = tmp_path / RECORD, tmp_path / "copy"
    path.write_bytes(b"1" * 3_000_000)
    writes = [b"2", b"3"]

    def write() -> None:
        if writes:
            with open(str(path), "r+b") as file:
                file.write(writes.pop())

    script.wait_for_copy(path, copy, write)
    assert copy.read_bytes() == path.read_bytes() and not writes
    writes += [b"%d" % number for number in range(1000)]
    monkeypatch.setattr(script, "SNAPSHOT_SECONDS", 0.0)
    with pytest.raises(script.Problem, match="changes too fast"):
        script.wait_for_copy(path, copy, write)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_journal_that_appears_or_disappears_meanwhile_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    path, journal, copy = tmp_path / "a", tmp_path / "a-journal", tmp_path / "b"
    path.write_bytes(b"1")
    if is_there:
        journal.write_bytes(b"2")
    copy_file = script.copy_file

    def copy_and_change(path: Path, copy: Path, redraw: Any) -> None:
        copy_file(path, copy, redraw)
        if path == journal and is_there:
            journal.unlink()
        elif path == journal:
            journal.write_bytes(b"2")

    with monkeypatch.context() as patched:
        patched.setattr(script, "copy_file", copy_and_change)
        assert not script.copied_at_rest(path, copy, lambda: None)
    assert script.copied_at_rest(path, copy, lambda: None)
    assert (tmp_path / "b-journal").exists() != is_there


def test_unreadable_folders_count_as_not_connected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "listdir", fail)
    device = os.stat(str(tmp_path)).st_dev
    assert "Is the disk connected?" in script.lost_record(tmp_path, device)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="only Linux lists open files")
@pytest.mark.parametrize("reader", ["files", "unavailable", "albums"])
def test_a_record_is_closed_when_reading_it_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    """Windows cannot delete the copy of a preview while it is open."""

    def interrupt(row: Any) -> Any:
        raise KeyboardInterrupt

    def open_files() -> List[str]:
        numbers = os.listdir("/proc/self/fd")
        links = (f"/proc/self/fd/{number}" for number in numbers)
        return [os.readlink(link) for link in links if os.path.lexists(link)]

    with script.open_database(tmp_path, lambda: None) as database:
        for number in range(2):
            database.save(f"A{number}", script.AlbumRecord("Summer"))
            database.save("A0", record()._replace(image_key=f"I{number}"))
            database.save("A0", script.Unavailable(f"I{number}", "0", "a.JPG", "", 0, 0.0))
    parsers = {"files": "file_row", "unavailable": "unavailable_row", "albums": "album_record"}
    monkeypatch.setattr(script, parsers[reader], interrupt)
    opened = script.open_database(tmp_path, lambda: None)
    with pytest.raises(KeyboardInterrupt) as interrupted, opened as database:
        getattr(database, reader)(*([] if reader == "albums" else ["A0"]))
    assert interrupted.tb is not None  # it holds what was read so far
    assert not [path for path in open_files() if path.startswith(str(tmp_path))]


def test_record_errors_other_than_damage_discard_nothing(tmp_path: Path) -> None:
    with closing(sqlite3.connect(str(tmp_path / "state"), isolation_level=None)) as database:
        state = script.Database(database)
        database.execute("DROP TABLE file")
        with pytest.raises(sqlite3.OperationalError):
            state.files("K")


def test_numbers_of_tries_that_cannot_be_stored_with_one_more_are_cut(tmp_path: Path) -> None:
    most = 2**63 - 1
    with script.open_database(tmp_path, lambda: None) as database:
        database.save("A1", script.Unavailable("P1", "1", "a.jpg", "", most, 0.0))
        file = script.FileRecord("P2", "1", "b.jpg", 7, "a" * 32, 1, True, checksum_tries=most)
        database.save("A1", file)
        unavailable = database.unavailable("A1")["P1"]
        database.save("A1", unavailable._replace(tries=unavailable.tries + 1))
        file = database.files("A1")["P2"]
        database.save("A1", file._replace(checksum_tries=file.checksum_tries + 1))


def test_files_of_albums_that_are_not_recorded_are_not_listed(tmp_path: Path) -> None:
    with script.open_database(tmp_path, lambda: None) as database:
        database.save("A1", script.AlbumRecord("Summer"))
        for album_key in ("A1", "A2"):
            file = script.FileRecord("P1", "1", "a.jpg", 7, "a" * 32, 1, True, removed=True)
            database.save(album_key, file)
        assert database.marked("removed") == [("Summer", "a.jpg")]


def test_a_record_whose_rows_are_damaged_is_saved_under_another_name(tmp_path: Path) -> None:
    with script.open_database(tmp_path, lambda: None) as database:
        for number in range(1000):
            file = script.FileRecord(f"P{number}", "1", "a.jpg", 7, "a" * 32, 1, True)
            database.save("A1", file)
    with open(str(tmp_path / RECORD), "r+b") as record:
        record.seek(-4096, os.SEEK_END)
        record.write(bytes(4096))
    with script.open_database(tmp_path, lambda: None) as database:
        assert database.files("A1") == {}
    assert len(list(tmp_path.glob(RECORD + ".damaged-*"))) == 1
