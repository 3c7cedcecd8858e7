"""What a disk can do: how long its names may be, which locks it knows."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import download_smugmug_photos as script


@pytest.mark.parametrize(
    "stated, limit", [(255, 250), (143, 138), (1530, 250), (0, 250), (-1, 250), (8, 250)]
)
def test_disks_may_state_a_shorter_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stated: int, limit: int
) -> None:
    monkeypatch.setattr(os, "pathconf", lambda path, name: stated, raising=False)
    assert script.name_limit(tmp_path / "not there yet") == limit


def test_disks_may_state_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: str, name: str) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "pathconf", fail, raising=False)
    assert script.name_limit(tmp_path) == 250
    (tmp_path / ("x" * 255)).write_bytes(b"")
    assert script.name_limit(tmp_path) == 250


@pytest.mark.parametrize("limit", [64, 65, 100, 143, 254])
def test_limits_that_are_not_stated_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    def lstat(path: str, *, lstat: Any = os.lstat) -> Any:
        if len(os.path.basename(path)) > limit:
            raise OSError(errno.ENAMETOOLONG, "File name too long")
        return lstat(path)

    monkeypatch.setattr(os, "lstat", lstat)
    assert script.name_limit(tmp_path) == limit - len(".part")


def test_abilities_are_found_without_writing(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    found = script.disk_abilities(folder)
    assert found["folder_exists"] is False and not folder.exists()
    folder.mkdir()
    found = script.disk_abilities(folder)
    assert found["folder_exists"] is True and list(folder.iterdir()) == []
    assert found["max_name_bytes"] == 255 and found["ignores_case"] in (True, False)
    (tmp_path / "123").mkdir()
    assert script.disk_abilities(tmp_path / "123")["ignores_case"] is None


def test_actions_that_fail_are_told_by_the_name_of_the_error(tmp_path: Path) -> None:
    def refuse(number: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    assert script.attempt_on_folder(tmp_path, os.fsync) in ("works", "EINVAL")
    assert script.attempt_on_folder(tmp_path, refuse) == "ENOLCK"
    assert script.attempt_on_folder(tmp_path / "missing", refuse) == "ENOENT"


def test_disks_that_cannot_be_looked_at_have_no_free_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "exists", lambda path: False)
    assert script.free_space(tmp_path) is None
    assert script.name_limit(tmp_path) == 250


def test_windows_is_asked_for_nothing_that_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delattr(os, "pathconf", raising=False)
    monkeypatch.setitem(sys.modules, "fcntl", None)  # importing it fails
    assert script.name_limit(tmp_path) == 250
    script.lock_briefly(-1)
