"""Fork runs of the script from a process that has already loaded the packages.

Four fifths of a short run are the start of Python and the import of `requests`, and the suite has
hundreds of runs. Here each worker pays for that once; ``pytest --cold`` starts each run as a user
does. The script runs in a process of its own with its own arguments, variables, folder and
streams; only its definitions are not made again. Tests that depend on the start itself get an
ordinary process, see `can_be_warm`.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, List, Mapping, Optional, Sequence, TextIO, Tuple

HERE = Path(__file__).resolve().parent
SCRIPT = HERE.parent / "download_smugmug_photos.py"
CONTEXT = multiprocessing.get_context("forkserver") if sys.platform != "win32" else None
START_VARIABLES = ("PYTHON", "LC_", "LANG")  # read by Python while it starts
FAULTS = "PYTHONPATH"  # leads to a sitecustomize.py with faults inside the program


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
    if sys.platform == "win32" or options or stdin not in (subprocess.PIPE, subprocess.DEVNULL):
        return False
    faults = variables.get(FAULTS)
    if faults and not os.path.exists(os.path.join(faults, "sitecustomize.py")):
        return False  # modules that replace others, which are loaded here already
    return not any(name.startswith(START_VARIABLES) for name in variables if name != FAULTS)


class WarmProcess:
    """The part of `subprocess.Popen` with text pipes that the tests use."""

    def __init__(
        self,
        arguments: Sequence[str],
        variables: Mapping[str, str],
        folder: str,
        stdin: int,
        outputs: Sequence[int] = (),
    ) -> None:
        """Start the script. With `outputs`, standard input is its terminal.

        `stdin`: a descriptor, subprocess.PIPE or subprocess.DEVNULL
        `outputs`: descriptors of standard output and standard error; by default pipes
        """
        self.args = [sys.executable, str(SCRIPT), *arguments]
        self.stdin: Optional[TextIO] = None
        self.stdout: Optional[TextIO] = None
        self.stderr: Optional[TextIO] = None
        theirs = []
        if stdin == subprocess.PIPE:
            end, ours = os.pipe()
            self.stdin = os.fdopen(ours, "w", encoding="utf-8")
        elif stdin == subprocess.DEVNULL:
            end = os.open(os.devnull, os.O_RDONLY)
        else:
            end = os.dup(stdin)
        theirs.append(Connection(end, writable=False))
        if outputs:
            theirs += [Connection(os.dup(output), readable=False) for output in outputs]
        else:
            self.stdout, end = _read_pipe()
            theirs.append(Connection(end, readable=False))
            self.stderr, end = _read_pipe()
            theirs.append(Connection(end, readable=False))
        self._texts: List[Future[str]] = []
        assert CONTEXT is not None
        self._process = CONTEXT.Process(
            target=_run,
            args=(arguments, variables, folder, theirs, bool(outputs)),
            daemon=True,
        )
        self._process.start()
        for stream in theirs:
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
            assert self.stdout is not None and self.stderr is not None
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


def _read_pipe() -> Tuple[TextIO, int]:
    """Return the reader of a new pipe, and the descriptor to write to."""
    ours, theirs = os.pipe()
    return os.fdopen(ours, encoding="utf-8", errors="replace"), theirs


def _run(
    arguments: Sequence[str],
    variables: Mapping[str, str],
    folder: str,
    streams: List[Connection],
    at_terminal: bool,
) -> None:
    """Set up a new process as Python would and run the script."""
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    if at_terminal:  # one of its own, at which Ctrl-C is typed
        import fcntl
        import termios

        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    sys.stdin = open(0, encoding="utf-8", closefd=False)
    buffering = 1 if os.isatty(1) else -1
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False, buffering=buffering)
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
    gc.freeze()  # what was loaded before the fork is not collected
    atexit._clear()
    if FAULTS in variables:
        sys.path.insert(0, variables[FAULTS])
        sys.modules.pop("sitecustomize", None)
        importlib.import_module("sitecustomize")
    script = importlib.import_module("download_smugmug_photos")  # loaded before the fork
    sys.modules["__main__"] = script
    script.__name__ = "__main__"
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # as the script does while packages load
    try:
        sys.exit(script.main())
    finally:
        atexit._run_exitfuncs()  # a forked process ends without
