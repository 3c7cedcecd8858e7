"""Check a clean clone: README's commands, the suite, style, types, spelling, coverage.

README's test line and demo run as written. The whole suite also runs on the oldest Python, with
the oldest packages and every run of the script started as a user does (--cold), and on the
newest, with types, style, spelling and coverage. The Pythons between run tests/rules and some of
tests/runs. Two checks run at a time. Tests that fail run once more, two at a time, because a
busy machine can keep a test from what it waits for; a test that fails twice fails the check.

Exit codes: 0 all passed, 1 a check failed or could not be made, 2 invalid arguments.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Callable, Dict, List, NamedTuple, Sequence

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("3.13", "3.12", "3.11", "3.10", "3.9", "3.8")  # newest first
OLDEST = "3.7"  # has a check of its own
CHECKS_AT_A_TIME = 2  # each runs the suite in several processes
WORKERS = "6"  # of each suite but README's, so that tests keep their pace beside another suite
README_LINES = (r"^.*pytest tests$", r"^.*tests/demo\.py$")
PIN = b"027518\n"  # for the demo
SPELLED = ("README.md", "download_smugmug_photos.py", "tests", ".ci")
# Programs that some tests use, and their Debian packages.
READERS = {
    "exiftool": "libimage-exiftool-perl",
    "chromium": "chromium",
}

_output = threading.Lock()


def say(text: str, details: bytes = b"") -> None:
    """Print a line, and the output of a check below it."""
    with _output:
        print(text, flush=True)
        sys.stdout.buffer.write(details)
        sys.stdout.buffer.flush()


class Bench:
    """Place of a check: the clone, a Python, and a log of everything printed."""

    def __init__(self, name: str, python: str, work: Path, log: IO[bytes]) -> None:
        self.name, self.python, self.work, self.log = name, python, work, log
        self.clone = work / "clone"

    def run(self, *command: str, **options: Any) -> None:
        """Run a command in the clone; raise CalledProcessError if it fails."""
        if "input" not in options:
            options["stdin"] = subprocess.DEVNULL
        subprocess.run(
            command,
            cwd=str(self.clone),
            stdout=self.log,
            stderr=subprocess.STDOUT,
            check=True,
            **options,
        )

    def module(self, *arguments: str) -> None:
        """Run a module of this Python."""
        self.run(self.python, "-m", *arguments)

    def install(self, requirements: str) -> None:
        """Install packages."""
        say(f"== {self.name}: pip install -r {requirements}")
        self.module("pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements)

    def make_environment(self) -> None:
        """Make an environment for the check and install what the tests need."""
        folder = tempfile.mkdtemp(prefix="venv-", dir=str(self.work))
        self.module("venv", folder)
        self.python = os.path.join(folder, "bin", "python")
        self.install("tests/requirements.txt")


# =================================================================================================
# The checks.
# =================================================================================================


def run_suite(bench: Bench, *command: str) -> None:
    """Run tests with a command that ends in pytest's arguments; run once more what fails."""
    cache = f"cache_dir={bench.work / bench.name.replace(' ', '-')}"
    try:
        bench.module(*command, "-o", cache, "-n", WORKERS)
    except subprocess.CalledProcessError as error:
        if error.returncode != 1:  # not for failed tests
            raise
        say(f"== {bench.name}: running what failed once more")
        bench.module(*command, "-o", cache, "--lf", "-n", "2")


def readme(bench: Bench) -> None:
    """Run README's commands as written; they make an environment of their own."""
    text = (bench.clone / "README.md").read_text(encoding="utf-8")
    for pattern in README_LINES:
        line = re.search(pattern, text, re.MULTILINE)
        if line is None:
            raise LookupError(f"README.md has no line like {pattern}")
        say(f"== {bench.name}: {line.group()}")
        options: Dict[str, Any] = {"env": {**os.environ, "TMPDIR": str(bench.work)}}
        shell = ("bash", "-euo", "pipefail", "-c")
        try:
            bench.run(*shell, line.group(), input=PIN, **options)
        except subprocess.CalledProcessError as error:
            if error.returncode != 1 or not line.group().endswith(" tests"):
                raise
            say(f"== {bench.name}: running what failed once more")
            bench.run(*shell, ".venv/bin/python -m pytest tests --lf -n 2", **options)


