"""Does the program work on every kind of disk: without locks or fsync, coarse times, slow
renames?
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import Account
from helpers import RECORD, broken_python, edit, expected_files, files_on_disk, snapshot, sync

LOCK = RECORD + ".lock"
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* True in the output folder only, because coverage needs locks of its own. */
static int is_there(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    return strstr(path, "/smugmug_photos/") != NULL;
}
static int real(const char *name, int file, int command, void *argument) {
    int (*function)(int, int, ...) = dlsym(RTLD_NEXT, name);
    return function(file, command, argument);
}
static int lock(const char *name, int file, int command, void *argument) {
    const char *number = getenv("LOCK_ERRNO");
    int locks = command == F_SETLK || command == F_SETLKW || command == F_GETLK;
    if (number && locks && is_there(file)) {
        errno = atoi(number);
        return -1;
    }
    return real(name, file, command, argument);
}
#define WRAP(NAME) int NAME(int file, int command, ...) { \
    va_list list; va_start(list, command); void *argument = va_arg(list, void *); va_end(list); \
    return lock(#NAME, file, command, argument); }
WRAP(fcntl)
WRAP(fcntl64)
static int sync_file(const char *name, int file) {
    const char *number = getenv("SYNC_ERRNO");
    if (number && is_there(file)) {
        errno = atoi(number);
        return -1;
    }
    int (*function)(int) = dlsym(RTLD_NEXT, name);
    return function(file);
}
int fsync(int file) { return sync_file("fsync", file); }
int fdatasync(int file) { return sync_file("fdatasync", file); }
"""


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build a library that makes locks and fsync fail as on a file system without them."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not sys.platform.startswith("linux") or compiler is None:
        pytest.skip("there is no compiler for a library to load before all others")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    subprocess.run(
        [
            compiler,
            "-shared",
            "-fPIC",
            "-o",
            str(folder / "shim.so"),
            str(folder / "shim.c"),
            "-ldl",
        ],
        check=True,
    )
    return str(folder / "shim.so")


def broken_disk(shim: str, lock: str = "", sync: str = "") -> Dict[str, Optional[str]]:
    """Return variables for a file system whose locks and fsync fail with these errors."""
    names = {"LOCK_ERRNO": lock, "SYNC_ERRNO": sync}
    # a variable that begins with PYTHON keeps the process from being forked: only a new one loads
    # the library
    return {
        "LD_PRELOAD": shim,
        "PYTHONNOUSERSITE": "1",
        **{name: str(getattr(errno, text)) for name, text in names.items() if text},
    }


# =================================================================================================
# File systems without locks.
# =================================================================================================


@pytest.mark.parametrize("host", ["attic", "Grandpa's attic"])
def test_computer_names_may_contain_spaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    script.write_lock(tmp_path / LOCK)
    assert (tmp_path / LOCK).read_text() == f"{host} {os.getpid()}"
    (tmp_path / LOCK).write_text(f"{host} {os.getppid()}")
    with pytest.raises(script.Problem, match=f"process {os.getppid()} on {host}"):
        script.refuse_locked(tmp_path / LOCK)


@pytest.mark.parametrize("error", ["ENOLCK", "ENOSYS", "EINVAL", "EOPNOTSUPP"])
def test_runs_without_locks_use_a_lock_file_and_remove_it(
    account: Account, run: Run, shim: str, error: str
) -> None:
    album = account.album("Summer")
    album.photo()
    seen: List[bool] = []

    def look(answer: Dict[str, Any]) -> Dict[str, Any]:
        seen.append((run.output / LOCK).exists())
        return answer

    run.smugmug.fault("mangle", f"{album.key}!images", function=look)
    first = sync(run, env=broken_disk(shim, lock=error))
    assert first.downloads == 1 and files_on_disk(run.output) == expected_files(album)
    assert first.stderr.count("knows no locks") == 1 and LOCK in first.stderr
    assert seen == [True] and not (run.output / LOCK).exists()
    assert sync(run, env=broken_disk(shim, lock=error)).cost == (2, 0)
    assert sync(run).cost == (2, 0)
    assert "no locks" not in sync(run).stderr


@pytest.mark.parametrize("arguments", [["-n"], ["--list-md5"], ["--verify", "-n"]])
def test_previews_without_locks_read_the_record_and_write_nothing(
    account: Account, run: Run, shim: str, arguments: List[str]
) -> None:
    account.album("Summer").photo()
    sync(run)
    before = snapshot(run.output)
    result = sync(run, *arguments, env=broken_disk(shim, lock="ENOLCK"))
    assert (
        "To download: 0 files" in result.stdout
        or "Summer/" in result.stdout
        or "1 intact" in result.stderr
    )
    assert snapshot(run.output) == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows kills in other ways")
def test_second_runs_without_locks_are_refused_until_the_first_is_killed(
    account: Account, run: Run, shim: str
) -> None:
    album = account.album("Summer")
    album.photo()
    stall = run.smugmug.fault("stall", where="cdn", before_headers=True)
    disk = broken_disk(shim, lock="ENOLCK")
    first = run.start(env=disk)
    assert stall.reached.wait(30)
    for arguments in ([], ["-n"]):
        second = sync(run, *arguments, exit_code=2, env=disk)
        assert f"process {first.pid} on {socket.gethostname()}, since " in second.stderr
        assert "Another run is already using" in second.stderr and second.downloads == 0
    first.kill()
    first.wait()
    assert (run.output / LOCK).exists()
    run.smugmug.clear_faults()
    assert sync(run, env=disk).downloads == 1
    assert files_on_disk(run.output) == expected_files(album) and not (run.output / LOCK).exists()


