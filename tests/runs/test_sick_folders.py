"""One album folder that cannot be looked at fails alone, in the words of the system."""

from __future__ import annotations

import errno as errnos
import os
import sys
from pathlib import Path
from typing import Callable, Dict, List, Optional

import pytest

from conftest import Run
from fake_smugmug import Account, FakeSmugMug
from helpers import (
    RECORD,
    broken_python,
    expected_files,
    files_on_disk,
    posix_only,
    run_without_rights,
    snapshot,
    sync,
)

TASKS: List[List[str]] = [[], ["--dry-run"], ["--verify"]]

SICK = """
    import os

    ERROR = {error}

    class FailingForSummer:
        # An object, because pathlib of Python 3.7 would turn a function into a method.

        def __init__(self, function):
            self.function = function

        def __call__(self, path=".", *args, **kwargs):
            if not isinstance(path, int) and "Summer" in os.fsdecode(path):
                raise OSError(ERROR, os.strerror(ERROR), path)
            return self.function(path, *args, **kwargs)

    for name in ("stat", "lstat", "scandir", "listdir", "open", "mkdir", "readlink"):
        setattr(os, name, FailingForSummer(getattr(os, name)))
"""


def assert_fails_alone(stderr: str, words: str) -> None:
    """Require a line about the sick folder, and none about standard output."""
    assert any("Summer" in line and words in line for line in stderr.splitlines()), stderr
    assert "standard output" not in stderr and "bug" not in stderr


@pytest.mark.skipif(sys.platform == "win32", reason="errors of POSIX systems")
@pytest.mark.parametrize("error", ["EIO", "ESTALE", "ENAMETOOLONG"])
def test_a_folder_with_an_error_fails_alone_in_each_task(
    account: Account, run: Run, tmp_path: Path, error: str
) -> None:
    summer, winter = account.album("Summer"), account.album("Winter")
    summer.photo("a.JPG")
    winter.photo("b.JPG")
    sync(run)
    number = getattr(errnos, error)
    env = broken_python(tmp_path / "sick", SICK.format(error=number))
    words = os.strerror(number)
    for arguments in TASKS:
        assert_fails_alone(sync(run, *arguments, exit_code=1, env=env).stderr, words)
    winter.photo("c.JPG")
    told = sync(run, exit_code=1, env=env)
    assert_fails_alone(told.stderr, words)
    assert told.downloads == 1
    assert sync(run, "--list", env=env).stdout.count("\n") == 3
    assert files_on_disk(run.output) == expected_files(summer, winter)


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX systems")
def test_a_folder_below_one_that_cannot_be_entered_fails_alone(account: Account, run: Run) -> None:
    summer = account.album("Summer", folder="Closed")
    winter = account.album("Winter", folder="Open")
    summer.photo("a.JPG")
    winter.photo("b.JPG")
    sync(run, "--layout", "tree")
    parent = run.output / "Closed"
    parent.chmod(0o000)
    try:
        for arguments in TASKS:
            result = run_without_rights(run, "--layout", "tree", *arguments)
            assert result.returncode == 1
            assert_fails_alone(result.stderr, "Permission denied")
    finally:
        parent.chmod(0o755)
    assert sync(run, "--layout", "tree").downloads == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="locales of Linux")
def test_names_that_the_locale_cannot_encode_fail_alone(account: Account, run: Run) -> None:
    summer, winter = account.album("\u00dcbersee"), account.album("Winter")
    summer.photo("a.JPG")
    winter.photo("b.JPG")
    env: Dict[str, Optional[str]] = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    }
    for arguments in TASKS[:2]:
        result = run(*arguments, env=env)
        assert result.returncode in (0, 1) and "bug" not in result.stderr
    assert files_on_disk(run.output)["Winter/b.JPG"] == winter.images[0].data
    sync(run)
    for arguments in TASKS:
        result = run(*arguments, env=env)
        assert result.returncode in (0, 1) and "bug" not in result.stderr


@posix_only
@pytest.mark.parametrize(
    "mode", [0o000, 0o300, 0o444], ids=["closed", "writable only", "can be listed only"]
)
@pytest.mark.parametrize("is_known", [True, False], ids=["recorded", "without a record"])
def test_unreadable_album_folders_fail_their_album_without_downloads(
    account: Account,
    smugmug: FakeSmugMug,
    run: Run,
    closed: Callable[[Path, int], None],
    mode: int,
    is_known: bool,
) -> None:
    summer, winter = account.album("Summer"), account.album("Winter")
    summer.photo("a.JPG")
    sync(run)
    if not is_known:
        (run.output / RECORD).unlink()
    winter.photo("b.JPG")
    folder = run.output / "Summer"
    before = snapshot(folder)
    closed(folder, mode)
    smugmug.clear_requests()
    result = run_without_rights(run, *([] if is_known else ["--new-record"]))
    assert result.returncode == 1
    assert any(
        "Summer" in line and "Permission denied" in line for line in result.stderr.splitlines()
    )
    assert smugmug.count("cdn") == 1
    folder.chmod(0o755)
    assert {name: entry[1:] for name, entry in snapshot(folder).items()} == {
        name: entry[1:] for name, entry in before.items()
    }
    assert files_on_disk(run.output) == expected_files(summer, winter)
    assert sync(run).downloads == 0
