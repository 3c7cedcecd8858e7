"""Try the program without an account: run it against a simulated SmugMug with drawn pictures.

    python tests/demo.py [--slow] [options of the program]

The photos land in demo_photos. With --slow, there is time to watch the progress line and to press
Ctrl-C. The sign-in is saved in demo_photos, too. No real one is touched, and the demo starts from
the beginning if you delete that folder.
"""

from __future__ import annotations

import itertools
import math
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import zlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Dict, List, Sequence

from fake_smugmug import MP4_MAGIC, Account, Album, ArmedFault, FakeSmugMug, Line, Photo

SCRIPT = Path(__file__).resolve().parent.parent / "download_smugmug_photos.py"
OUTPUT = "demo_photos"
SLOW_LINE = Line(api_latency_seconds=0.3, bytes_per_second_total=400_000)
SLOW_PHOTO_BYTES = 180_000
SLOW_ALBUMS = {"Lofoten": 12, "Garden": 8, "Birthday": 10, "Winter walk": 10}
SLOW_TROUBLES_SECONDS = 4


def demonstrate(options: Sequence[str], slow: bool = False) -> int:
    """Run the program against the demo account, or the slow one; return its exit code."""
    account, line = (slow_account(), SLOW_LINE) if slow else (demo_account(), Line())
    with FakeSmugMug(account, secret="demo", line=line) as smugmug:
        if slow:
            arm_failures(smugmug)
        environment = {
            name: value
            for name, value in os.environ.items()
            if name.upper()
            not in (
                "NO_PROXY",
                "ALL_PROXY",
                "CURL_CA_BUNDLE",
                "SMUGMUG_ACCESS_TOKEN",
                "SMUGMUG_ACCESS_TOKEN_SECRET",
                "DISPLAY",
                "WAYLAND_DISPLAY",
            )
        }
        settings = str(settings_folder())
        environment.update(smugmug.environment)
        environment.update(
            SMUGMUG_API_KEY=smugmug.api_key,
            SMUGMUG_API_SECRET=smugmug.api_secret,
            XDG_CONFIG_HOME=settings,
            APPDATA=settings,
            SSH_CONNECTION="demo",  # no browser is to open at an address that leads nowhere
        )
        is_signed_in = any(Path(settings).glob("*/token.json")) and "--login" not in options
        print(introduction("" if is_signed_in else smugmug.pin), file=sys.stderr, flush=True)
        command = [sys.executable, str(SCRIPT), "--output", OUTPUT, *options]
        process = subprocess.Popen(command, env=environment)
        code = _wait_for(process)
        if smugmug.unknown_paths:
            print(
                f"The fake SmugMug does not know: {', '.join(smugmug.unknown_paths)}",
                file=sys.stderr,
            )
        return 128 - code if code < 0 else code


def introduction(pin: str) -> str:
    """Return what to know before the program starts, for a terminal of any width.

    `pin`: "" after an earlier sign-in
    """
    text = "This is a demo on a simulated SmugMug. "
    if pin:
        text += f"Do not open the address it shows; type the PIN {pin}."
    else:
        text += f"You are signed in. To start from the beginning, delete {OUTPUT}."
    paragraphs = (text, "The pictures are drawn; the video does not play.")
    columns = min(78, shutil.get_terminal_size().columns)
    wrapper = textwrap.TextWrapper(columns, break_long_words=False, break_on_hyphens=False)
    return "\n".join(map(wrapper.fill, paragraphs)) + "\n"


def _wait_for(process: subprocess.Popen[bytes]) -> int:
    """Wait for a command, leave Ctrl-C to it, and pass other signals on."""

    def pass_on(number: int, _: Any) -> None:
        process.send_signal(number)

    handlers: Dict[str, Any] = {"SIGINT": signal.SIG_IGN, "SIGTERM": pass_on, "SIGHUP": pass_on}
    ours = {}
    for name, handler in handlers.items():
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            ours[number] = signal.signal(number, handler)
    try:
        return process.wait()
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)


