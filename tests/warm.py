"""The script in processes that are forked from one that has loaded the packages already.

Four fifths of what a short run costs is the start of Python and the loading of `requests`, and the suite has hundreds
of them. Without ``pytest --cold`` each worker pays for that once. The script itself is run whole, as ``__main__``, in a
process of its own with its own arguments, variables, folder and streams. A test that wants something of the start
itself gets an ordinary process: `can_be_warm` tells.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import os
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any, List, Mapping, Optional, Sequence, TextIO, Tuple

HERE = Path(__file__).resolve().parent
SCRIPT = HERE.parent / "download_smugmug_photos.py"
CODE = compile(SCRIPT.read_bytes(), str(SCRIPT), "exec")
CONTEXT = multiprocessing.get_context("forkserver") if sys.platform != "win32" else None


def prepare() -> None:
    """Start the process that all others are forked from, before any test changes a variable."""
    assert CONTEXT is not None, "Windows cannot fork"
    paths = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), str(HERE.parent)])
    CONTEXT.set_forkserver_preload(["download_smugmug_photos", __name__])
    multiprocessing.forkserver.ensure_running()
    os.environ.pop("PYTHONPATH")
    if paths is not None:
        os.environ["PYTHONPATH"] = paths


def can_be_warm(
    stdin: int, variables: Mapping[str, Optional[str]], options: Mapping[str, Any]
) -> bool:
    """Whether a process with such a standard input, variables and options of `subprocess.Popen` can be had."""
    return (
        sys.platform != "win32"
        and not options
        and stdin in (subprocess.PIPE, subprocess.DEVNULL)
        and not any(name.startswith(("PYTHON", "LC_", "LANG")) for name in variables)
    )


class WarmProcess:
    """As much of a `subprocess.Popen` with pipes of text as the tests use."""

    def __init__(
        self, arguments: Sequence[str], variables: Mapping[str, str], folder: str, stdin: int
    ) -> None:
        self.args = [sys.executable, str(SCRIPT), *arguments]
        self.stdin: Optional[TextIO] = None
        if stdin == subprocess.PIPE:
            theirs, ours = os.pipe()
            self.stdin = os.fdopen(ours, "w", encoding="utf-8")
        else:
            theirs = os.open(os.devnull, os.O_RDONLY)
        streams = [Connection(theirs, writable=False)]
        outputs = []
        for _ in ("stdout", "stderr"):
            ours, theirs = os.pipe()
            outputs.append(os.fdopen(ours, encoding="utf-8", errors="replace"))
            streams.append(Connection(theirs, readable=False))
        self.stdout, self.stderr = outputs
        self._texts: List[Future[str]] = []
        assert CONTEXT is not None
        self._process = CONTEXT.Process(
            target=_run, args=(arguments, variables, folder, streams), daemon=True
        )
        self._process.start()
        for stream in streams:
            stream.close()

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> Optional[int]:
        """The exit code, the negative number of the signal that killed it, or None while it runs."""
        return self._process.exitcode

    def poll(self) -> Optional[int]:
        """The same."""
        return self.returncode

    def wait(self, timeout: Optional[float] = None) -> int:
        """Wait for the end."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def communicate(
        self, input: Optional[str] = None, timeout: Optional[float] = None
    ) -> Tuple[str, str]:
        """Write what there is to write, read all there is to read, and wait for the end."""
        ends_at = None if timeout is None else time.monotonic() + timeout
        if not self._texts:  # or this is the second time, after a first one that took too long
            readers = ThreadPoolExecutor(2)
            self._texts = [readers.submit(stream.read) for stream in (self.stdout, self.stderr)]
            readers.shutdown(wait=False)
        if self.stdin is not None and not self.stdin.closed:
            try:
                with self.stdin:
                    self.stdin.write(input or "")
            except BrokenPipeError:
                pass  # it does not want to know
        self.wait(None if ends_at is None else max(0.0, ends_at - time.monotonic()))
        stdout, stderr = (text.result() for text in self._texts)
        return stdout, stderr

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()


def _run(
    arguments: Sequence[str], variables: Mapping[str, str], folder: str, streams: List[Connection]
) -> None:
    """What a new process does: make everything as Python would have made it, and run the script."""
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    sys.stdin = open(0, encoding="utf-8", closefd=False)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = open(
        2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1
    )
    os.environ.clear()
    os.environ.update(variables)
    time.tzset()
    os.chdir(folder)
    sys.argv = [str(SCRIPT), *arguments]
    sys.path[:] = [
        str(SCRIPT.parent),
        *(path for path in sys.path if path not in (str(HERE), str(SCRIPT.parent))),
    ]
    sys.modules["__main__"] = main = ModuleType("__main__")
    main.__file__ = str(SCRIPT)
    exec(CODE, main.__dict__)