def test_lock_files_of_other_computers_are_named_with_age_and_advice(
    account: Account, run: Run
) -> None:
    account.album("Summer").photo()
    sync(run)
    (run.output / LOCK).write_text("attic 17")
    os.utime(str(run.output / LOCK), (1_700_000_000, 1_700_000_000))
    refused = sync(run, exit_code=2, env={"TZ": "UTC0"})
    assert "process 17 on attic, since 2023-11-14 22:13" in refused.stderr
    assert re.search(rf"If it is no longer running, delete \S*{re.escape(LOCK)}", refused.stderr)
    assert (run.output / LOCK).read_text() == "attic 17" and refused.cost[1] == 0
    (run.output / LOCK).unlink()
    assert sync(run).cost == (2, 0)


@pytest.mark.skipif(
    sys.platform == "win32", reason="there, nobody can be asked whether a process runs"
)
def test_lock_files_of_this_computer_hold_while_their_process_runs(
    account: Account, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.album("Summer").photo()
    sync(run)
    here = socket.gethostname()
    (run.output / LOCK).write_text(f"{here} {os.getpid()}")
    assert "Another run" in sync(run, exit_code=2).stderr
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (run.output / LOCK).write_text(f"{here} {gone.pid}")
    assert sync(run).cost == (2, 0)
    # our own process ID is no other run: containers reuse the numbers
    assert not script.is_running(os.getpid())

    def forbid(process: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", forbid)
    assert script.is_running(17)


def test_of_two_simultaneous_runs_the_one_whose_lock_file_stays_continues(
    account: Account, run: Run, shim: str, tmp_path: Path
) -> None:
    album = account.album("Summer")
    album.photo()
    other = f"{socket.gethostname()} {os.getpid()}"
    python = broken_python(
        tmp_path / "python",
        f"""
        import time
        sleep = time.sleep
        def sleep_while_the_other_begins(seconds):
            if seconds == {script.TICK_SECONDS}:
                open({str(run.output / LOCK)!r}, "w").write({other!r})
            else:
                sleep(seconds)
        time.sleep = sleep_while_the_other_begins
    """,
    )
    refused = sync(run, exit_code=2, env={**broken_disk(shim, lock="ENOLCK"), **python})
    assert "Another run is already using" in refused.stderr and refused.downloads == 0
    assert (run.output / LOCK).read_text() == other
    (run.output / LOCK).unlink()
    sync(run, env=broken_disk(shim, lock="ENOLCK"))
    assert files_on_disk(run.output) == expected_files(album)


def test_process_checks_never_signal_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "kill", lambda process, number: pytest.fail("that would end it"))
    assert script.is_running(17)
    script.lock_shared(-1)  # nor for locks


# =================================================================================================
# File systems without fsync.
# =================================================================================================


@pytest.mark.parametrize("error", ["EINVAL", "ENOSYS", "EOPNOTSUPP"])
def test_unsupported_fsync_is_no_error(account: Account, run: Run, shim: str, error: str) -> None:
    album = account.album("Summer")
    album.photo(caption="Snow")
    assert sync(run, env=broken_disk(shim, sync=error)).downloads == 1
    assert files_on_disk(run.output) == expected_files(album)
    assert sync(run, env=broken_disk(shim, sync=error)).cost == (2, 0)


def test_failing_fsync_is_an_error(account: Account, run: Run, shim: str) -> None:
    account.album("Summer").photo()
    result = sync(run, env=broken_disk(shim, sync="EIO"), exit_code=2)
    assert "I/O error" in result.stderr and files_on_disk(run.output) == {}


def test_files_whose_fsync_fails_do_not_get_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file_number: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError):
        script.write_atomically(tmp_path / "a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


# =================================================================================================
# Time stamps of FAT.
# =================================================================================================

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


@pytest.mark.parametrize(
    "shift_ns, file_name",
    [
        (-1 * SECOND, "IMG_1-damaged.JPG"),
        (HOUR, "IMG_1-damaged.JPG"),
        (-HOUR - SECOND, "IMG_1-damaged.JPG"),
        (2 * HOUR, "IMG_1.JPG"),
    ],
)
def test_damage_is_told_from_edits_on_memory_cards_as_well(
    account: Account, run: Run, shift_ns: int, file_name: str
) -> None:
    photo = account.album("Summer").photo()
    sync(run)
    path = run.output / "Summer" / photo.file_name
    before = path.stat()
    rotten = edit(path, keep_time=True)
    os.utime(str(path), ns=(before.st_atime_ns, before.st_mtime_ns + shift_ns))
    found = sync(run, "--verify")
    assert found.downloads == 1 and files_on_disk(run.output)[f"Summer/{file_name}"] == rotten
    assert photo.data in files_on_disk(run.output).values()


def test_shifted_time_stamps_cause_no_reading(account: Account, run: Run) -> None:
    album = account.album("Summer")
    photo = album.photo()
    sync(run)
    path = run.output / "Summer" / photo.file_name
    os.utime(str(path), ns=(0, path.stat().st_mtime_ns + HOUR))
    assert sync(run).cost == (2, 0)
    assert sync(run, "--full").cost == (3, 0)
    assert "1 intact" in sync(run, "--verify").stderr


# =================================================================================================
# Renames that another program blocks.
# =================================================================================================


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