def between(bench: Bench) -> None:
    """Run the tests that ask functions directly, and those of whole downloads."""
    bench.make_environment()
    runs = [f"tests/runs/test_{name}.py" for name in ("downloads", "sign_in", "record")]
    run_suite(bench, "pytest", "tests/rules", *runs)


def oldest(bench: Bench) -> None:
    """Run the suite cold, with the oldest packages that requirements.txt allows."""
    bench.make_environment()
    minima = bench.work / "oldest.txt"
    minima.write_text((bench.clone / "requirements.txt").read_text().replace(">=", "=="))
    bench.install(str(minima))
    run_suite(bench, "pytest", "tests", "--cold")


def newest(bench: Bench) -> None:
    """Check style, types and spelling, and run the suite with coverage."""
    bench.make_environment()
    bench.install(".ci/requirements.txt")
    bench.module("ruff", "check", ".")
    bench.module("ruff", "format", "--check", ".")
    bench.module("codespell_lib", *SPELLED)
    for platform in ("linux", "darwin"):
        bench.module("mypy", "--platform", platform)
    # The tests use more than Windows has, and are skipped there.
    bench.module("mypy", "--platform", "win32", "download_smugmug_photos.py")
    run_suite(bench, "coverage", "run", "-m", "pytest", "tests", "--histories", "40")
    bench.module("coverage", "combine", "--quiet")
    bench.module("coverage", "report")


class Check(NamedTuple):
    """A check and its Python."""

    make: Callable[[Bench], None]
    version: str
    python: str

    def passes(self, work: Path) -> bool:
        """Make the check, print its output, and return True if it passed."""
        began, name, ending = (
            time.monotonic(),
            f"{self.make.__name__}, Python {self.version}",
            "passed",
        )
        with tempfile.TemporaryFile() as log:
            try:
                self.make(Bench(name, self.python, work, log))
            except (subprocess.CalledProcessError, LookupError, OSError) as error:
                ending = f"FAILED ({error})"
            log.seek(0)
            say(f"== {name}: {ending} after {time.monotonic() - began:.0f} s", log.read())
        return ending == "passed"


# =================================================================================================
# What this machine has.
# =================================================================================================


def python_of(version: str) -> str:
    """Return the interpreter of a version, or "" with a message."""
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    found = sorted(glob.glob(f"{pyenv}/versions/{version}.*/bin/python"), reverse=True)
    for candidate in [*found, shutil.which(f"python{version}")]:
        if (
            candidate
            and subprocess.run(
                [candidate, "-c", "import ssl, sqlite3"], stderr=subprocess.DEVNULL, check=False
            ).returncode
            == 0
        ):
            return candidate
    say(f"== Python {version}: not on this machine")
    return ""


def all_checks() -> List[Check]:
    """Return the checks that can be made here."""
    default = "{}.{}".format(*sys.version_info[:2])
    checks = [Check(readme, default, sys.executable)]
    pythons = [(version, python_of(version)) for version in VERSIONS]
    found = [(version, python) for version, python in pythons if python]
    if not found:
        sys.exit("== no Python from 3.8 to 3.13 for types, style and coverage")
    checks.append(Check(newest, *found[0]))
    checks += [
        Check(between, version, python) for version, python in found[1:] if version != default
    ]
    python = python_of(OLDEST)
    return [*checks, Check(oldest, OLDEST, python)] if python else checks


def install_readers() -> None:
    """Install a browser and exiftool; without them some tests are skipped."""
    packages = [package for program, package in READERS.items() if not shutil.which(program)]
    if not packages or not shutil.which("apt-get") or os.getuid() != 0:
        return
    commands = [
        ["apt-get", "update", "-qq"],
        *(["apt-get", "install", "-qq", "-y", package] for package in packages),
    ]
    for command in commands:
        say(f"== {' '.join(command)}")
        if (
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            ).returncode
            != 0
        ):
            say(f"== {command[-1]}: cannot be installed here")


def main(arguments: Sequence[str]) -> int:
    """Run the whole gate; return the exit code."""
    if arguments:
        print(f".ci/run takes no arguments, but was given: {' '.join(arguments)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(work / "clone")], check=True)
        install_readers()
        checks = all_checks()
        with ThreadPoolExecutor(CHECKS_AT_A_TIME) as pool:
            made = [pool.submit(check.passes, work) for check in checks]
            try:
                passed = [each.result() for each in made]
            finally:
                for each in made:
                    each.cancel()  # what has not begun when this is interrupted
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
