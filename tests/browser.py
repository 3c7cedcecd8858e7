"""Drive a real Chromium for the tests, through a pipe and without any package.

The protocol (https://chromedevtools.github.io/devtools-protocol/) is JSON with a zero byte after
each message.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
REASON = "no Chromium is installed (Debian: chromium), so the pages were not tested in a browser"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--mute-audio",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
    "about:blank",
)
# It reads its commands from descriptor 3 and answers on 4.
LAUNCH = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for number, pipe in enumerate(pipes, 3):
    os.dup2(pipe, number)
os.execv(sys.argv[3], sys.argv[3:])
"""
PATIENCE_SECONDS = 120
KEYS = {
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    " ": 32,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowRight": 39,
    "f": 70,
}


def find_browser() -> Optional[str]:
    """Return the path of a Chromium, or None."""
    found = (shutil.which(name) for name in PROGRAMS)
    return next(filter(None, found), None) if sys.platform.startswith("linux") else None


class Browser:
    """A browser with one tab.

    `requests` are the addresses it requested. `errors` are the exceptions and policy violations of
    its console.
    """

    def __init__(self, program: str, folder: Path) -> None:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        command = [
            sys.executable,
            "-c",
            LAUNCH,
            str(theirs_in),
            str(theirs_out),
            program,
            f"--user-data-dir={folder}",
            *FLAGS,
        ]
        self._process = subprocess.Popen(
            command,
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(folder)},
        )
        for pipe in (theirs_in, theirs_out):
            os.close(pipe)
        self._numbers = itertools.count(1)
        self._buffer = b""
        self._session: Dict[str, str] = {}
        self.requests: List[str] = []
        self.errors: List[str] = []
        self._events: List[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = {"sessionId": session}
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol and return its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters, **self._session}
        os.write(self._out, json.dumps(message).encode("ascii") + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, path: Path, fragment: str = "") -> None:
        """Open a file as a double click does, and wait until it has loaded."""
        for url in (
            "about:blank",
            path.as_uri() + fragment,
        ):  # another fragment alone would not load the page
            self._events.clear()
            self.requests.clear()
            self.errors.clear()
            self.call("Page.navigate", url=url)
            while "Page.loadEventFired" not in self._events:
                self._read()

    def run(self, code: str) -> Any:
        """Evaluate JavaScript in the page."""
        answer = self.call(
            "Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, code: str) -> None:
        """Wait until a JavaScript expression is true."""
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while not self.run(code):
            assert time.monotonic() < ends_at, f"never true: {code}"
            self.run("new Promise(requestAnimationFrame)")

    def press(self, key: str) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=KEYS[key],
            )

    def type(self, text: str) -> None:
        """Type into the focused element."""
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Click on whatever is visible in the middle of an element."""
        x, y = (
            self.run(f"""(({{left, top, width, height}}) => [left + width / 2, top + height / 2])(
            document.querySelector({json.dumps(selector)}).getBoundingClientRect())""")
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def swipe(self, way: int) -> None:
        """Swipe across the middle of the screen by this many pixels."""
        steps = [("touchMove", 640 - way // 2 + way * step // 10) for step in range(1, 11)]
        for kind, x in (("touchStart", 640 - way // 2), *steps, ("touchEnd", 0)):
            points = [] if kind == "touchEnd" else [{"x": x, "y": 300}]
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
            self.run("new Promise(requestAnimationFrame)")

    def show(self, width: int, height: int, scheme: str = "light") -> None:
        """Set the size of the screen in pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=True)

    def screenshot(self, width: int, height: int) -> bytes:
        """Return the upper left part of the screen as a PNG."""
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        return base64.b64decode(
            self.call("Page.captureScreenshot", format="png", clip=clip)["data"]
        )

    def close(self) -> None:
        """Quit the browser."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._in, self._out):
            os.close(pipe)

    def _read(self) -> Dict[str, Any]:
        """Read the next message and record its events."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], PATIENCE_SECONDS)
            assert ready, "the browser does not answer"
            piece = os.read(self._in, 1 << 20)
            assert piece, "the browser has ended"
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: Dict[str, Any] = json.loads(line.decode("utf-8"))
        method, event = message.get("method", ""), message.get("params", {})
        self._events.append(method)
        if method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])
        elif method in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.errors.append(json.dumps(event))
        return message
