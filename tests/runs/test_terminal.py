"""Does the screen show progress below the messages, and leave nothing behind?"""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import unicodedata
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

import pyte
import pytest

import warm
from conftest import SCRIPT, Process, Run
from fake_smugmug import JPEG_MAGIC, Account, Album, FakeSmugMug, Pattern, Photo, md5_of
from helpers import token_file

if sys.platform == "win32":
    pytest.skip("Windows has no pseudo-terminals of this kind", allow_module_level=True)

import fcntl
import pty
import termios

from reading import width

ROWS = 100  # enough that nothing scrolls away
NOTHING = b"\0"  # terminals ignore it
# a progress line
LIVE = re.compile(r"^\d+%|\d+/\d+ files|\d+/\d+ albums|waiting for SmugMug: \d")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")  # all but the end of a line


# A process in its own session makes its standard input the terminal at which Ctrl-C is typed.
AT_THE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


# =================================================================================================
# A terminal, and files that the test holds back.
# =================================================================================================


def start_at_terminal(
    run: Run,
    arguments: Tuple[Any, ...],
    env: Mapping[str, Optional[str]],
    terminal: int,
    stdout: int,
) -> Process:
    """Start the script with a terminal of its own."""
    texts, variables, folder = list(map(str, arguments)), run.environment(env), str(run.folder)
    if run.is_warm and warm.can_be_warm(subprocess.DEVNULL, env, {}):
        return warm.WarmProcess(texts, variables, folder, terminal, (stdout, terminal))
    return subprocess.Popen(
        [sys.executable, "-c", AT_THE_TERMINAL, str(SCRIPT), *texts],
        stdin=terminal,
        stdout=stdout,
        stderr=terminal,
        env=variables,
        cwd=folder,
        start_new_session=True,
        encoding="utf-8",
    )


