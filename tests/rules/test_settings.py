"""Are settings, streams, paths and log files treated as each system needs?"""

from __future__ import annotations

import errno
import io
import logging
import os
from contextlib import closing
from pathlib import Path
from typing import Any, Dict

import pytest

import download_smugmug_photos as script


@pytest.mark.parametrize(
    "platform, environ, expected",
    [
        ("linux", {}, "home/.config/download_smugmug_photos"),
        ("linux", {"XDG_CONFIG_HOME": "xdg"}, "xdg/download_smugmug_photos"),
        ("linux", {"XDG_CONFIG_HOME": ""}, "home/.config/download_smugmug_photos"),
        ("linux", {"APPDATA": "roaming"}, "home/.config/download_smugmug_photos"),
        ("darwin", {"XDG_CONFIG_HOME": "xdg"}, "xdg/download_smugmug_photos"),
        (
            "win32",
            {"APPDATA": "roaming", "XDG_CONFIG_HOME": "xdg"},
            "roaming/download_smugmug_photos",
        ),
        ("win32", {}, "home/AppData/Roaming/download_smugmug_photos"),
    ],
)
def test_the_token_file_is_in_the_systems_settings_folder(
    platform: str, environ: Dict[str, str], expected: str
) -> None:
    assert script.config_folder(environ, platform, "home") == Path(expected)


@pytest.mark.parametrize(
    "platform, at_null_device", [("linux", False), ("darwin", False), ("win32", True)]
)
def test_pins_can_come_from_anywhere_but_the_null_device(
    platform: str, at_null_device: bool, tmp_path: Path
) -> None:
    assert script.can_prompt(None, platform) is False
    (tmp_path / "pin").write_text("123456")
    with open(os.devnull) as nothing, open(str(tmp_path / "pin")) as something:
        assert script.can_prompt(something, platform) is True
        # on Windows a terminal looks like that
        assert script.can_prompt(nothing, platform) is at_null_device
    # of which the system knows nothing
    assert script.can_prompt(io.StringIO("123456"), platform) is True


class FakeTerminal(io.StringIO):
    """A standard input that is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


@pytest.mark.parametrize(
    "platform, environ, expected",
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ""}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"SSH_CONNECTION": "1", "SSH_TTY": "/dev/pts/1"}, False),
        ("linux", {"SSH_CONNECTION": "1", "DISPLAY": "localhost:10.0"}, True),
        ("freebsd13", {"DISPLAY": ":0"}, True),
        ("freebsd13", {}, False),
        ("darwin", {}, True),
        ("darwin", {"SSH_CONNECTION": "1"}, False),
        ("darwin", {"SSH_TTY": "/dev/ttys001"}, False),
        ("win32", {}, True),
        ("win32", {"SSH_CLIENT": "1"}, False),
    ],
)
def test_a_browser_opens_only_before_a_screen(
    platform: str, environ: Dict[str, str], expected: bool
) -> None:
    assert script.can_open_browser(FakeTerminal(), environ, platform) is expected
    assert script.can_open_browser(io.StringIO("a pipe"), environ, platform) is False
    assert script.can_open_browser(None, environ, platform) is False


@pytest.mark.parametrize(
    "platform, expected", [("linux", "\x1b[K"), ("darwin", "\x1b[K"), ("win32", "     ")]
)
def test_lines_are_cleared_by_the_means_of_the_console(platform: str, expected: str) -> None:
    assert script.rest_of_line(5, platform) == expected


@pytest.mark.parametrize(
    "platform, characters, expected",
    [
        ("linux", 300, False),
        ("darwin", 300, False),
        ("win32", 247, False),
        ("win32", 248, True),
        ("win32", 300, True),
    ],
)
def test_paths_too_long_for_windows_are_reported_with_a_way_out(
    platform: str, characters: int, expected: bool
) -> None:
    path = Path(os.path.abspath(os.sep)) / ("x" * (characters - len(os.path.abspath(os.sep))))
    # a part file has a longer name
    error = FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
    problem = script.disk_problem(error, path.with_name("short"), platform)
    assert ("Choose a shorter --output" in str(problem)) is expected
    assert str(problem).startswith("No such file or directory: ")
    denied = script.disk_problem(
        PermissionError(errno.EACCES, "Permission denied", str(path)), path, platform
    )
    assert "shorter" not in str(denied)


@pytest.mark.parametrize(
    "error, expected",
    [
        (FileNotFoundError(errno.ENOENT, "the working folder is gone"), True),
        (OSError(errno.ENAMETOOLONG, "File name too long"), True),
        (UnicodeEncodeError("ascii", "\u00e9", 0, 1, "not in this file system"), True),
        (RuntimeError("Symlink loop"), False),
        (PermissionError(errno.EACCES, "Permission denied"), False),
        (OSError(errno.ELOOP, "Too many levels of symbolic links"), False),
    ],
)
def test_unresolvable_paths_do_not_count_as_inside_a_folder(
    error: Exception, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(path: Path) -> Path:
        raise error

    monkeypatch.setattr(Path, "resolve", resolve)
    monkeypatch.setattr(os.path, "islink", lambda path: True)
    assert script.is_within(Path("photos/Summer"), Path("photos")) is expected


def test_paths_that_leave_a_folder_are_not_inside_it(tmp_path: Path) -> None:
    photos, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    photos.mkdir()
    elsewhere.mkdir()
    assert script.is_within(photos / "Summer" / "Trip", photos)
    assert not script.is_within(photos, photos)
    assert not script.is_within(photos / ".." / "elsewhere", photos)
    assert not script.is_within(elsewhere, photos)


def test_abandoned_log_files_stay_silent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(script.LogFile(tmp_path / "log.txt")) as log_file:
        log_file.handleError(logging.makeLogRecord({"msg": "from a thread that had to wait"}))
    assert caplog.text == ""


def test_credentials_hide_themselves_in_repr() -> None:
    credentials = script.Credentials("key", "s3cret-of-key", "token", "s3cret-of-token")
    assert "s3cret" not in f"{credentials} {credentials!r} {[credentials]}"


@pytest.mark.parametrize("platform_error", [OSError("no"), KeyboardInterrupt()])
def test_failed_atomic_writes_leave_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform_error: BaseException
) -> None:
    def broken(*arguments: Any) -> None:
        raise platform_error

    target = tmp_path / "token.json"
    target.write_bytes(b"old")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(type(platform_error)):
        script.write_atomically(target, b"new", mode=0o600)
    assert target.read_bytes() == b"old"
    assert sorted(tmp_path.iterdir()) == before
