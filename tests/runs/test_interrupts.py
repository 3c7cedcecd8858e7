"""Does a stopped or killed run leave no half-written file, and does the next run complete it?"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import pytest

from conftest import Run
from fake_smugmug import JPEG_MAGIC, MP4_MAGIC, Account, FakeSmugMug, Pattern
from helpers import (
    A_FEW_LOOKS,
    CUT,
    OUT_OF_REACH,
    UNREACHABLE,
    album_with,
    big_photo,
    broken_python,
    expected_files,
    files_on_disk,
    fill,
    of_file,
    part_files,
    posix_only,
    stop,
    sync,
    token_file,
)

KILLS = 20
SIZE = 600_000

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows sends no signals to other processes"
)


# =================================================================================================
# Ctrl-C and SIGTERM.
# =================================================================================================


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", 0)],
    ids=["Ctrl-C", "SIGTERM", "a closed terminal"],
)
def test_interrupted_runs_stop_at_once_and_the_next_one_completes(
    account: Account, smugmug: FakeSmugMug, run: Run, number: int
) -> None:
    album, endless = account.album("Summer"), account.album("Winter")
    for index in range(3):
        album.photo(f"IMG_{index}.JPG")
    stalled = [
        album.photo(f"BIG_{index}.JPG", Pattern(SIZE, index, JPEG_MAGIC)) for index in range(4)
    ]
    endless.photo("IMG_9.JPG")
    for photo in stalled:
        smugmug.fault("stall", where=f"/i-{photo.key}/", after_bytes=400_000)
    smugmug.fault("stall", where=f"{endless.key}!images", before_headers=True)
    process = run.start("-j", 8)
    smugmug.wait_for(lambda: smugmug.count("cdn") >= 7 and smugmug.count("api", "!images") >= 2)
    smugmug.wait_for(
        lambda: sum(record.status == 200 for record in smugmug.select("cdn", "IMG")) == 3
    )

    stderr = stop(process, number)

    assert process.returncode == 130
    assert (
        "Files: " in stderr
        and " downloaded, 0 already there, 0 failed" in stderr
        and "Interrupted" in stderr
    )
    on_disk = files_on_disk(run.output)
    assert set(on_disk.items()) <= set(expected_files(*account.albums).items()) and not any(
        "BIG" in path for path in on_disk
    )

    smugmug.clear_faults()
    smugmug.clear_requests()
    assert run().returncode == 0
    assert files_on_disk(run.output) == expected_files(*account.albums) and not part_files(run)
    assert smugmug.count("cdn") == 8 - len(on_disk)


def test_closing_the_terminal_does_not_end_a_run_under_nohup(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.photo()
    fault = smugmug.fault("stall", where="cdn", seconds=1, before_headers=True)
    process = run.start(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert fault.reached.wait(300)
    process.send_signal(signal.SIGHUP)

    process.communicate(timeout=300)

    assert process.returncode == 0 and files_on_disk(run.output) == expected_files(album)


@pytest.mark.parametrize("where", ["!authuser", "!albums", "!images", "cdn"])
def test_interrupts_end_every_kind_of_wait(
    account: Account, smugmug: FakeSmugMug, run: Run, where: str
) -> None:
    account.album("Summer").photo()
    fault = smugmug.fault("stall", where=where, before_headers=True)
    process = run.start()
    assert fault.reached.wait(300)

    stderr = stop(process, signal.SIGINT)

    assert process.returncode == 130 and "Interrupted" in stderr
    assert files_on_disk(run.output) == {}


def test_interrupts_end_the_wait_for_a_list(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    fault = smugmug.fault("stall", where="!albums", before_headers=True)
    process = run.start("--list")
    assert fault.reached.wait(300)

    assert stop(process, signal.SIGINT) == "Interrupted.\n"

    assert process.returncode == 130


def test_interrupts_end_the_wait_for_the_pin(smugmug: FakeSmugMug, run: Run) -> None:
    process = run.start("--login", signed_in=False, stdin=subprocess.PIPE)
    assert process.stderr is not None
    said = ""
    while not said.endswith("PIN: "):
        said += process.stderr.read(1) or pytest.fail(said)

    assert stop(process, signal.SIGINT).strip() == "Interrupted."

    assert process.returncode == 130


@pytest.mark.parametrize(
    "fault, options", [("rate_limited", {"retry_after": "86400"}), ("server_error", {})]
)
def test_interrupts_end_a_wait_that_smugmug_asked_for(
    account: Account, smugmug: FakeSmugMug, run: Run, fault: str, options: Dict[str, Any]
) -> None:
    account.album("Summer").photo()
    smugmug.fault(fault, where="cdn", times=None, **options)
    process = run.start()
    smugmug.wait_for(lambda: any(record.status for record in smugmug.select("cdn")))

    stop(process, signal.SIGINT)

    assert process.returncode == 130
    assert smugmug.count("cdn") <= 2


@pytest.mark.parametrize(
    "where, after, wait",
    [
        ("!authuser", 0, "retrying in"),
        ("!images", 0, "retrying in"),
        ("api", 1, UNREACHABLE),
        ("cdn", 0, UNREACHABLE),
    ],
)
def test_interrupts_end_the_wait_for_another_attempt(
    account: Account, smugmug: FakeSmugMug, run: Run, where: str, after: int, wait: str
) -> None:
    album = account.album("Summer")
    for index in range(6):
        album.photo(f"IMG_{index}.JPG")
    smugmug.fault("reset", where=where, times=None, after=after)
    process = run.start("-v")
    assert process.stderr is not None
    said = ""
    while wait not in said:
        said += process.stderr.readline() or pytest.fail(said)

    stop(process, signal.SIGINT)

    assert process.returncode == 130
    assert files_on_disk(run.output) == {}


# =================================================================================================
# Two runs at a time, and kill -9.
# =================================================================================================


def test_a_second_run_in_the_same_folder_is_refused_and_the_first_continues(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.album("Summer").photo()
    stall = smugmug.fault("stall", where="cdn", before_headers=True)
    first = run.start()
    assert stall.reached.wait(300)

    second = run()

    assert second.returncode == 2
    assert "Another run is already using" in second.stderr and run.output.name in second.stderr
    assert smugmug.count("cdn") == 1 and first.poll() is None

    stop(first, signal.SIGINT)
    assert run().returncode == 0
    assert files_on_disk(run.output) == expected_files(*account.albums)


def test_one_run_completes_the_folder_after_kills_at_any_moment(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    whole = fill_for_kills(account)
    chance = random.Random(20)
    process = run.start("-j", 4)
    smugmug.wait_for(lambda: smugmug.count("cdn") >= 4)
    # so that there is a record, too, that killed runs can damage
    stop(process, signal.SIGTERM)
    seen = [len(files_on_disk(run.output))]

    for _ in range(KILLS):
        kill_once(smugmug, run, chance)
        on_disk = files_on_disk(run.output)
        # nothing half-written under a final name
        assert set(on_disk.items()) <= set(whole.items())
        seen.append(len(on_disk))

    # the killed runs had something to do
    assert seen[0] < seen[-1] < len(whole) and seen == sorted(seen)
    # a part file may be complete except for its name
    missing, complete = (
        len(whole) - seen[-1],
        len(part_files(run)),
    )
    smugmug.clear_requests()
    result = run()
    assert result.returncode == 0, result.stderr
    assert files_on_disk(run.output) == whole and not part_files(run)
    assert missing - complete <= smugmug.count("cdn") <= missing
    smugmug.clear_requests()
    assert run().returncode == 0 and smugmug.count("cdn") == 0


# =================================================================================================
# Helpers.
# =================================================================================================


def kill_once(smugmug: FakeSmugMug, run: Run, chance: random.Random) -> None:
    """Start a run and kill it at a moment counted in requests, responses or bytes."""
    smugmug.clear_requests()
    moments: List[Tuple[Callable[[], int], int]] = [
        (lambda: smugmug.count("api"), chance.randint(1, 5)),
        (lambda: smugmug.count("cdn"), chance.randint(1, 4)),
        (
            lambda: sum(record.status != 0 for record in smugmug.select("cdn")),
            chance.randint(1, 4),
        ),
        (
            lambda: sum(record.bytes_sent for record in smugmug.select("cdn")),
            chance.randint(1, 3 * SIZE),
        ),
    ]
    so_far, enough = chance.choice(moments)
    process = run.start("-j", chance.choice([1, 2, 4]))
    smugmug.wait_for(lambda: so_far() >= enough)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def fill_for_kills(account: Account) -> Dict[str, bytes]:
    """Add more distinct files than the killed runs can download; return the expected files."""
    for number in range(4):
        album = account.album(f"Album {number}")
        for index in range(50):
            album.photo(
                f"IMG_{index % 40}.JPG",
                Pattern(SIZE // (1 + index % 3), account.new_seed(), JPEG_MAGIC),
                key=f"n{number}i{index}",
            )
        album.video("clip.MOV", Pattern(SIZE, account.new_seed(), MP4_MAGIC), key=f"n{number}v")
    return expected_files(*account.albums)


# =================================================================================================
# Waits.
# =================================================================================================


def test_interrupts_are_heard_while_one_file_waits_alone(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photos = fill(account.album("Summer"), 3)
    fault = smugmug.fault("server_error", where=of_file(photos[0]), times=2, retry_after="1")
    smugmug.fault("server_error", where=of_file(photos[0]), times=None, retry_after="3000")
    process = run.start("-j", 1)
    smugmug.wait_for(lambda: smugmug.count("cdn", of_file(photos[0])) >= 3)
    assert fault.hits == 2

    stop(process, signal.SIGINT)

    assert process.returncode == 130 and len(files_on_disk(run.output)) == 2


# =================================================================================================
# Outages.
# =================================================================================================


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals to other processes")
def test_interrupts_end_the_wait_for_the_network(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    for number in range(9):
        big_photo(album, f"IMG_{number}.JPG")
    smugmug.fault("stall", where="cdn", times=None, after=1, after_bytes=CUT)
    process = run.start("-j", 4)
    smugmug.wait_for(lambda: smugmug.count("cdn") >= 5)
    smugmug.go_away()
    smugmug.wait_for(lambda: smugmug.turned_away >= A_FEW_LOOKS)

    stderr = stop(process, signal.SIGINT)

    assert process.returncode == 130 and "Files: " in stderr and "Interrupted" in stderr
    assert OUT_OF_REACH in stderr and part_files(run)


# =================================================================================================
# Leftovers of killed runs.
# =================================================================================================


KILLED_AT = """
    import os, signal

    def killing(function):
        def kill(source, target, *args, **kwargs):
            if os.fspath(target).endswith({end!r}):
                os.kill(os.getpid(), signal.SIGKILL)
            return function(source, target, *args, **kwargs)
        return kill

    for name in ("replace", "rename", "link"):
        setattr(os, name, killing(getattr(os, name)))
