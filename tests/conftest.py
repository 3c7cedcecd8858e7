"""Run the real script in a sealed environment against the simulated SmugMug.

The script runs unchanged, as a subprocess. Environment variables lead it to the fake, as they lead
any program through a proxy.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Union

import pytest

import warm
from fake_smugmug import Account, Authority, FakeSmugMug

HERE = Path(__file__).resolve().parent
SCRIPT = HERE.parent / "download_smugmug_photos.py"
sys.path.insert(0, str(SCRIPT.parent))  # so that tests can import it
pytest.register_assert_rewrite("helpers", "reading")

# Settings of the developer that no test may see, in upper or lower case.
FOREIGN_VARIABLES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NETRC",
    "NO_COLOR",
    "FORCE_COLOR",
    "COLUMNS",
    "LINES",
    "TZ",
    "PYTHONWARNINGS",
    "PYTHONPATH",
    "PYTHONUNBUFFERED",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
    "DISPLAY",  # without one, no browser opens
    "WAYLAND_DISPLAY",
    "BROWSER",
)


MIXED_FROM = 300  # fewer tests run in the order of their files

Process = Union["subprocess.Popen[str]", warm.WarmProcess]


class Result(NamedTuple):
    """Outcome of a run of the script."""

    returncode: int
    stdout: str
    stderr: str


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the suite's own options."""
    parser.addoption(
        "--cold",
        action="store_true",
        help="start each run of the script as a user does, instead of forking it",
    )
    parser.addoption(
        "--histories",
        type=int,
        default=8,
        metavar="N",
        help="number of random histories (default: %(default)s)",
    )
    parser.addoption("--draw", action="store_true", help="draw README's screenshot again")
    parser.addoption(
        "--history",
        type=int,
        default=0,
        metavar="SEED",
        help="seed of the first history",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Prepare a process that runs tests, or the one that starts such processes."""
    if getattr(config.option, "dist", "no") != "no":
        if not _is_compiled():
            _compile_tests()
        return
    _pass_signals_on()
    Run.is_warm = sys.platform != "win32" and not config.getoption("--cold")
    if Run.is_warm:
        warm.prepare()


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Mix the tests of a long run, in the same way in each process.

    So tests that wait run beside tests that compute, although each file has many of one sort.
    None of those that wait longest comes last, or it would run alone.
    """
    if len(items) <= MIXED_FROM:
        return
    chance = random.Random(0)
    places = {}
    for item in items:
        places[item] = chance.random() * (0.8 if item.get_closest_marker("waits") else 1)
    items.sort(key=places.__getitem__)


def _is_compiled() -> bool:
    """Return True if the compiled form of each test file is up to date."""
    for path in HERE.glob("*/test_*.py"):
        compiled = path.parent.glob(
            f"__pycache__/{path.stem}.{sys.implementation.cache_tag}-*.pyc"
        )
        if not any(each.stat().st_mtime >= path.stat().st_mtime for each in compiled):
            return False
    return True


def _compile_tests() -> None:
    """Compile the tests once. Otherwise each worker would, which takes ten seconds each time."""
    environ = {**os.environ}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "pytest", "-n", "0", "--collect-only", "-q", str(HERE)]
    subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, check=False)


def _pass_signals_on() -> None:
    """Let signals that the suite ignores, as under nohup, have their effect on the script.

    A new program inherits ignored signals, but no handler, not even one that does nothing.
    """
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


# =================================================================================================
# The sealed environment and the fake.
# =================================================================================================


