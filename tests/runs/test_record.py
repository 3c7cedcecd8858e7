"""The download record: its formats, its lock, and what a run makes of a record it did not write."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from conftest import Run
from fake_smugmug import Account
from helpers import NOTHING_NEW, RECORD, sync

FORMAT_5 = """
CREATE TABLE album (album_key TEXT PRIMARY KEY, folder TEXT, clocks TEXT, listed_at REAL)
    WITHOUT ROWID;
CREATE TABLE file (album_key TEXT, image_key TEXT, serial TEXT, name TEXT, size_bytes INTEGER,
    md5 TEXT, modified_ns INTEGER, is_original INTEGER, removed INTEGER, damaged INTEGER,
    stated_md5 TEXT, PRIMARY KEY (album_key, image_key)) WITHOUT ROWID;
CREATE INDEX file_by_image ON file (image_key);
CREATE TABLE absence (album_key TEXT, image_key TEXT, serial TEXT, file_name TEXT, reason TEXT,
    tries INTEGER, ask_at REAL, PRIMARY KEY (album_key, image_key)) WITHOUT ROWID;
CREATE TABLE account (nick_name TEXT);
ALTER TABLE file ADD COLUMN source_types TEXT DEFAULT '';
ALTER TABLE album ADD COLUMN verified_at REAL DEFAULT 0;
PRAGMA user_version = 5;
"""
OLD_COLUMNS = {
    "album": "album_key, folder, clocks, listed_at, verified_at",
    "file": "album_key, image_key, serial, name, size_bytes, md5, modified_ns, is_original, "
    "removed, damaged, stated_md5, source_types",
    "absence": "album_key, image_key, serial, file_name, reason, tries, ask_at",
    "account": "nick_name",
}


def turn_into_format_5(record: Path) -> None:
    """Write the content of a record as a version of the program before format 6 would have."""
    newer = record.with_name("newer.sqlite3")
    record.rename(newer)
    with closing(sqlite3.connect(str(record))) as database:
        database.executescript(FORMAT_5)
        database.execute("ATTACH ? AS newer", (str(newer),))
        for table, columns in OLD_COLUMNS.items():
            database.execute(f"INSERT INTO {table} SELECT {columns} FROM newer.{table}")
        database.commit()
    newer.unlink()


def test_a_record_of_format_5_is_upgraded(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    sync(run)
    turn_into_format_5(run.output / RECORD)
    assert sync(run).cost == NOTHING_NEW
    account.albums[0].photo("IMG_2.JPG")
    assert sync(run).cost == (3, 1)
    assert sync(run).cost == NOTHING_NEW
    with closing(sqlite3.connect(str(run.output / RECORD))) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (6,)
        assert database.execute("SELECT name, verified_at FROM album").fetchall() == [
            ("Summer", 0)
        ]
        assert database.execute(
            "SELECT checksum_tries, checksum_retry_at FROM file"
        ).fetchall() == [(0, 0.0), (0, 0.0)]
        assert database.execute("SELECT nick_name, bytes_per_second FROM account").fetchall() == [
            ("family", 0)
        ]


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_a_record_of_an_earlier_format_is_rebuilt_from_the_files(
    account: Account, run: Run, version: int
) -> None:
    account.album("Summer").photo()
    sync(run)
    with closing(sqlite3.connect(str(run.output / RECORD))) as database:
        database.execute(f"PRAGMA user_version = {version}")
    assert sync(run).cost == (3, 0)
    assert sync(run).cost == NOTHING_NEW