def settings_folder() -> Path:
    """Return the demo's own settings folder, readable by the user alone."""
    folder = Path.cwd() / OUTPUT / ".demo_settings"
    try:
        folder.parent.mkdir(exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise SystemExit(f"{folder} cannot be used: {error.strerror}") from error
    return folder


SHAPES = ((300, 300), (360, 240), (240, 360), (720, 240))  # square, landscape, portrait, panorama


def demo_account() -> Account:
    """Make a small account with drawn pictures and the usual traps."""
    account = Account(nickname="demo")
    numbers = itertools.count(1)

    def draw(album: Album, name: str, **fields: Any) -> Photo:
        number = next(numbers)
        taken = datetime(2019, 8, 4, 11, 28) + timedelta(days=40 * number)
        width, height = SHAPES[number % len(SHAPES)]
        picture = drawn_png(number, width, height)
        return album.photo(name, picture, taken=taken, width=width, height=height, **fields)

    summer = account.album(
        "Summer", folder="Family/Trips & journeys", description="Two weeks by the sea"
    )
    for index in range(1, 5):
        draw(summer, f"IMG_{index}.png", caption=f"Day {index}", keywords=["sea", "summer"])
    again = account.album("Summer", folder="Family/Trips & journeys")
    draw(again, "IMG_1.png")
    draw(again, "IMG_1.png", title="Another picture of the same name")
    again.collect(summer.images[0])
    garden = account.album("Garden: spring & autumn", folder="Family")
    for name in ("first tulips.png", "Äpfel.png"):
        draw(garden, name)
    garden.video(
        "pond.mov",
        MP4_MAGIC + b"Not a video that plays: bytes that only look like one. " * 400,
        still=drawn_png(99),
        created_utc=datetime(2020, 4, 12, 15, 0),
    )
    draw(account.album("Only for me", privacy="Private"), "secret.png")
    return account


def slow_account() -> Account:
    """Make an account slow enough to watch, interrupt and resume."""
    account = Account(nickname="demo")
    numbers = itertools.count(1)
    for name, count in SLOW_ALBUMS.items():
        album = account.album(name, folder="Family")
        for index in range(1, count + 1):
            number = next(numbers)
            album.photo(
                f"IMG_{index}.png",
                drawn_png(number, bytes_at_least=SLOW_PHOTO_BYTES),
                width=320,
                height=240,
                taken=datetime(2021, 5, 1, 10, 0) + timedelta(days=9 * number),
            )
    return account


def arm_failures(smugmug: FakeSmugMug, seconds: float = SLOW_TROUBLES_SECONDS) -> List[ArmedFault]:
    """Arm one fault each: too many requests, a slow album list, an interrupted download."""
    crowded, slow, cut = smugmug.account.albums[:3]
    return [
        smugmug.fault(
            "rate_limited", where=rf"/{crowded.key}!images", times=1, retry_after=f"{seconds:.0f}"
        ),
        smugmug.fault(
            "stall", where=rf"/{slow.key}!images", times=1, seconds=seconds, before_headers=True
        ),
        smugmug.fault("cut", where=rf"/i-{cut.images[0].key}/", times=1, at=SLOW_PHOTO_BYTES // 2),
    ]


# =================================================================================================
# Drawing: small pictures that differ visibly.
# =================================================================================================

DIGITS = (  # each digit is five rows of three pixels
    "111101101101111",
    "010110010010111",
    "111001111100111",
    "111001111001111",
    "101101111001001",
    "111100111001111",
    "111100111101111",
    "111001001001001",
    "111101111101111",
    "111101111001111",
)


def drawn_png(number: int, width: int = 320, height: int = 240, bytes_at_least: int = 0) -> bytes:
    """Draw a PNG: a gradient in the number's own colors, a disc, and the number.

    A chunk that viewers skip pads it to the wanted number of bytes.
    """
    colors = random.Random(number)
    above = [colors.randrange(60, 230) for _ in range(3)]
    below = [colors.randrange(60, 230) for _ in range(3)]
    center, radius = (
        (colors.randrange(width), colors.randrange(height)),
        colors.randrange(40, 90),
    )
    rows = bytearray()
    for y in range(height):
        shade = [a + (b - a) * y // height for a, b in zip(above, below)]
        row = bytearray(bytes(shade) * width)
        half = math.sqrt(max(0, radius**2 - (y - center[1]) ** 2))
        left, right = max(0, int(center[0] - half)), min(width, int(center[0] + half))
        if half and left < right:
            row[3 * left : 3 * right] = bytes(255 - value // 2 for value in shade) * (right - left)
        _draw_number(row, y, str(number), scale=16)
        rows += b"\0" + row
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    filling = (
        b"raNd",
        colors.getrandbits(8 * bytes_at_least + 8).to_bytes(bytes_at_least + 1, "big"),
    )
    fillings = [filling] if bytes_at_least else []
    chunks = [(b"IHDR", header), *fillings, (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in chunks)


def _draw_number(row: bytearray, y: int, digits: str, scale: int) -> None:
    """Draw one row of a white number at the upper left corner."""
    line = y // scale - 1
    if not 0 <= line < 5:
        return
    for place, digit in enumerate(digits):
        for column, pixel in enumerate(DIGITS[int(digit)][3 * line : 3 * line + 3]):
            if pixel == "1":
                left = (1 + 4 * place + column) * scale
                row[3 * left : 3 * (left + scale)] = b"\xff" * (3 * scale)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def main(argv: Sequence[str]) -> int:
    """Run the demo; return the exit code of the program."""
    options = [option for option in argv if option != "--slow"]
    return demonstrate(options, slow="--slow" in argv)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