@pytest.fixture(autouse=True)
def sealed_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the developer's settings and every way to the network from the environment."""
    for name in list(os.environ):
        if name.upper() in FOREIGN_VARIABLES or name.upper().startswith("SMUGMUG_"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"  # the home folder of the user who runs the script
    home.mkdir()
    for name, folder in (
        ("HOME", home),
        ("USERPROFILE", home),
        ("XDG_CONFIG_HOME", home / "config"),
        ("APPDATA", home / "config"),
        ("LOCALAPPDATA", home / "local"),
        ("XDG_CACHE_HOME", home / "cache"),
        ("XDG_DATA_HOME", home / "data"),
        ("XDG_STATE_HOME", home / "state"),
    ):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("TERM", "dumb")
    if not sys.platform.startswith("linux"):
        monkeypatch.setenv("SSH_CONNECTION", "a test")  # so that no browser opens
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Share one certificate authority, so that each host's certificate is made once."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def account() -> Account:
    """Provide an empty account, to be filled by the test."""
    return Account(nickname="family")


@pytest.fixture
def smugmug(account: Account, ca: Authority) -> Iterator[FakeSmugMug]:
    """Run the fake. The test fails after a request unknown to SmugMug, or an error in the fake."""
    with FakeSmugMug(account, ca) as fake:
        yield fake
    assert fake.errors == [], "the fake SmugMug has a bug"
    assert fake.allow_unknown_paths or fake.unknown_paths == []


# =================================================================================================
# The script under test.
# =================================================================================================


class Run:
    """Runner of the script in the test's own folder, against the test's own fake.

    `output` is the default folder of the photos, `config` holds the token.
    """

    is_warm = False

    def __init__(self, smugmug: FakeSmugMug, folder: Path) -> None:
        self.smugmug = smugmug
        self.folder = folder
        self.output = folder / "smugmug_photos"
        self.config = Path(os.environ["XDG_CONFIG_HOME"])
        self._processes: List[Process] = []

    def __call__(
        self,
        *args: Any,
        input: Optional[str] = None,
        env: Optional[Mapping[str, Optional[str]]] = None,
        cwd: Optional[Path] = None,
        timeout: float = 300,
        signed_in: bool = True,
        keys: bool = True,
        traceback: bool = False,
    ) -> Result:
        """Run to the end. Standard input is empty by default; a traceback fails the test."""
        process = self.start(
            *args,
            env=env,
            cwd=cwd,
            signed_in=signed_in,
            keys=keys,
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
        )
        try:
            stdout, stderr = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
            pytest.fail(f"still running after {timeout} s\n{stdout}\n{stderr}")
        assert traceback or "Traceback" not in stderr, stderr
        return Result(process.wait(), stdout, stderr)

    def start(
        self,
        *args: Any,
        env: Optional[Mapping[str, Optional[str]]] = None,
        cwd: Optional[Path] = None,
        signed_in: bool = True,
        keys: bool = True,
        stdin: int = subprocess.DEVNULL,
        cold: bool = False,
        **options: Any,
    ) -> Process:
        """Start the script and leave the process to the test; `close` kills it if it still runs.

        With `cold` it starts as a user would start it, even without --cold.
        """
        arguments = [str(argument) for argument in args]
        variables = self.environment(env, signed_in, keys)
        folder = str(cwd or self.folder)
        if self.is_warm and not cold and warm.can_be_warm(stdin, env or {}, options):
            process: Process = warm.WarmProcess(arguments, variables, folder, stdin)
        else:
            process = subprocess.Popen(
                [sys.executable, str(SCRIPT), *arguments],
                env=variables,
                cwd=folder,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                **options,
            )
        self._processes.append(process)
        return process

    def environment(
        self,
        env: Optional[Mapping[str, Optional[str]]] = None,
        signed_in: bool = True,
        keys: bool = True,
    ) -> Dict[str, str]:
        """Return the variables of a run; None in `env` removes a variable."""
        variables: Dict[str, Optional[str]] = {**os.environ, **self.smugmug.environment}
        if keys:
            variables.update(
                SMUGMUG_API_KEY=self.smugmug.api_key, SMUGMUG_API_SECRET=self.smugmug.api_secret
            )
        if signed_in:
            variables.update(
                SMUGMUG_ACCESS_TOKEN=self.smugmug.access_token,
                SMUGMUG_ACCESS_TOKEN_SECRET=self.smugmug.access_token_secret,
            )
        variables.update(env or {})
        return {name: value for name, value in variables.items() if value is not None}

    def close(self) -> None:
        """Kill the processes that still run."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


@pytest.fixture
def run(smugmug: FakeSmugMug, tmp_path: Path) -> Iterator[Run]:
    """Provide the script, ready to run: ``run("--dry-run")``."""
    runner = Run(smugmug, tmp_path)
    yield runner
    runner.close()


# =================================================================================================
# A small disk.
# =================================================================================================


class SmallDisk:
    """A separate file system with a size that the test can change."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mount(self, size_bytes: int) -> Path:
        """Mount the empty disk."""
        self._call("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "none", self.path)
        return self.path

    def resize(self, size_bytes: int) -> None:
        """Enlarge or shrink the disk."""
        self._call("mount", "-o", f"remount,size={size_bytes}", self.path)

    def _call(self, *command: Any) -> None:
        try:
            done = subprocess.run(
                [str(part) for part in command],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
        except OSError as error:
            pytest.skip(f"no disk can be mounted here: {error}")
        if done.returncode:
            pytest.skip(
                f"no disk can be mounted here: {done.stdout.decode(errors='replace').strip()}"
            )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Provide a small disk; skip the test where mounting one is not permitted."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux has a disk in memory that is mounted in one step")
    disk = SmallDisk(tmp_path / "disk")
    disk.path.mkdir()
    yield disk
    if os.path.ismount(str(disk.path)):
        subprocess.run(["umount", str(disk.path)], check=True)


@pytest.fixture
def closed() -> Iterator[Callable[[Path, int], None]]:
    """Return a way to change the mode of a file or folder until the test ends."""
    paths: List[Path] = []

    def close(path: Path, mode: int) -> None:
        paths.append(path)
        path.chmod(mode)

    yield close
    for path in paths:
        with suppress(OSError):
            path.chmod(0o755)
