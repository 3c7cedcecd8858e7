"""Draw README's picture of a run: the slow demo in a terminal, halfway and at the end.

python tests/draw_run.py [FILE]     tests/demo.svg by default; takes half a minute

The demo runs in a real terminal, already signed in, and the picture shows its screen. Only the
name of the temporary folder is replaced by a shorter one.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path
from typing import Iterator, List, Sequence
from xml.sax.saxutils import escape

import pyte

TESTS = Path(__file__).resolve().parent
COLUMNS, LINES = 104, 60
HALF_WAY = re.compile(r"\b(4[5-9]|5\d) ?%")
PIN = b"027518\n"
SHOWN_FOLDER = "/home/you"

LETTER_WIDTH, LINE_HEIGHT, MARGIN, GAP = 8, 19, 16, 14
# its own dark paper: light or dark around it
TEXT, FAINT, PAPER, RIM = (
    "#e6e6e6",
    "#8fd694",
    "#1e2127",
    "#5c6370",
)


def demo(*options: str) -> List[str]:
    """Return the command that runs the slow demo."""
    return [sys.executable, str(TESTS / "demo.py"), "--slow", *options]


def screens_of(command: Sequence[str], folder: Path) -> Iterator[List[str]]:
    """Run a command in a terminal and yield its screen after each piece of output."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    process = subprocess.Popen(
        list(command),
        cwd=str(folder),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color"},
    )
    os.close(theirs)
    while select.select([ours], [], [], 120)[0]:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the terminal is closed (Linux)
            piece = b""
        if not piece:
            break
        stream.feed(piece)
        yield [line.rstrip() for line in screen.display]
    os.close(ours)
    if process.wait() != 0:
        raise SystemExit(f"the demo ended with {process.returncode}")


def shown(screen: Sequence[str], folder: Path) -> List[str]:
    """Return a screen's lines without those of the demo itself and the empty ones below."""
    lines = [line.replace(str(folder), SHOWN_FOLDER) for line in screen]
    while lines and not lines[-1]:
        lines.pop()
    last = max(
        (number for number, line in enumerate(lines) if "The pictures are drawn" in line),
        default=-1,
    )
    return [line for line in lines[last + 1 :] if line]


def drawing(windows: Sequence[Sequence[str]]) -> str:
    """Draw the windows one below the other, as SVG."""
    width = 2 * MARGIN + COLUMNS * LETTER_WIDTH
    parts, top = [], 1
    for lines in windows:
        height = 2 * MARGIN + len(lines) * LINE_HEIGHT
        parts.append(
            f'<rect x="1" y="{top}" width="{width - 2}" height="{height}" rx="8" fill="{PAPER}" '
            f'stroke="{RIM}"/>'
        )
        for number, line in enumerate(lines):
            baseline = top + MARGIN + number * LINE_HEIGHT + 14
            color = FAINT if line.startswith("$ ") or number == len(lines) - 1 else TEXT
            parts.append(
                f'<text x="{MARGIN}" y="{baseline}" fill="{color}" '
                f'textLength="{len(line) * LETTER_WIDTH}" lengthAdjust="spacingAndGlyphs" '
                f'xml:space="preserve">{escape(line)}</text>'
            )
        top += height + GAP
    height = top - GAP + 1
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="monospace" font-size="13">'
    )
    title = "<title>A run in a terminal: half way, and at its end</title>"
    return "\n".join([head, title, *parts, "</svg>", ""])


def main(arguments: Sequence[str]) -> int:
    """Run the demo and draw it; return the exit code."""
    target = Path(arguments[0]) if arguments else TESTS / "demo.svg"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        subprocess.run(
            demo("--login"),
            cwd=str(folder),
            input=PIN,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        half_way: List[str] = []
        screen: List[str] = []
        for screen in screens_of(demo(), folder):
            if not half_way and any(HALF_WAY.search(line) for line in screen):
                half_way = shown(screen, folder)
        if not half_way:
            raise SystemExit("the progress line was never half way")
        command = "$ .venv/bin/python download_smugmug_photos.py"
        target.write_text(drawing([[command, *half_way], shown(screen, folder)]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
