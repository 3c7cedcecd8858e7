"""Do texts fit their cells, and is progress shown often enough but not too often?"""

from __future__ import annotations

import io
import logging
import re
import sys
import time
from types import SimpleNamespace
from typing import Callable, List

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import download_smugmug_photos as script
from reading import width


class Tty(io.StringIO):
    """A standard error that claims to be a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def shown_in_a_minute(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, wants_progress: bool = True
) -> List[str]:
    """Return the output of a minute with news every hundredth of a second."""
    now = [1000.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=time.sleep)  # others' threads sleep
    monkeypatch.setattr(script, "time", clock)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    screen = script.Screen(logging.INFO, wants_progress)
    monkeypatch.setattr(script.log, "handlers", [screen])
    monkeypatch.setattr(script.log, "propagate", False)
    # no level is set, because a logger caches its earlier results
    monkeypatch.setattr(script.log, "isEnabledFor", lambda level: level >= logging.INFO)
    for _ in range(6000):
        screen.show(lambda columns: f"<{now[0]:.2f}>")
        now[0] += 0.01
    return sorted(set(re.findall("<[^>]*>", stream.getvalue())))


def test_the_progress_line_is_redrawn_at_most_ten_times_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert 500 <= len(shown_in_a_minute(monkeypatch, Tty())) <= 601


def test_output_to_files_shows_progress_every_ten_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert 4 <= len(shown_in_a_minute(monkeypatch, io.StringIO())) <= 6


@pytest.mark.parametrize(
    "folder, file, line",
    [
        ("", "", "stopped early: No space."),
        ("Summer", "", "stopped early: Summer: No space."),
        ("Summer", "a.JPG", "stopped early: Summer/a.JPG: No space."),
    ],
)
def test_notes_are_logged_with_their_path_if_they_have_one(
    monkeypatch: pytest.MonkeyPatch, folder: str, file: str, line: str
) -> None:
    lines: List[str] = []
    monkeypatch.setattr(script.log, "debug", lambda text, *parts: lines.append(text % parts))
    script.Summary().add_note(script.Result.STOPPED_EARLY, folder, file, "No space.")
    assert lines == [line]


@pytest.mark.parametrize("stream", [Tty, io.StringIO], ids=["terminal", "pipe"])
def test_quiet_progress_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, stream: Callable[[], io.StringIO]
) -> None:
    assert shown_in_a_minute(monkeypatch, stream(), wants_progress=False) == []


BUDGET = settings(max_examples=60, deadline=None, database=None, derandomize=True)
texts = st.text(st.sampled_from("abc XYZ 0123,;日本語한국ｱé…\u0301\u0308Ωж-"), max_size=60).map(
    lambda text: text.lstrip("\u0301\u0308")
)


@BUDGET
@given(
    words=st.lists(texts.map(lambda text: text.replace(" ", "") or "x"), min_size=1),
    columns=st.integers(1, 50),
)
def test_wrapped_lines_keep_all_words_and_fit(words: List[str], columns: int) -> None:
    lines = script.wrap_line("  " + " ".join(words), columns).split("\n")
    assert " ".join(lines).split() == " ".join(words).split()
    assert all(width(line) <= columns or len(line.split()) == 1 for line in lines)
    assert all(line.startswith("    ") for line in lines[1:])


@BUDGET
@given(text=texts)
def test_display_widths_match_the_terminal(text: str) -> None:
    assert script.display_width(text) == width(text)


@BUDGET
@given(text=texts, columns=st.integers(0, 50))
def test_texts_are_truncated_only_if_they_do_not_fit(text: str, columns: int) -> None:
    truncate = script.truncate(text, columns)
    assert width(truncate) <= columns or width(text) == 0
    if width(text) <= columns:
        assert truncate == text
    elif columns:
        assert (
            truncate.endswith("…")
            and text.startswith(truncate[:-1])
            and width(truncate) >= columns - 1
        )


@BUDGET
@given(
    images=st.integers(0, 10**7),
    done=st.integers(0, 10**7),
    received=st.integers(0, 10**15),
    wait=st.floats(-1, 10**6),
    columns=st.integers(1, 200),
)
def test_the_first_parts_of_progress_are_kept_in_narrow_terminals(
    images: int, done: int, received: int, wait: float, columns: int
) -> None:
    summary = script.Summary()
    summary.images_expected = images
    summary.counts[script.Result.DOWNLOADED] = done
    summary.waiting = "waiting for SmugMug: 4 s" if wait > 0 else ""
    line = script.progress_line(summary, received, columns)
    first, *others = line.split(", ")
    if wait > 0:
        assert first.startswith("waiting for SmugMug: ")
    elif received >= script.LARGE_BYTES:  # the percentage may be that of the bytes
        assert re.match(r"\d+%|0/0", first)
    else:
        first_of_all = f"{100 * done // max(done, images)}%" if done or images else "0/0"
        assert first.startswith(first_of_all)
    assert not others or width(line) <= columns


@pytest.mark.parametrize(
    "text, columns, expected",
    [
        ("abcdefgh", 5, "ab\u2026gh"),
        ("abcdefg\u0301h", 5, "ab\u2026g\u0301h"),
        ("abcdef\u0301gh", 5, "ab\u2026gh"),
        ("abcdef\u0301\u0308gh", 5, "ab\u2026gh"),
    ],
)
def test_shortened_texts_continue_with_a_whole_character(
    text: str, columns: int, expected: str
) -> None:
    assert script.shorten(text, columns) == expected
