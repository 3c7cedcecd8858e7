"""Fork runs of the script from a process that has already loaded the packages.

Four fifths of a short run are the start of Python and the import of `requests`, and the suite has
hundreds of runs. Here each worker pays for that once; ``pytest --cold`` starts each run as a user
does. The script runs whole, as ``__main__``, in a process of its own with its own arguments,
variables, folder and streams. Tests that depend on the start itself get an ordinary process, see
`can_be_warm`.
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
    """Start the process that runs are forked from, before any test changes a variable."""
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
    """Return True if a process with these `subprocess.Popen` options can be forked."""
    return (
        sys.platform != "win32"
        and not options
        and stdin in (subprocess.PIPE, subprocess.DEVNULL)
        and not any(name.startswith(("PYTHON", "LC_", "LANG")) for name in variables)
    )


class WarmProcess:
    """The part of `subprocess.Popen` with text pipes that the tests use."""

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
        """Process ID."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> Optional[int]:
        """Exit code, negative signal number, or None while the process runs."""
        return self._process.exitcode

    def poll(self) -> Optional[int]:
        """Return the exit code, or None while the process runs."""
        return self.returncode

    def wait(self, timeout: Optional[float] = None) -> int:
        """Wait for the end and return the exit code."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def communicate(
        self, input: Optional[str] = None, timeout: Optional[float] = None
    ) -> Tuple[str, str]:
        """Write `input`, read all output, and wait for the end."""
        ends_at = None if timeout is None else time.monotonic() + timeout
        if not self._texts:  # not for a second call after a time-out
            readers = ThreadPoolExecutor(2)
            self._texts = [readers.submit(stream.read) for stream in (self.stdout, self.stderr)]
            readers.shutdown(wait=False)
        if self.stdin is not None and not self.stdin.closed:
            try:
                with self.stdin:
                    self.stdin.write(input or "")
            except BrokenPipeError:
                pass  # the process does not read its input
        self.wait(None if ends_at is None else max(0.0, ends_at - time.monotonic()))
        stdout, stderr = (text.result() for text in self._texts)
        return stdout, stderr

    def send_signal(self, number: int) -> None:
        """Send a signal unless the process has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()


def _run(
    arguments: Sequence[str], variables: Mapping[str, str], folder: str, streams: List[Connection]
) -> None:
    """Set up a new process as Python would and run the script."""
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
