"""Are old, foreign and damaged download records upgraded, refused or rebuilt?"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import Account, FakeSmugMug
from helpers import (
    NOTHING_NEW,
    RECORD,
    broken_python,
    expected_files,
    files_on_disk,
    run_unchanged,
    snapshot,
    sync,
)

# =================================================================================================
# Formats.
# =================================================================================================

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
        ((name, bytes_per_second),) = database.execute(
            "SELECT nick_name, bytes_per_second FROM account"
        )
        assert name == "family" and bytes_per_second > 0


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


def test_tables_of_another_program_are_rebuilt_from_the_files(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    sync(run)
    for change in ("DROP TABLE absence", "ALTER TABLE file RENAME TO files"):
        with closing(sqlite3.connect(str(run.output / RECORD))) as database:
            database.execute(change)
        rebuilt = sync(run)
        assert rebuilt.cost == (3, 0) and "will be rebuilt" in rebuilt.stderr
    (run.output / RECORD).unlink()
    with closing(sqlite3.connect(str(run.output / RECORD))) as database:
        database.execute("CREATE TABLE album (mine TEXT)")
    assert sync(run).cost == (3, 0)
    assert sync(run).cost == NOTHING_NEW


def test_errors_of_sqlite_are_passed_on(tmp_path: Path) -> None:
    """Break a statement of each kind in the middle."""
    opened = script.open_database(tmp_path, lambda: None)
    with opened as database, pytest.raises(sqlite3.OperationalError, match="no such table"):
        next(database._rows("SELECT * FROM missing"))

    class Interrupted(sqlite3.Connection):
        def execute(self, statement: str, *values: Any) -> Any:
            if statement.startswith("SELECT"):
                raise sqlite3.OperationalError("interrupted")
            return super().execute(statement, *values)

    connection = sqlite3.connect(":memory:", factory=Interrupted)
    with closing(connection), pytest.raises(sqlite3.OperationalError, match="interrupted"):
        script.Database(connection)


def test_the_speed_of_the_last_run_is_kept(tmp_path: Path) -> None:
    with script.open_database(tmp_path, lambda: None) as database:
        assert database.speed() == 0
        database.save_account("family")
        assert database.speed() == 0
        database.save_speed(2.5e6)
        database.save_account("renamed")
    with script.open_database(tmp_path, lambda: None) as database:
        assert database.speed() == 2.5e6 and database.account() == "renamed"


# =================================================================================================
# Rows that this program did not write.
# =================================================================================================


def change_record(run: Run, statement: str, *values: Any) -> None:
    """Change the record as another program, or a person, would."""
    with closing(sqlite3.connect(str(run.output / RECORD))) as database:
        assert database.execute(statement, values).rowcount
        database.commit()


@pytest.mark.parametrize(
    "name",
    [
        "../../escaped.jpg",
        "..",
        ".",
        "",
        "/etc/passwd",
        "sub/file.jpg",
        "sub\\file.jpg",
        "C:file.jpg",
        "nul\0.jpg",
        ".smugmug.sqlite3",
        ".SMUGMUG.sqlite3-journal",
        b"bytes.jpg",
        17,
        None,
    ],
)
def test_a_recorded_name_that_leaves_its_folder_is_forgotten(
    account: Account, run: Run, name: Any
) -> None:
    photo = account.album("Summer").photo()
    sync(run)
    outside = run.output.parent.parent / "escaped.jpg"
    change_record(run, "UPDATE file SET name = ?, md5 = ?", name, "0" * 32)
    change_record(run, "UPDATE album SET clocks = ''")
    photo.replace(b"a new version")
    for arguments in (["--list-md5"], ["--verify", "--list-removed"]):
        result = run(*arguments)
        assert result.returncode in (0, 1), result.stderr
        assert "escaped" not in result.stdout + result.stderr
    assert not outside.exists()
    assert photo.data in files_on_disk(run.output).values()
    assert sync(run).cost == NOTHING_NEW


@pytest.mark.parametrize(
    "folder", ["../outside", "/tmp", "", ".", "Summer/../..", "Summer//x", "a\0b", b"Summer", 5]
)
def test_a_recorded_folder_outside_the_output_folder_is_forgotten(
    account: Account, run: Run, folder: Any
) -> None:
    album = account.album("Summer")
    album.photo()
    sync(run)
    before = snapshot(run.output / "Summer")
    change_record(run, "UPDATE album SET folder = ?", folder)
    assert sync(run).downloads == 0
    assert snapshot(run.output / "Summer").keys() == before.keys()
    assert sync(run).cost == NOTHING_NEW


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE file SET size_bytes = 'many'",
        "UPDATE file SET size_bytes = 9e999",
        "UPDATE file SET size_bytes = -1",
        "UPDATE file SET size_bytes = 9223372036854775807",
        "UPDATE file SET md5 = 'not an MD5'",
        "UPDATE file SET md5 = NULL",
        "UPDATE file SET modified_ns = 'late', damaged = 'yes'",
        "UPDATE file SET modified_ns = 9223372036854775807",
        "UPDATE file SET modified_ns = -9223372036854775808",
        "UPDATE file SET removed = 'yes', serial = x'ff'",
        "UPDATE file SET checksum_tries = 'x'",
        "UPDATE file SET checksum_tries = 9223372036854775807, checksum_retry_at = 9e999",
        "UPDATE file SET name = CAST(x'ff' AS TEXT)",
        "UPDATE file SET image_key = '../../x' WHERE name NOT LIKE '%mp4'",
        "UPDATE file SET image_key = CAST(x'fe' AS TEXT) WHERE name LIKE '%mp4'",
        "UPDATE album SET listed_at = 'never'",
        "UPDATE album SET listed_at = 9e999, verified_at = -9e999",
        "UPDATE album SET clocks = x'00', name = 17",
        "UPDATE album SET name = CAST(x'ff' AS TEXT)",
        "UPDATE album SET album_key = CAST(x'ff' AS TEXT)",
        "UPDATE account SET nick_name = NULL, bytes_per_second = 'fast'",
        "UPDATE account SET nick_name = x'ff', bytes_per_second = 9e999",
        "INSERT INTO absence SELECT album_key, 'x/y', '', 'a', 'b', 1, 2 FROM album",
        "INSERT INTO absence SELECT album_key, 'k', 1, 'a', 'b', -5, 9e999 FROM album",
        "INSERT INTO absence SELECT album_key, 'k', '', NULL, x'ff', 'x', 'y' FROM album",
    ],
)
def test_a_row_with_impossible_values_crashes_nothing(
    account: Account, run: Run, statement: str
) -> None:
    album = account.album("Summer")
    album.photo()
    album.video("video.mp4")
    sync(run)
    change_record(run, statement)
    listed = run("--list-md5")
    assert listed.returncode == 0 or "Nothing to list" in listed.stderr, listed.stderr
    result = run("--verify", "--sidecar", "html,json")
    assert result.returncode in (0, 1) and "Traceback" not in result.stderr, result.stderr
    assert expected_files(album).items() <= files_on_disk(run.output).items()
    assert sync(run).downloads == 0


def test_times_far_in_the_future_put_nothing_off(account: Account, run: Run) -> None:
    album = account.album("Summer")
    album.photo()
    sync(run)
    change_record(
        run,
        "INSERT INTO absence SELECT album_key, ?, '0', 'b.jpg', '', 3, ? FROM album",
        "later",
        253_402_300_799.0,
    )
    change_record(run, "UPDATE album SET listed_at = ?", 253_402_300_799.0)
    assert sync(run).cost == (3, 0)


# =================================================================================================
# Its lock, and a copy of it while a run is under way.
# =================================================================================================


def test_a_photo_as_large_as_the_record_leaves_its_lock_alone(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    """Find no hidden file among those that may have the content of a new photo."""
    album = account.album("Summer")
    album.photo("first.JPG")
    sync(run)
    size = (run.output / RECORD).stat().st_size
    (run.output / ".hidden.jpg").write_bytes(bytes(size))
    os.symlink(run.output / RECORD, run.output / "Summer" / "link.JPG")
    twin = album.photo("twin.JPG", content=bytes(size))
    album.photo("link.JPG", content=bytes(size - 1) + b"x")
    stalled = smugmug.fault("stall", where=f"/i-{twin.key}/", after_bytes=10)
    process = run.start("-j", "1")
    assert stalled.reached.wait(300)
    second = sync(run, exit_code=2)
    assert "Another run is already using" in second.stderr
    smugmug.clear_faults()
    process.kill()
    process.wait()
    assert sync(run).downloads >= 1


def test_links_to_the_record_are_never_read(tmp_path: Path) -> None:
    """Put a link to the record where a photo was, as a trap for --verify."""
    record, link = tmp_path / RECORD, tmp_path / "IMG_1.JPG"
    record.write_bytes(b"12345")
    os.symlink(str(record), str(link))
    assert script.files_in(tmp_path) == {}
    for path in (record, link):
        with pytest.raises(OSError, match="this is the download record"):
            script.file_md5(path)


def test_lists_and_previews_work_while_a_run_is_under_way(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    for number in range(5):
        album.photo(f"{number}.JPG")
    stalled = smugmug.fault("stall", where=f"/i-{album.images[4].key}/", before_headers=True)
    process = run.start("-j", "1")
    assert stalled.reached.wait(300)
    deadline = time.monotonic() + 300
    while run("--list-md5").stdout.count("\n") < 4:  # until the run commits
        assert time.monotonic() < deadline
    assert "Summer" in sync(run, "--list").stdout
    assert "To download: 1 file," in sync(run, "-n").stdout
    assert "4 intact" in sync(run, "-n", "--verify").stderr
    assert sync(run, exit_code=2).downloads == 0  # the lock still holds
    process.kill()
    process.wait()


# =================================================================================================
# Interrupts, and the temporary folder.
# =================================================================================================


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize("arguments", [[], ["-n"]])
def test_ctrl_c_while_sqlite_works_is_an_interrupt(
    account: Account, run: Run, tmp_path: Path, arguments: List[str]
) -> None:
    account.album("Summer").photo()
    sync(run)
    python = broken_python(
        tmp_path / "python",
        """
        import os, signal, sqlite3
        connect = sqlite3.connect
        class Connection(sqlite3.Connection):
            def set_progress_handler(self, handler, steps):
                def interrupted():
                    os.kill(os.getpid(), signal.SIGINT)
                    for _ in range(1000):
                        pass
                super().set_progress_handler(interrupted, 1)
        def connect_slowly(*args, **options):
            return connect(*args, factory=Connection, **options)
        sqlite3.connect = connect_slowly
        """,
    )
    result = run(*arguments, env=python)
    assert result.returncode == 130, result.stderr
    assert "Interrupted" in result.stderr and "Cannot write" not in result.stderr
    assert sync(run).cost == NOTHING_NEW


@pytest.mark.parametrize("arguments", [["-n"], ["--list"], ["--list-md5"]])
def test_full_temporary_folders_are_named_with_advice(
    account: Account, run: Run, tmp_path: Path, arguments: List[str]
) -> None:
    account.album("Summer").photo()
    sync(run)
    small = tmp_path / "small"
    small.mkdir()
    python = broken_python(
        tmp_path / "python",
        f"""
        import builtins, errno
        plain_open = open
        class Full:
            def __init__(self, file):
                self.file = file
            def __enter__(self):
                return self
            def __exit__(self, *error):
                self.file.close()
            def write(self, content):
                raise OSError(errno.ENOSPC, "No space left on device")
        def open_full(name, *args, **options):
            file = plain_open(name, *args, **options)
            is_full = str(name).startswith({str(small)!r}) and args[:1] == ("ab",)
            return Full(file) if is_full else file
        builtins.open = open_full
        """,
    )
    failed = sync(run, *arguments, exit_code=2, env={**python, "TMPDIR": str(small)})
    assert str(small) in failed.stderr and "TMPDIR" in failed.stderr
    assert "No space left" in failed.stderr and str(run.output) not in failed.stderr
    assert sync(run, env={**python, "TMPDIR": str(small)}).cost == NOTHING_NEW


def test_a_preview_without_any_temporary_folder_says_so(
    account: Account, run: Run, tmp_path: Path
) -> None:
    account.album("Summer").photo()
    sync(run)
    python = broken_python(
        tmp_path / "python",
        """
        import tempfile
        def mkdtemp(*args, **options):
            raise FileNotFoundError(2, "No usable temporary directory found")
        tempfile.mkdtemp = mkdtemp
        """,
    )
    failed = sync(run, "-n", exit_code=2, env=python)
    assert "No usable temporary directory" in failed.stderr and "TMPDIR" in failed.stderr


# =================================================================================================
# Output folders: lost, emptied, within each other, and known.
# =================================================================================================


def folders_file(run: Run) -> Path:
    """Return the path of the list of known output folders."""
    return run.config / "download_smugmug_photos" / "folders.json"


def empty(output: Path) -> None:
    """Delete all that is in the output folder."""
    shutil.rmtree(str(output))
    output.mkdir()


@pytest.mark.parametrize(
    "lose, words",
    [
        (lambda output: shutil.rmtree(str(output)), "was deleted or moved"),
        (empty, "was emptied"),
        (lambda output: (output / RECORD).unlink(), "although the disk is connected"),
    ],
    ids=["deleted", "emptied", "record deleted"],
)
@pytest.mark.parametrize("arguments", [[], ["-n"], ["--list-md5"], ["--list-removed"]])
def test_lost_folders_are_told_from_unmounted_disks(
    account: Account, run: Run, lose: Any, words: str, arguments: List[str]
) -> None:
    account.album("Summer").photo()
    sync(run)
    lose(run.output)
    refused = sync(run, *arguments, exit_code=2)
    assert words in refused.stderr and "--new-record" in refused.stderr
    assert "creates one" not in refused.stderr
    assert "Is the disk connected?" not in refused.stderr
    sync(run, "--new-record")
    assert sync(run).cost == NOTHING_NEW


def test_folders_known_to_an_earlier_version_are_told_as_before(
    account: Account, run: Run
) -> None:
    account.album("Summer").photo()
    sync(run)
    folders_file(run).write_text(json.dumps([str(run.output), 7]))
    shutil.rmtree(str(run.output))
    assert "Is the disk connected?" in sync(run, exit_code=2).stderr
    folders_file(run).write_text(json.dumps({str(run.output): "x"}))
    assert sync(run).downloads == 1


def test_a_new_record_is_refused_where_the_record_is_intact(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    sync(run, "--new-record")
    before = snapshot(run.output / "Summer")
    for arguments in ([], ["-n"]):
        refused = sync(run, "--new-record", *arguments, exit_code=2)
        assert "is intact" in refused.stderr and "without --new-record" in refused.stderr
    assert snapshot(run.output / "Summer") == before
    (run.output / RECORD).write_bytes(b"damaged" * 1000)
    assert sync(run, "--new-record").cost == (3, 0)


@pytest.mark.parametrize("place", ["Summer", "Summer/new", "new", "a/b"])
@pytest.mark.parametrize("arguments", [[], ["-n"], ["--new-record"]])
def test_an_output_folder_within_another_is_refused(
    account: Account, run: Run, place: str, arguments: List[str]
) -> None:
    account.album("Summer").photo()
    sync(run)
    before = snapshot(run.output)
    refused = sync(run, *arguments, "--output", str(run.output / place), exit_code=2)
    assert "is an output folder itself" in refused.stderr and refused.downloads == 0
    assert snapshot(run.output) == before


def test_two_first_runs_at_one_moment_are_both_remembered(tmp_path: Path) -> None:
    """Start some processes at once that add a folder each."""
    code = f"""
        import sys
        from types import SimpleNamespace
        sys.path.insert(0, {str(Path(script.__file__).parent)!r})
        import download_smugmug_photos as script
        output = script.Path({str(tmp_path)!r}, sys.argv[1])
        output.mkdir()
        sys.stdin.readline()
        path = script.Path({str(tmp_path / "config" / "folders.json")!r})
        script.remember_folder(SimpleNamespace(output=output, folders_file=path))
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(number)],
            stdin=subprocess.PIPE,
            universal_newlines=True,
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=300)
        assert process.returncode == 0
    known = json.loads((tmp_path / "config" / "folders.json").read_text())
    assert {Path(folder).name for folder in known} == {"0", "1", "2", "3"}


