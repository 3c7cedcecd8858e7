"""Is data on standard output exact: UTF-8 in files and pipes, in any locale?"""

from __future__ import annotations

import hashlib
from typing import Dict, Optional

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import Account
from helpers import sync

NAMES = ["\u00dcbergr\u00f6\u00dfen", "\u6d77\u306e\u5bb6", "family \U0001f468\u200d\U0001f469"]
NARROW: Dict[str, Optional[str]] = {
    "PYTHONIOENCODING": "ascii",
    "LC_ALL": "C",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONUTF8": "1",  # file names are UTF-8; what is printed depends on PYTHONIOENCODING
}


def output_of(run: Run, *args: str) -> str:
    """Return what the script writes to standard output, which must be UTF-8."""
    process = run.start(*args, env=NARROW, cold=True)
    stdout, stderr = process.communicate(timeout=300)
    assert process.wait() == 0, stderr
    return stdout


@pytest.fixture
def narrow_run(account: Account, run: Run) -> Run:
    """Provide a run with a narrow encoding, after downloading albums with wide names."""
    for name in NAMES:
        account.album(name).photo(f"{name}.JPG")
    sync(run)
    return run


def test_md5_lists_hold_every_letter(account: Account, narrow_run: Run) -> None:
    lines = output_of(narrow_run, "--list-md5").splitlines()
    expected = []
    for album in account.albums:
        md5 = hashlib.md5(album.images[0].data).hexdigest()
        expected.append(f"{md5}  {album.name}/{album.name}.JPG")
    assert sorted(lines) == sorted(expected)


def test_lists_of_albums_hold_every_letter(narrow_run: Run) -> None:
    text = output_of(narrow_run, "--list")
    assert all(name in text for name in NAMES)


def test_lists_of_removed_files_hold_every_letter(account: Account, narrow_run: Run) -> None:
    for album in account.albums:
        album.photo("other.JPG")
        album.remove(album.images[0])
    lines = output_of(narrow_run, "--list-removed").splitlines()
    assert sorted(lines) == sorted(f"{name}/{name}.JPG" for name in NAMES)


@pytest.mark.parametrize(
    "path, line",
    [
        ("Summer/a.JPG", "0  Summer/a.JPG"),
        ("Sum\\mer/a.JPG", "\\0  Sum\\\\mer/a.JPG"),
        ("Sum\nmer/a\r.JPG", "\\0  Sum\\nmer/a\\r.JPG"),
    ],
)
def test_md5_lines_are_escaped_as_for_md5sum(path: str, line: str) -> None:
    assert script.md5_line("0", path) == line