"""


def all_files(folder: Path) -> List[str]:
    """Return the names of all files below a folder, hidden ones as well."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


@posix_only
@pytest.mark.parametrize("end", [".xmp", "album.json"])
def test_leftovers_of_killed_sidecar_writes_are_removed(
    account: Account, run: Run, tmp_path: Path, end: str
) -> None:
    account.album("Summer").photo("a.JPG", caption="Swans")
    env = broken_python(tmp_path / "broken", KILLED_AT.format(end=end))
    sync(run, "--sidecar", "xmp,json", exit_code=-9, env=env)
    for _ in range(2):
        sync(run, "--sidecar", "xmp,json")
    assert all_files(run.output / "Summer") == ["a.JPG", "a.JPG.xmp", "album.json"]


@posix_only
def test_leftovers_of_killed_sign_in_writes_are_removed(
    smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    env = broken_python(tmp_path / "broken", KILLED_AT.format(end="token.json"))
    killed = run("--login", signed_in=False, input=f"{smugmug.pin}\n", env=env)
    assert killed.returncode == -9
    assert run("--login", signed_in=False, input=f"{smugmug.pin}\n").returncode == 0
    assert set(all_files(token_file(run).parent)) <= {"token.json", "folders.json"}


@posix_only
def test_leftovers_of_killed_report_writes_are_removed(
    account: Account, run: Run, tmp_path: Path
) -> None:
    album_with(account, "a.JPG")
    reports = tmp_path / "reports"
    reports.mkdir()
    env = broken_python(tmp_path / "broken", KILLED_AT.format(end="report.json"))
    sync(run, "--report", str(reports / "report.json"), exit_code=-9, env=env)
    sync(run, "--report", str(reports / "report.json"))
    assert all_files(reports) == ["report.json"]