class Terminal:
    """A terminal that runs the script. `raw` is all output, `lines` the visible text."""

    def __init__(
        self,
        run: Run,
        arguments: Tuple[Any, ...],
        env: Mapping[str, Optional[str]],
        columns: int,
        stdout: Optional[int],
    ) -> None:
        self.raw = b""
        self._screen = pyte.Screen(columns or 80, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._changed = threading.Condition()
        self._master, slave = pty.openpty()
        self._name = os.ttyname(slave)
        self._set_size(columns)
        self.process = start_at_terminal(
            run, arguments, {"TERM": "xterm", **env}, slave, slave if stdout is None else stdout
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # the terminal is closed (Linux)
                data = b""
            with self._changed:
                self.raw += data
                self._stream.feed(data)
                self._changed.notify_all()
            if not data:
                return

    @property
    def lines(self) -> List[str]:
        """Visible lines down to the last one with text."""
        with self._changed:
            return (
                "\n".join(line.rstrip() for line in self._screen.display).rstrip("\n").split("\n")
            )

    @property
    def cursor_row(self) -> int:
        """Row of the cursor, counted from 0."""
        with self._changed:
            return int(self._screen.cursor.y)

    def resize(self, columns: int) -> None:
        """Change the width of the window while no output is in transit."""
        self.process.send_signal(signal.SIGSTOP)
        while not self._is_stopped():
            pass  # for the milliseconds that the system takes
        end = os.open(self._name, os.O_WRONLY | os.O_NOCTTY)
        os.write(end, NOTHING)
        os.close(end)
        with self._changed:
            assert self._changed.wait_for(lambda: self.raw.endswith(NOTHING), 300)
            self._screen.resize(ROWS, columns)
            self._set_size(columns)
        self.process.send_signal(signal.SIGCONT)

    def _is_stopped(self) -> bool:
        """Return True if the script was stopped by a signal."""
        command = ["ps", "-o", "stat=", "-p", str(self.process.pid)]
        return subprocess.check_output(command).startswith(b"T")

    def _set_size(self, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        """Type something."""
        os.write(self._master, keys)

    def wait_for(self, predicate: Callable[[List[str]], Any]) -> List[str]:
        """Wait until `predicate` accepts the visible lines, and return them."""
        with self._changed:
            assert self._changed.wait_for(lambda: predicate(self.lines), 300), "\n".join(
                self.lines
            )
            return self.lines

    def wait_for_progress(self, pattern: str = "") -> str:
        """Wait for a progress line that matches `pattern`, and return it."""
        return self.wait_for(
            lambda lines: LIVE.search(lines[-1]) and re.search(pattern, lines[-1])
        )[-1]

    def wait_for_end(self) -> int:
        """Wait for the end of the script and its output; return the exit code."""
        code = self.process.wait(300)
        self._reader.join(300)
        return code

    def close(self) -> None:
        """Kill the script if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(300)
        os.close(self._master)


@pytest.fixture
def terminal(run: Run) -> Iterator[Callable[..., Terminal]]:
    """Provide a start of the script in a terminal: ``terminal("--dry-run", columns=40)``."""
    started = []

    def start(
        *arguments: Any, columns: int = 80, stdout: Optional[int] = None, **env: Optional[str]
    ) -> Terminal:
        started.append(Terminal(run, arguments, env, columns, stdout))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Provide the event that held files wait for; the end of the test sets it."""
    event = threading.Event()
    yield event
    event.set()


class Held(Pattern):
    """A file whose last piece is held back until a gate opens."""

    gate: Optional[threading.Event] = None

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """Yield the pieces of a Pattern, waiting before the last."""
        *first, last = super().pieces(start, stop)
        yield from first
        if self.gate is not None:
            self.gate.wait(300)
        yield last


def held_photo(album: Album, gate: threading.Event) -> Photo:
    """Add a photo of half a megabyte that the gate holds back."""
    content = Held(500_000, album.account.new_seed(), JPEG_MAGIC)
    md5_of(content)  # cached, so that the listing need not read the file
    content.gate = gate
    return album.photo("HELD.JPG", content)


def left_behind(lines: List[str]) -> List[str]:
    """Return lines with text that should have been removed."""
    return [line for line in lines if LIVE.search(line) or "^C" in line]


# =================================================================================================
# The progress line.
# =================================================================================================

WIDE = "日本の写真 한국의 사진 e\u0301te\u0301"


@pytest.mark.parametrize("columns", [80, 40, 0], ids=["80", "40", "of unknown width"])
def test_the_progress_line_is_below_messages_and_disappears_at_the_end(
    account: Account, terminal: Callable[..., Terminal], gate: threading.Event, columns: int
) -> None:
    for name in ("Summer", WIDE):
        account.album(name).photo()
    winter = account.album("Winter")
    winter.photo()
    held_photo(winter, gate)
    screen = terminal(columns=columns)

    screen.wait_for_progress("3/4 files")
    lines = screen.wait_for(lambda lines: len(lines) == 3 and LIVE.search(lines[-1]))
    assert sorted(lines[:2]) == [
        "Summer: 1 downloaded",
        unicodedata.normalize("NFC", WIDE) + ": 1 downloaded",
    ]
    assert screen.cursor_row == 2
    assert width(lines[2]) < (columns or 80)

    gate.set()
    assert screen.wait_for_end() == 0
    lines = screen.lines
    assert lines[2] == "Winter: 2 downloaded" and lines[3].startswith("Albums: 3 new")
    assert left_behind(lines) == []
    assert screen.cursor_row == len(lines)


def test_the_progress_line_shows_albums_images_bytes_speed_and_time_left(
    account: Account, terminal: Callable[..., Terminal], gate: threading.Event
) -> None:
    account.album("Summer").photo()
    held_photo(account.album("Winter"), gate)
    terminal().wait_for_progress(
        r"^50%, ([\d.]+ .* left, )?1/2 files, \d+( of \d+)? kB, 1/2 albums,"
        r" [\d.]+ .?B/s(, \d+ at a time)?$"
    )


def test_the_progress_line_follows_the_width_of_the_window(
    account: Account, terminal: Callable[..., Terminal], gate: threading.Event
) -> None:
    account.album("Summer").photo()
    held_photo(account.album("Winter"), gate)
    screen = terminal(columns=80)
    screen.wait_for(lambda lines: len(lines) == 2 and "1/2 albums" in lines[1])
    for columns, wanted in (
        (40, "^50%, .*1/2 files"),
        (8, "^50%$"),
        (120, r"1/2 albums, .*B/s(, \d+ at a time)?$"),
    ):

        def fits(lines: List[str], columns: int = columns, wanted: str = wanted) -> bool:
            return re.search(wanted, lines[-1]) is not None and width(lines[-1]) < columns

        screen.resize(columns)
        lines = screen.wait_for(fits)
        assert len(lines) == 2, "\n".join(lines)
    gate.set()
    assert screen.wait_for_end() == 0
    assert left_behind(screen.lines) == []


def test_requested_waits_are_shown_and_counted_down(
    account: Account, smugmug: FakeSmugMug, terminal: Callable[..., Terminal]
) -> None:
    account.album("Summer").photo()
    smugmug.fault("rate_limited", "cdn", retry_after="1800")
    screen = terminal(columns=60)
    screen.wait_for_progress("waiting for SmugMug: 29 min [0-9]+ s; 1 file waiting")
    told = " ".join(" ".join(screen.lines[:-1]).split())
    assert "SmugMug's rate limit is reached (0 requests left); waiting 1800 s." in told
    assert "429" not in told
    assert LIVE.search(screen.lines[-1]) and left_behind(screen.lines[:-1]) == []
    screen.press(b"\x03")
    assert screen.wait_for_end() == 130


@pytest.mark.parametrize("columns", [80, 40])
def test_ctrl_c_leaves_only_the_summary(
    account: Account, terminal: Callable[..., Terminal], gate: threading.Event, columns: int
) -> None:
    account.album("Summer").photo()
    held_photo(account.album("Winter"), gate)
    screen = terminal(columns=columns)
    screen.wait_for_progress("1/2 files")
    screen.press(b"\x03")
    assert screen.wait_for_end() == 130
    lines = screen.lines
    assert lines[0] == "Summer: 1 downloaded"
    text = " ".join(lines)
    assert (
        "Albums: 2 new" in text
        and "1 downloaded, 0 already there" in text
        and "Interrupted. Run this again" in text
    )
    assert left_behind(lines) == []


def test_lines_of_a_preview_do_not_mix_with_the_progress_line(
    account: Account, terminal: Callable[..., Terminal]
) -> None:
    for number in range(5):
        account.album(f"Album {number}").photo(content=Pattern(1000, number, JPEG_MAGIC))
    screen = terminal("--dry-run")
    assert screen.wait_for_end() == 0
    lines = screen.lines
    assert sorted(lines[:5]) == [f"Album {number}: 1 file, 1.0 kB" for number in range(5)]
    assert lines[5] == "To download: 5 files, 5.0 kB" and b"Contacting SmugMug" in screen.raw
    assert left_behind(lines) == []


def test_lists_of_files_do_not_mix_with_the_progress_line(
    account: Account, run: Run, terminal: Callable[..., Terminal]
) -> None:
    album = account.album("Summer")
    for name in ("a.JPG", "b.JPG"):
        album.photo(name)
    assert run().returncode == 0
    album.remove(album.images[0])
    assert run("--list-md5").stdout.splitlines() == listed(terminal("--list-md5"))
    assert "kept on disk (list them with --list-removed)" in run().stderr
    lines = listed(terminal("--list-removed"))
    assert lines[0] == "Summer/a.JPG"
    assert lines[1] == "No longer on SmugMug: 1 file, kept on disk"


def listed(screen: Terminal) -> List[str]:
    """Return the visible lines of a run after its end."""
    assert screen.wait_for_end() == 0
    return screen.lines


def test_data_redirected_to_a_file_has_no_progress_line(
    account: Account, terminal: Callable[..., Terminal], run: Run
) -> None:
    account.album("Summer").photo(content=Pattern(1000, 1, JPEG_MAGIC))
    with open(str(run.folder / "data.txt"), "w+b") as data:
        screen = terminal("--dry-run", stdout=data.fileno())
        assert screen.wait_for_end() == 0
        data.seek(0)
        assert data.read() == b"Summer: 1 file, 1.0 kB\nTo download: 1 file, 1.0 kB\n"
    assert b"Contacting SmugMug" in screen.raw and left_behind(screen.lines) == []


def test_verifying_shows_progress(
    account: Account, terminal: Callable[..., Terminal], run: Run
) -> None:
    album = account.album("Summer")
    for number in range(4):  # large enough that the screen is redrawn while they are hashed
        album.photo(content=Pattern(40_000_000, number, JPEG_MAGIC))
    assert run().returncode == 0
    screen = terminal("--verify")
    assert screen.wait_for_end() == 0
    assert re.search(rb"Verified \d files?", screen.raw)
    assert [line for line in screen.lines if "Verified" in line] == ["Verified: 4 intact"]


def test_previews_show_progress_while_waiting(
    account: Account,
    smugmug: FakeSmugMug,
    terminal: Callable[..., Terminal],
    gate: threading.Event,
) -> None:
    album = account.album("Summer")
    album.photo(content=Pattern(1000, 1, JPEG_MAGIC))

    def held(answer: Dict[str, Any]) -> Dict[str, Any]:
        gate.wait(300)
        return answer

    smugmug.fault("mangle", f"{album.key}!images", function=held)
    screen = terminal("--dry-run")
    screen.wait_for_progress("0/1 files")
    gate.set()
    assert screen.wait_for_end() == 0
    assert screen.lines[:2] == ["Summer: 1 file, 1.0 kB", "To download: 1 file, 1.0 kB"]


@pytest.mark.parametrize("task", [[], ["--dry-run"], ["--list"]], ids=["", "--dry-run", "--list"])
def test_progress_names_the_first_step_before_anything_can_be_counted(
    account: Account,
    smugmug: FakeSmugMug,
    terminal: Callable[..., Terminal],
    gate: threading.Event,
    task: List[str],
) -> None:
    account.album("Summer").photo()

    def held(answer: Dict[str, Any]) -> Dict[str, Any]:
        gate.wait(300)
        return answer

    smugmug.fault("mangle", "!albums", function=held)
    screen = terminal(*task)
    screen.wait_for(lambda lines: lines[-1].startswith("Reading the list of albums"))
    gate.set()
    assert screen.wait_for_end() == 0
    assert left_behind(screen.lines) == [] and not any("Reading" in line for line in screen.lines)


def test_verifying_a_large_file_shows_progress(
    account: Account, terminal: Callable[..., Terminal], run: Run
) -> None:
    photo = account.album("Summer").photo()
    assert run().returncode == 0
    path = run.output / "Summer" / photo.file_name
    os.truncate(str(path), 1 << 30)  # reading it takes a second or more
    screen = terminal("--verify", "--dry-run")
    screen.wait_for(lambda lines: lines[-1] == "Verified 0 files")
    assert screen.wait_for_end() == 1
    assert [line for line in screen.lines if "Verified" in line] == ["Verified: 1 changed"]


# =================================================================================================
# Texts longer than a line.
# =================================================================================================


@pytest.mark.parametrize("columns", [80, 40])
def test_long_messages_are_broken_between_words_with_a_hanging_indent(
    account: Account, terminal: Callable[..., Terminal], columns: int
) -> None:
    account.album("Secret", security="Password", locked=True)
    screen = terminal("-o", "p", columns=columns)
    assert screen.wait_for_end() == 0
    at = screen.lines.index("Locked (1):")
    assert screen.lines[at + 1].startswith("  Secret: ") and screen.lines[at + 2].startswith(
        "    "
    )
    for word in ("locked", "password,", "SmugMug", "contents", "Remove", "password,"):
        assert any(word in line.split() for line in screen.lines[at:]), word


def test_help_breaks_no_word_in_a_narrow_terminal(run: Run) -> None:
    words = set(run("--help", env={"COLUMNS": "200"}).stdout.split())
    narrow = run("--help", env={"COLUMNS": "40"}).stdout
    assert max(map(len, narrow.splitlines())) <= 40
    assert set(narrow.split()) <= words


# =================================================================================================
# The first start asks for the API key.
# =================================================================================================

NO_KEY = {"SMUGMUG_API_KEY": None, "SMUGMUG_API_SECRET": None}
NO_TOKEN = {"SMUGMUG_ACCESS_TOKEN": None, "SMUGMUG_ACCESS_TOKEN_SECRET": None}


def test_the_api_key_is_asked_for_once_and_its_secret_is_never_shown(
    account: Account, smugmug: FakeSmugMug, run: Run, terminal: Callable[..., Terminal]
) -> None:
    account.album("Summer").photo()
    log = run.folder / "log.txt"
    screen = terminal("-v", "--log-file", log, **NO_KEY, **NO_TOKEN)
    screen.wait_for(lambda lines: lines[-1].startswith("API key:"))
    screen.press(b"\n" + smugmug.api_key.encode() + b"\n")
    screen.wait_for(lambda lines: "API secret" in lines[-1])
    screen.press(smugmug.api_secret.encode() + b"\n")
    screen.wait_for(lambda lines: lines[-1].startswith("PIN:"))
    screen.press(smugmug.pin.encode() + b"\n")
    assert screen.wait_for_end() == 0
    assert (
        "https://api.smugmug.com/api/developer/apply" in screen.lines
        and "Signed in as family." in screen.lines
    )
    assert (
        smugmug.api_secret.encode() not in screen.raw and smugmug.api_secret not in log.read_text()
    )
    saved = run.config / "download_smugmug_photos" / "token.json"
    content = json.loads(saved.read_text())
    assert (content["api_key"], content["api_secret"]) == (smugmug.api_key, smugmug.api_secret)
    assert saved.stat().st_mode & 0o777 == 0o600

    # without a terminal there is no question
    assert run(keys=False, signed_in=False).returncode == 0
    wrong = run(
        keys=False,
        signed_in=False,
        env={"SMUGMUG_API_KEY": "wrong", "SMUGMUG_API_SECRET": "wrong"},
    )
    assert wrong.returncode == 3  # the environment wins
    assert run("--logout", keys=False, signed_in=False).returncode == 0 and not saved.exists()
    assert "No API key found" in run(keys=False, signed_in=False, input="KEY\nSECRET\n").stderr


def test_api_keys_are_saved_even_if_the_sign_in_still_works(
    account: Account, smugmug: FakeSmugMug, run: Run, terminal: Callable[..., Terminal]
) -> None:
    account.album("Summer").photo()
    # with a key of the environment
    assert run("--login", signed_in=False, input=smugmug.pin + "\n").returncode == 0
    screen = terminal("--login", **NO_KEY, **NO_TOKEN)
    screen.wait_for(lambda lines: lines[-1].startswith("API key:"))
    screen.press(smugmug.api_key.encode() + b"\n")
    screen.wait_for(lambda lines: "API secret" in lines[-1])
    screen.press(smugmug.api_secret.encode() + b"\n")
    assert screen.wait_for_end() == 0 and "PIN:" not in " ".join(screen.lines)
    # without a terminal there is no question
    assert run(keys=False, signed_in=False).returncode == 0


def type_key(screen: Terminal, key: str, secret: str) -> None:
    """Type an API key and its secret where they are asked for."""
    screen.wait_for(lambda lines: lines[-1].startswith("API key:"))
    screen.press(key.encode() + b"\n")
    screen.wait_for(lambda lines: "API secret" in lines[-1])
    screen.press(secret.encode() + b"\n")


def wait_for_text(screen: Terminal, text: str, times: int) -> None:
    """Wait until a text is on the screen this many times, in whatever way it is wrapped."""
    screen.wait_for(lambda lines: " ".join(" ".join(lines).split()).count(text) == times)


def flat(screen: Terminal) -> str:
    """Return all text on a screen as one line, with single spaces."""
    return " ".join(" ".join(screen.lines).split())


def saved_key(run: Run) -> Tuple[str, str]:
    """Return the API key and the secret that are saved."""
    content = json.loads(token_file(run).read_text())
    return content["api_key"], content["api_secret"]


def test_a_key_typed_wrong_three_times_ends_the_run_and_is_not_saved(
    run: Run, terminal: Callable[..., Terminal]
) -> None:
    screen = terminal(**NO_KEY, **NO_TOKEN)
    for number in range(3):
        wait_for_text(screen, "does not know this API key", number)
        type_key(screen, "wrong", "wrong")
    assert screen.wait_for_end() == 2
    text = flat(screen)
    assert text.count("does not know this API key") == 3 and text.count("API key:") == 3
    assert "SMUGMUG_API" not in text and "--logout" not in text and "oauth_problem" not in text
    assert not token_file(run).parent.exists()


@pytest.mark.parametrize("wrong", ["key", "secret"])
def test_a_mistyped_key_or_secret_can_be_typed_again(
    account: Account,
    smugmug: FakeSmugMug,
    run: Run,
    terminal: Callable[..., Terminal],
    wrong: str,
) -> None:
    account.album("Summer").photo()
    screen = terminal(**NO_KEY, **NO_TOKEN)
    if wrong == "key":
        type_key(screen, "mistyped", smugmug.api_secret)
        cause = "does not know this API key"
    else:
        type_key(screen, smugmug.api_key, "mistyped")
        cause = "does not belong to this API key"
    wait_for_text(screen, cause, 1)
    type_key(screen, smugmug.api_key, smugmug.api_secret)
    screen.wait_for(lambda lines: lines[-1].startswith("PIN:"))
    screen.press(smugmug.pin.encode() + b"\n")
    assert screen.wait_for_end() == 0
    assert saved_key(run) == (smugmug.api_key, smugmug.api_secret)


@pytest.mark.parametrize("end", ["Ctrl-C", "Ctrl-D", "closed", "no connection", "refused"])
def test_a_typed_key_is_kept_even_if_the_sign_in_fails_after_it(
    account: Account,
    smugmug: FakeSmugMug,
    run: Run,
    terminal: Callable[..., Terminal],
    end: str,
) -> None:
    account.album("Summer").photo()
    screen = terminal(**NO_KEY, **NO_TOKEN)
    type_key(screen, smugmug.api_key, smugmug.api_secret)
    screen.wait_for(lambda lines: lines[-1].startswith("PIN:"))
    assert saved_key(run) == (smugmug.api_key, smugmug.api_secret)
    assert token_file(run).stat().st_mode & 0o777 == 0o600
    if end == "Ctrl-C":
        screen.press(b"\x03")
    elif end == "Ctrl-D":
        screen.press(b"\x04")
    elif end == "closed":
        screen.process.send_signal(signal.SIGHUP)
    elif end == "no connection":
        smugmug.fault("reset", "getAccessToken", times=None)
        screen.press(smugmug.pin.encode() + b"\n")
    else:
        for _ in range(3):
            screen.wait_for(lambda lines: lines[-1].startswith("PIN:"))
            screen.press(b"111111\n")
            screen.wait_for(lambda lines: not lines[-1].startswith("PIN: 1"))
    assert screen.wait_for_end() != 0
    again = terminal(**NO_KEY, **NO_TOKEN)
    again.wait_for(lambda lines: lines[-1].startswith("PIN:"))
    assert "API key" not in flat(again)
    smugmug.clear_faults()
    again.press(smugmug.pin.encode() + b"\n")
    assert again.wait_for_end() == 0


@pytest.mark.parametrize("end", ["no connection", "no network", "terms", "Ctrl-C"])
def test_a_typed_key_is_kept_even_if_smugmug_did_not_accept_it(
    smugmug: FakeSmugMug, run: Run, terminal: Callable[..., Terminal], end: str
) -> None:
    proxy = {}
    if end == "no network":
        proxy = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:9")
    else:
        name = {"no connection": "reset", "terms": "terms_not_accepted", "Ctrl-C": "stall"}[end]
        smugmug.fault(name, "getRequestToken", times=None)
    screen = terminal("--login", **NO_KEY, **NO_TOKEN, **proxy)
    type_key(screen, smugmug.api_key, smugmug.api_secret)
    if end == "Ctrl-C":
        screen.wait_for(lambda lines: lines[-1] == "Contacting SmugMug ...")
        screen.press(b"\x03")
    assert screen.wait_for_end() == (130 if end == "Ctrl-C" else 2)
    assert "The API key and its secret are saved for the next run." in screen.lines
    assert saved_key(run) == (smugmug.api_key, smugmug.api_secret)
    smugmug.clear_faults()
    again = terminal("--login", **NO_KEY, **NO_TOKEN)
    again.wait_for(lambda lines: lines[-1].startswith("PIN:"))
    assert "API key" not in flat(again)


def test_a_typed_key_that_cannot_be_saved_is_not_called_saved(
    smugmug: FakeSmugMug, run: Run, terminal: Callable[..., Terminal]
) -> None:
    run.config.write_text("a file where the folder should be")
    smugmug.fault("reset", "getRequestToken", times=None)
    screen = terminal("--login", **NO_KEY, **NO_TOKEN)
    type_key(screen, smugmug.api_key, smugmug.api_secret)
    assert screen.wait_for_end() == 2
    assert "could not be saved" in flat(screen) and "for the next run" not in flat(screen)


@pytest.mark.parametrize("wrong", ["api_key", "api_secret", "either"])
def test_a_saved_key_that_is_refused_can_be_typed_again(
    smugmug: FakeSmugMug, run: Run, terminal: Callable[..., Terminal], wrong: str
) -> None:
    token_file(run).parent.mkdir(parents=True)
    saved = {"api_key": smugmug.api_key, "api_secret": smugmug.api_secret, wrong: "mistyped"}
    token_file(run).write_text(json.dumps(saved))
    if wrong == "either":  # the reason is in words that are not known
        smugmug.fault("respond", "getRequestToken", status=401, body=b"No entry.")
    screen = terminal("--login", **NO_KEY, **NO_TOKEN)
    type_key(screen, smugmug.api_key, smugmug.api_secret)
    assert "Enter both again" in flat(screen) and "You need a free API key" not in flat(screen)
    screen.wait_for(lambda lines: lines[-1].startswith("PIN:"))
    screen.press(smugmug.pin.encode() + b"\n")
    assert screen.wait_for_end() == 0
    assert saved_key(run) == (smugmug.api_key, smugmug.api_secret)


def test_texts_that_are_no_key_are_refused_and_asked_for_again(
    smugmug: FakeSmugMug, run: Run, terminal: Callable[..., Terminal]
) -> None:
    screen = terminal("--login", **NO_KEY, **NO_TOKEN)
    screen.wait_for(lambda lines: lines[-1].startswith("API key:"))
    screen.press(b"not a key\n")
    wait_for_text(screen, "only letters and digits", 1)
    type_key(screen, smugmug.api_key, "not;a;secret")
    wait_for_text(screen, "only letters and digits", 2)
    type_key(screen, f" '{smugmug.api_key}' ", f' "{smugmug.api_secret}" ')
    screen.wait_for(lambda lines: lines[-1].startswith("PIN:"))
    assert saved_key(run) == (smugmug.api_key, smugmug.api_secret)
    first, last = smugmug.pin[:3], smugmug.pin[3:]
    screen.press(f" {first} {last} \n".encode())
    assert screen.wait_for_end() == 0


def test_three_texts_that_are_no_key_end_the_run_and_are_not_saved(
    smugmug: FakeSmugMug, run: Run, terminal: Callable[..., Terminal]
) -> None:
    screen = terminal(**NO_KEY, **NO_TOKEN)
    for number in range(3):
        wait_for_text(screen, "only letters and digits", number)
        screen.wait_for(lambda lines: lines[-1].startswith("API key:"))
        screen.press("schlüssel\n".encode())
    assert screen.wait_for_end() == 2 and "run this again" in flat(screen)
    assert not token_file(run).parent.exists() and smugmug.requests == []


def test_an_empty_secret_is_asked_for_again(
    smugmug: FakeSmugMug, terminal: Callable[..., Terminal]
) -> None:
    screen = terminal("--login", **NO_KEY, **NO_TOKEN)
    type_key(screen, smugmug.api_key, " ")
    screen.wait_for(lambda lines: "".join(lines).count("API secret") == 2)
    screen.press(smugmug.api_secret.encode() + b"\n")
    screen.wait_for(lambda lines: lines[-1].startswith("PIN:"))
    screen.press(smugmug.pin.encode() + b"\n")
    assert screen.wait_for_end() == 0


def test_the_next_step_is_named_after_the_secret(
    smugmug: FakeSmugMug, terminal: Callable[..., Terminal]
) -> None:
    smugmug.fault("stall", "getRequestToken")
    screen = terminal(**NO_KEY, **NO_TOKEN)
    type_key(screen, smugmug.api_key, smugmug.api_secret)
    screen.wait_for(lambda lines: lines[-1] == "Contacting SmugMug ...")
    screen.press(b"\x03")
    assert screen.wait_for_end() == 130


def test_a_second_run_says_that_it_waits_for_smugmug(
    smugmug: FakeSmugMug, terminal: Callable[..., Terminal]
) -> None:
    smugmug.fault("stall", "authuser")
    screen = terminal()
    screen.wait_for(lambda lines: lines[-1] == "Contacting SmugMug ...")
    screen.press(b"\x03")
    assert screen.wait_for_end() == 130 and "Contacting" not in flat(screen)


@pytest.mark.parametrize(
    "proxy, advice",
    [("http://127.0.0.1:9", "Check"), ("http://nowhere.invalid:9", "Check")],
    ids=["refused", "not found"],
)
def test_without_a_connection_a_first_run_gets_advice(
    terminal: Callable[..., Terminal], proxy: str, advice: str
) -> None:
    screen = terminal(**NO_KEY, **NO_TOKEN, HTTPS_PROXY=proxy, https_proxy=proxy)
    type_key(screen, "key", "secret")
    assert screen.wait_for_end() == 2
    assert advice in flat(screen)


# =================================================================================================
# The browser.
# =================================================================================================

BROWSER = """#!/bin/sh
echo output; echo errors >&2
{
    echo "$1"
    env | grep -c SMUGMUG_API
    (: </dev/tty) 2>/dev/null && echo terminal
} >"$RECORD.part"
mv "$RECORD.part" "$RECORD"
exit 1
"""


@pytest.mark.parametrize("variable", ["DISPLAY", "WAYLAND_DISPLAY"])
def test_a_browser_opens_at_the_address_and_leaves_the_terminal_alone(
    account: Account,
    smugmug: FakeSmugMug,
    run: Run,
    terminal: Callable[..., Terminal],
    variable: str,
) -> None:
    account.album("Summer").photo()
    browser = run.folder / "browser"
    browser.write_text(BROWSER)
    browser.chmod(0o755)
    record = run.folder / "record.txt"
    env = {"BROWSER": str(browser), "RECORD": str(record), variable: ":9"}
    screen = terminal(columns=200, **NO_TOKEN, **env)
    lines = screen.wait_for(lambda lines: lines[-1].startswith("PIN:"))
    (address,) = [line for line in lines if line.startswith("https://")]
    assert any("your browser should show it now" in line for line in lines)
    deadline = time.monotonic() + 300
    while not record.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert record.read_text().split() == [address, "0"]
    assert screen.lines == lines  # neither the browser's output nor its failure is here
    screen.press(smugmug.pin.encode() + b"\n")
    assert screen.wait_for_end() == 0
    assert b"output" not in screen.raw and b"errors" not in screen.raw


@pytest.mark.parametrize(
    "env", [{"BROWSER": "/nowhere/at/all"}, {"PATH": "/nowhere"}], ids=["missing", "none"]
)
def test_a_browser_that_cannot_open_harms_nothing(
    account: Account, smugmug: FakeSmugMug, terminal: Callable[..., Terminal], env: Dict[str, str]
) -> None:
    account.album("Summer").photo()
    screen = terminal(**NO_TOKEN, DISPLAY=":9", **env)
    screen.wait_for(lambda lines: lines[-1].startswith("PIN:"))
    screen.press(smugmug.pin.encode() + b"\n")
    assert screen.wait_for_end() == 0


def test_no_browser_opens_without_a_display(
    run: Run, smugmug: FakeSmugMug, terminal: Callable[..., Terminal]
) -> None:
    browser = run.folder / "browser"
    browser.write_text(BROWSER)
    browser.chmod(0o755)
    env = {"BROWSER": str(browser), "RECORD": str(run.folder / "record.txt")}
    screen = terminal("--login", **NO_TOKEN, **env)
    screen.wait_for(lambda lines: lines[-1].startswith("PIN:"))
    screen.press(smugmug.pin.encode() + b"\n")
    assert screen.wait_for_end() == 0
    assert "browser" not in flat(screen) and not (run.folder / "record.txt").exists()


def test_no_input_at_the_prompt_for_the_key_ends_with_advice(
    terminal: Callable[..., Terminal],
) -> None:
    screen = terminal(**NO_KEY, **NO_TOKEN)
    screen.wait_for(lambda lines: lines[-1].startswith("API key:"))
    screen.press(b"\x04")
    assert screen.wait_for_end() == 2
    assert any(line.startswith("No API key entered.") for line in screen.lines)


# =================================================================================================
# Without a progress line.
# =================================================================================================


def plain(data: bytes) -> str:
    """Return terminal output with the script's own line ends."""
    return data.decode("utf-8").replace("\r\n", "\n")


@pytest.mark.parametrize(
    "arguments, env",
    [
        ([], {"TERM": "dumb"}),
        (["--no-progress"], {}),
        (["-q"], {}),
    ],
    ids=["TERM=dumb", "--no-progress", "-q"],
)
def test_terminals_without_a_progress_line_get_plain_lines(
    account: Account, terminal: Callable[..., Terminal], arguments: List[str], env: Dict[str, str]
) -> None:
    for name in ("Summer", WIDE):
        account.album(name).photo()
    screen = terminal(*arguments, **env)
    assert screen.wait_for_end() == 0
    text = plain(screen.raw)
    assert CONTROL.findall(text) == [] and left_behind(text.splitlines()) == []
    assert ("Summer: 1 downloaded\n" in text) == (arguments != ["-q"])
    assert "Files: 2 downloaded" in text


def test_the_table_of_albums_fits_a_narrow_terminal(
    account: Account, terminal: Callable[..., Terminal]
) -> None:
    for name in ("Our long summer by the northern sea", "Winter"):
        account.album(name, folder="Family/Trips", privacy="Unlisted").photo()
    narrow = terminal("--list", columns=40)
    assert narrow.wait_for_end() == 0
    table = [
        line for line in plain(narrow.raw).splitlines() if re.match("ALBUM|Our long|Winter", line)
    ]
    assert len(table) == 3 and all(width(line) <= 40 for line in table)
    assert all(re.search(r" 1 +0( +[0-9.]+ k?B)?$", line) for line in table[1:])
    wide = terminal("--list", columns=200)
    assert wide.wait_for_end() == 0
    assert "/Family/Trips/Our-long-summer-by-the-northern-sea" in plain(wide.raw).replace(" ", "-")


def test_colors_can_be_turned_off(account: Account, terminal: Callable[..., Terminal]) -> None:
    album = account.album("Summer")
    album.photo()
    album.photo("slow.JPG", processing=True)
    screen = terminal(NO_COLOR="1")
    assert screen.wait_for_end() == 0
    assert b"Contacting SmugMug" in screen.raw and re.findall(rb"\x1b\[[\d;]*m", screen.raw) == []


def test_output_to_files_has_one_plain_line_per_album(account: Account, run: Run) -> None:
    for name in ("Summer", WIDE):
        account.album(name).photo()
    result = run(env={"TERM": "xterm"})
    lines = result.stderr.splitlines()
    assert (result.returncode, result.stdout) == (0, "")
    assert sorted(lines[:2]) == [
        "Summer: 1 downloaded",
        unicodedata.normalize("NFC", WIDE) + ": 1 downloaded",
    ]
    assert lines[2].startswith("Albums: ") and lines[-1].startswith("All ")
    assert CONTROL.findall(result.stderr) == [] and left_behind(lines) == []


@pytest.mark.parametrize(
    "arguments", [["-v"], ["--list"], ["--dry-run"]], ids=["sync", "list", "dry run"]
)
def test_names_are_harmless_to_the_terminal(
    account: Account, terminal: Callable[..., Terminal], arguments: List[str]
) -> None:
    account.album("\x1b[2J\x1b]0;mine\x07Summer\r\u202e\x9b31m").photo(
        "\x1b[31mred\n.JPG", processing=True
    )
    account.album("Winter\n").photo("\x1b[31mred\n.JPG")
    screen = terminal(*arguments, TERM="dumb")
    assert screen.wait_for_end() == 0
    said = plain(screen.raw)
    assert "Summer" in said and CONTROL.findall(said) == [] and "\u202e" not in said
