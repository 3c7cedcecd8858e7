"""Do texts fit their cells, and is progress shown often enough but not too often?"""

from __future__ import annotations

import io
import logging
import re
import sys
from types import SimpleNamespace
from typing import Callable, List

import pytest

import download_smugmug_photos as script


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
    monkeypatch.setattr(script, "time", SimpleNamespace(monotonic=lambda: now[0]))
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


@pytest.mark.parametrize("stream", [Tty, io.StringIO], ids=["terminal", "pipe"])
def test_quiet_progress_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, stream: Callable[[], io.StringIO]
) -> None:
    assert shown_in_a_minute(monkeypatch, stream(), wants_progress=False) == []