# =================================================================================================
# The file of the record: locked, damaged, newer, in the way.
# =================================================================================================


def test_the_folder_is_locked_until_its_run_ends_or_is_killed(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    for number in range(4):
        album.photo(f"{number}.JPG")
    stalled = smugmug.fault("stall", where=f"/i-{album.images[3].key}/", before_headers=True)
    process = run.start("--jobs", "1")
    assert stalled.reached.wait(300)
    on_disk = files_on_disk(run.output)
    assert len(on_disk) == 3

    second = sync(run, exit_code=2)
    assert "Another run is already using" in second.stderr
    assert second.downloads == 0
    while run("--list-md5").returncode:  # the first commit is at most two seconds away
        pass
    for arguments in (["--dry-run"], ["--list-md5"], ["--list"], ["--dry-run", "--verify"]):
        assert sync(run, *arguments).downloads == 0
    assert files_on_disk(run.output) == on_disk
    assert sync(run, "--output", "elsewhere").downloads == 4

    process.kill()
    process.wait()
    assert run_unchanged(run, "--dry-run").cost == (3, 0)
    assert sync(run).cost == (3, 1)
    assert files_on_disk(run.output) == expected_files(album)
    assert sync(run).cost == NOTHING_NEW


def test_kills_while_writing_leave_the_record_as_before(account: Account, run: Run) -> None:
    account.album("Summer").fill(200, 100)
    sync(run)
    state, journal = run.output / RECORD, run.output / (RECORD + "-journal")
    with closing(sqlite3.connect(str(state), isolation_level=None)) as database:
        database.executescript(
            "PRAGMA cache_size = 1; PRAGMA cache_spill = 1; "
            "BEGIN; UPDATE file SET name = name || '?';"
        )
        half_written = state.read_bytes(), journal.read_bytes()
    assert half_written[1][:1] == b"\xd9" and state.read_bytes() != half_written[0], (
        "this journal has to be a hot one"
    )
    state.write_bytes(half_written[0])
    journal.write_bytes(half_written[1])

    assert run_unchanged(run, "--dry-run").cost == NOTHING_NEW
    run_unchanged(run, "--dry-run", "--verify")
    assert sync(run).cost == NOTHING_NEW
    assert not journal.exists()


def test_the_record_has_no_write_ahead_log(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    stalled = smugmug.fault("stall", where=f"/i-{album.photo().key}/", after_bytes=10)
    process = run.start()
    assert stalled.reached.wait(300)
    names = {path.name for path in run.output.iterdir()}
    process.kill()
    process.wait()
    sync(run)
    assert names <= {RECORD, RECORD + "-journal", "Summer"}
    assert (run.output / RECORD).read_bytes()[
        18:20
    ] == b"\x01\x01"  # 2 stands for WAL in the format of SQLite files
    assert {path.name for path in run.output.iterdir()} == {RECORD, "Summer"}


def test_records_of_a_newer_format_are_refused(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    sync(run)
    with closing(sqlite3.connect(str(run.output / RECORD))) as database:
        database.execute("PRAGMA user_version = 99")
    account.albums[0].photo("IMG_2.JPG")
    for arguments in ([], ["--dry-run"], ["--verify"]):
        refused = run_unchanged(run, *arguments, exit_code=2)
        assert "Update this program" in refused.stderr and "99" in refused.stderr


@pytest.mark.parametrize("empty", ["no bytes", "no tables"])
def test_empty_records_are_filled_again(account: Account, run: Run, empty: str) -> None:
    account.album("Summer").photo()
    sync(run)
    (run.output / RECORD).write_bytes(b"")
    if empty == "no tables":
        with closing(sqlite3.connect(str(run.output / RECORD))) as database:
            database.executescript("CREATE TABLE passing (by TEXT); DROP TABLE passing;")
        assert (run.output / RECORD).stat().st_size
    assert sync(run).cost == (3, 0)
    assert sync(run).cost == NOTHING_NEW


def overwritten(content: bytes) -> bytes:
    return b"this is not a database, but it was one. " * 500


def cut_in_half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def decayed(content: bytes) -> bytes:
    """Truncate a database to its first page."""
    page_bytes = int.from_bytes(content[16:18], "big")
    return content[:page_bytes] + b"\xa5" * (len(content) - page_bytes)


@pytest.mark.parametrize("damage", [overwritten, cut_in_half, decayed])
def test_damaged_records_are_set_aside_and_rebuilt(
    account: Account, run: Run, damage: Callable[[bytes], bytes]
) -> None:
    account.album("Summer").fill(10, 100)
    sync(run)
    everything = files_on_disk(run.output)
    content = damage((run.output / RECORD).read_bytes())
    (run.output / RECORD).write_bytes(content)

    assert run_unchanged(run, "--dry-run").cost == (3, 0)
    second = sync(run)
    assert second.cost == (3, 0)
    aside = [
        path
        for path in run.output.iterdir()
        if path.name.startswith(RECORD) and path.name != RECORD
    ]
    assert [path.read_bytes() for path in aside] == [content]
    assert aside[0].name in second.stderr
    assert files_on_disk(run.output) == everything
    assert sync(run).cost == NOTHING_NEW


@pytest.mark.parametrize(
    "arguments", [[], ["--dry-run"], ["--verify"]], ids=["sync", "dry run", "verify"]
)
def test_a_folder_at_the_path_of_the_record_is_named_and_stays(
    account: Account, run: Run, arguments: List[str]
) -> None:
    account.album("Summer").photo()
    (run.output / RECORD / "mine").mkdir(parents=True)
    refused = run_unchanged(run, *arguments, exit_code=2)
    assert RECORD in refused.stderr and run.output.name in refused.stderr


def test_unwritable_records_end_the_run_and_the_next_one_finds_the_files(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    sync(run)
    album.photo("b.JPG")
    in_the_way = run.output / (RECORD + "-journal")

    def put_in_the_way(answer: Dict[str, Any]) -> Dict[str, Any]:
        in_the_way.mkdir()
        return answer

    smugmug.fault("mangle", f"{album.key}!images", function=put_in_the_way)
    assert f"Cannot write to {run.output.name}: " in sync(run, exit_code=2).stderr
    in_the_way.rmdir()
    sync(run)
    assert files_on_disk(run.output) == expected_files(album)
