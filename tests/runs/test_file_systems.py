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
import textwrap
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import Account
from helpers import RECORD, edit, expected_files, files_on_disk, snapshot, sync

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
    assert first.stderr.count("does not support file locks") == 1 and LOCK in first.stderr
    assert seen == [True] and not (run.output / LOCK).exists()
    assert sync(run, env=broken_disk(shim, lock=error)).cost == (2, 0)
    assert sync(run).cost == (2, 0)
    assert "file locks" not in sync(run).stderr


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
    assert stall.reached.wait(300)
    second = sync(run, exit_code=2, env=disk)
    assert f"process {first.pid} on {socket.gethostname()}, last active " in second.stderr
    assert "Another run is already using" in second.stderr and second.downloads == 0
    assert sync(run, "-n", env=disk).downloads == 0
    first.kill()
    first.wait()
    assert (run.output / LOCK).exists()
    run.smugmug.clear_faults()
    assert sync(run, env=disk).downloads == 1
    assert files_on_disk(run.output) == expected_files(album) and not (run.output / LOCK).exists()


def lock_of_another_computer(run: Run, age_seconds: float) -> Path:
    """Leave a lock file of another computer, touched this long ago."""
    lock = run.output / LOCK
    lock.write_text("attic 17")
    touched_at = time.time() - age_seconds
    os.utime(str(lock), (touched_at, touched_at))
    return lock


def test_lock_files_of_other_computers_are_named_with_age_and_advice(
    account: Account, run: Run
) -> None:
    account.album("Summer").photo()
    sync(run)
    lock = lock_of_another_computer(run, 120)
    refused = sync(run, exit_code=2)
    assert re.search("process 17 on attic, last active 2 min.* ago", refused.stderr)
    assert re.search(rf"delete \S*{re.escape(LOCK)} or wait [78] min", refused.stderr)
    assert lock.read_text() == "attic 17" and refused.cost[1] == 0
    lock.unlink()
    assert sync(run).cost == (2, 0)


def test_a_lock_that_was_not_touched_for_long_is_taken_over(
    account: Account, run: Run, shim: str
) -> None:
    """Run after a container was killed: its name is never seen again."""
    account.album("Summer").photo()
    sync(run)
    for env in ({}, broken_disk(shim, lock="ENOLCK")):
        lock = lock_of_another_computer(run, script.STALE_LOCK_SECONDS + 1)
        assert sync(run, env=env).cost == (2, 0)
        assert not lock.exists()
    assert [path.name for path in run.output.iterdir() if "claim" in path.name] == []


@pytest.mark.parametrize(
    "content", [b"", b"attic", b"attic 17x", b"attic 999999999999999999999", b"\xff\xfe 1 2", b"0"]
)
def test_a_lock_file_with_any_content_holds_until_it_is_old(
    account: Account, run: Run, content: bytes
) -> None:
    account.album("Summer").photo()
    sync(run)
    lock = run.output / LOCK
    lock.write_bytes(content)
    assert "Another run is already using" in sync(run, exit_code=2).stderr
    os.utime(str(lock), (0, 0))
    assert sync(run).cost == (2, 0)


def test_a_folder_in_the_place_of_the_lock_is_named(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    sync(run)
    (run.output / LOCK).mkdir()
    assert LOCK in sync(run, exit_code=2).stderr


def test_a_run_touches_its_lock_and_ends_if_another_run_took_it_over(
    account: Account, run: Run, shim: str
) -> None:
    album = account.album("Summer")
    for number in range(40):
        album.photo(f"{number}.JPG")
    lock = run.output / LOCK
    times: List[float] = []

    def look(answer: Dict[str, Any]) -> Dict[str, Any]:
        os.utime(str(lock), (1_000_000_000, 1_000_000_000))
        return answer

    run.smugmug.fault("mangle", f"{album.key}!images", function=look)
    stall = run.smugmug.fault("stall", where=f"/i-{album.images[-1].key}/", before_headers=True)
    process = run.start(env=broken_disk(shim, lock="ENOLCK"))
    assert stall.reached.wait(300)
    deadline = time.monotonic() + 300
    while lock.stat().st_mtime < 1_600_000_000 and time.monotonic() < deadline:
        time.sleep(0.1)
    times.append(lock.stat().st_mtime)
    assert times[0] > 1_600_000_000
    lock.write_text("attic 17")
    _, stderr = process.communicate(timeout=300)
    assert process.wait() == 2 and "taken over by another run" in stderr
    assert lock.read_text() == "attic 17"


def test_of_two_processes_that_take_over_a_lock_one_gets_it(tmp_path: Path) -> None:
    """Start some processes at once, each with a name of its own, before an old lock."""
    lock = tmp_path / LOCK
    lock.write_text("attic 17")
    os.utime(str(lock), (0, 0))
    code = f"""
        import socket, sys
        sys.path.insert(0, {str(Path(script.__file__).parent)!r})
        import download_smugmug_photos as script
        socket.gethostname = lambda: "container" + sys.argv[1]
        sys.stdin.readline()
        try:
            script.LockFile(script.Path({str(lock)!r})).acquire()
            print("mine")
        except script.Problem as problem:
            print(problem)
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            universal_newlines=True,
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate(timeout=300)[0].strip() for process in processes]
    assert told.count("mine") == 1, told
    assert sum("Another run is already using" in text for text in told) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such check of a process")
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
    assert not script.is_running(str(os.getpid()))  # process IDs repeat in containers

    def forbid(process: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", forbid)
    assert script.is_running("17")


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


# =================================================================================================
# Time stamps of FAT.
# =================================================================================================

HOUR, SECOND = 3600 * 10**9, 10**9


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
