"""Do locks, fsync and renames work on file systems without them, and on Windows?"""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import pytest

import download_smugmug_photos as script
from helpers import RECORD

LOCK = RECORD + ".lock"


@pytest.mark.parametrize("host", ["attic", "Grandpa's attic"])
def test_computer_names_may_contain_spaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    lock = script.LockFile(tmp_path / LOCK)
    lock.acquire()
    assert (tmp_path / LOCK).read_text() == f"{host} {os.getpid()}" and lock.is_held()
    (tmp_path / LOCK).write_text(f"{host} {os.getppid()}")
    with pytest.raises(script.Problem, match=f"process {os.getppid()} on {host}"):
        lock.acquire()
    assert not lock.is_held()


def test_a_lock_of_this_very_process_is_from_an_earlier_container(tmp_path: Path) -> None:
    lock = script.LockFile(tmp_path / LOCK)
    lock.acquire()
    script.LockFile(tmp_path / LOCK).acquire()
    assert not script.is_running(str(os.getpid())) and script.is_running(str(os.getppid()))


def test_a_lock_that_was_deleted_is_lost(tmp_path: Path) -> None:
    lock = script.LockFile(tmp_path / LOCK)
    lock.acquire()
    (tmp_path / LOCK).unlink()
    with pytest.raises(script.Problem, match="was removed or taken over by another run"):
        lock.touch()
    lock.release()
    assert list(tmp_path.glob(LOCK + "*")) == []


def test_a_claim_that_a_killed_process_left_is_ignored_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "CLAIM_SECONDS", 0.1)
    claim = tmp_path / "folders.json.claim"
    claim.write_text("")
    os.utime(str(claim), (0, 0))
    with script.claimed(tmp_path / "folders.json") as now:
        assert now > 1_000_000_000
    assert not claim.exists()


def test_a_lock_on_a_disk_that_fails_is_not_taken_for_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = script.LockFile(tmp_path / LOCK)
    lock.acquire()

    def fail(path: Path) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(script, "lock_content", fail)
    assert lock.is_held()
    lock.touch()


def test_process_checks_never_signal_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "kill", lambda process, number: pytest.fail("that would end it"))
    assert script.is_running("17")
    script.lock_shared(-1)  # nor for locks


@pytest.mark.parametrize("process", ["", "0", "-1", "+1", "01", "seven", "1" * 10, "\u0663"])
def test_only_the_number_of_one_process_is_signaled(
    monkeypatch: pytest.MonkeyPatch, process: str
) -> None:
    monkeypatch.setattr(os, "kill", lambda *arguments: pytest.fail("it may be a group"))
    assert script.is_running(process)


def test_files_whose_fsync_fails_do_not_get_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file_number: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError):
        script.write_atomically(tmp_path / "a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


HOUR, SECOND = 3600 * 10**9, 10**9


@pytest.mark.parametrize(
    "shift_ns, is_same",
    [
        (0, True),
        (2 * SECOND, True),
        (-2 * SECOND, True),
        (HOUR, True),
        (-HOUR, True),
        (HOUR - 2 * SECOND, True),
        (-HOUR - 2 * SECOND, True),
        (3 * SECOND, False),
        (-3 * SECOND, False),
        (HOUR - 3 * SECOND, False),
        (HOUR + 3 * SECOND, False),
        (2 * HOUR, False),
        (HOUR // 2, False),
    ],
)
def test_time_stamps_may_be_off_by_two_seconds_and_a_daylight_hour(
    shift_ns: int, is_same: bool
) -> None:
    assert (
        script.is_same_time(1_564_943_292 * SECOND + shift_ns, 1_564_943_292 * SECOND) is is_same
    )


class Scanner:
    """An `os.replace` that a virus scanner blocks this many times."""

    def __init__(self, times: int, winerror: Optional[int]) -> None:
        self.times, self.winerror, self.tries, self.real = times, winerror, 0, os.replace

    def __call__(self, path: str, new_path: str) -> None:
        """Rename, or fail as if blocked."""
        self.tries += 1
        if self.tries <= self.times:
            error = PermissionError(13, "Permission denied", path)
            if self.winerror is not None:
                error.winerror = self.winerror  # type: ignore[attr-defined, unused-ignore]
            raise error
        self.real(path, new_path)


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the pauses between attempts."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


@pytest.mark.parametrize("winerror", [5, 32])
def test_renames_blocked_by_a_scanner_are_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_pause: None, winerror: int
) -> None:
    scanner = Scanner(3, winerror)
    monkeypatch.setattr(os, "replace", scanner)
    script.write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new" and scanner.tries == 4


@pytest.mark.parametrize("winerror, tries", [(32, 11), (None, 1), (1314, 1)])
def test_renames_that_stay_blocked_fail_and_leave_the_old_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_pause: None,
    winerror: Optional[int],
    tries: int,
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    scanner = Scanner(100, winerror)
    monkeypatch.setattr(os, "replace", scanner)
    with pytest.raises(PermissionError):
        script.write_atomically(tmp_path / "a", b"new")
    assert scanner.tries == tries
    assert {path.name for path in tmp_path.iterdir()} == {"home", "a"} and (
        tmp_path / "a"
    ).read_bytes() == b"old"


def test_every_rename_is_one_that_retries() -> None:
    source = Path(script.__file__).read_text(encoding="utf-8")
    assert source.count("os.replace(") == 1 and "os.rename(" not in source


def unencodable(*paths: str) -> bool:
    """Fail as the file system's functions do for a name that the locale cannot encode."""
    raise UnicodeEncodeError("latin-1", paths[-1], 0, 1, "ordinal not in range(256)")


def test_folders_that_the_locale_cannot_encode_are_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "lexists", unencodable)  # as before Python 3.8
    assert script.files_among(tmp_path, ["Travel/\u65c5\u884c"]) == set()


def test_a_new_name_that_the_locale_cannot_encode_fails_one_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Old").mkdir()
    run: Any = script.Run.__new__(script.Run)
    run.folders, run.entries, run.max_name_bytes = {"A1": "Old"}, {}, 250
    run.settings = SimpleNamespace(output=tmp_path)
    run.summary = script.Summary(tmp_path)
    monkeypatch.setattr(os, "replace", unencodable)
    album: Any = SimpleNamespace(key="A1")
    assert script.rename_folder(run, album, "\u65c5\u884c")
    assert "cannot store this name" in run.summary.notes[0].reason
