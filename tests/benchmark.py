"""Measure the downloader's time, CPU and memory beside curl with the same files and server.

Run by hand, on Linux or macOS, with curl installed:

    python tests/benchmark.py                      the workloads WAN, RAW, MANY and AGAIN
    python tests/benchmark.py HOME FAST FAR SLOW   other lines: how close to the limit does it get?
    python tests/benchmark.py RAW --runs 5         only some of them
    python tests/benchmark.py LISTING              long albums, mostly listing
    python tests/benchmark.py MANY --many-albums 6 --beside FILE   beside another version
    python tests/benchmark.py --all --markdown     all of them, which takes long
    TMPDIR=/dev/shm python tests/benchmark.py RAW  without the disk, if that folder is in memory

    WAN      20 albums of 50 images of 500 kB over a household line: how well is it used?
    LISTING  20 albums of 500 images of 50 kB over the same line: do files wait for listings?
    RAW      4 albums of 50 images of 5 MB at full speed: what does a byte cost?
    MANY     200 albums of 500 images of 2 kB: what does a file cost?
    AGAIN    WAN again with everything on disk: what does a check cost?
    LARGE    1,000 albums of 100 images, all on disk and unchanged: the same for a large account
    GROWTH   20,000 albums of 100 images, the same for two million; the benchmark fills the record
    ALBUM    one album of 100,000 images on disk: a run, --full, a preview (-n) of nothing
    HOME     a line of 20 MB/s, 2 MB/s for each connection
    FAST     a line of 120 MB/s, 2 MB/s for each connection
    FAR      a line of 40 MB/s, 1 MB/s for each connection, 250 ms away
    SLOW     a line of 3 MB/s
    SICK     60 albums of 50 images of 1 MB, with 20 s of 504 from the photo host, a Retry-After of
             30 s from the API, a dead host with 1 % of the files, an entry that no page survives,
             and a folder that cannot be read: is all the rest on disk, and how soon?
    ORIGINALS  10 albums of 50 images of 20 kB that all lie among 200,000 other files (--originals)

Beside RAW run bare `requests` with MD5 in four threads, and the program with fixed numbers of
downloads (-j). GROWTH and ALBUM run at a terminal to measure the longest silence. In WAN, AGAIN
and LISTING each listed image takes the server 30 ms, as it takes SmugMug for an owner.

The server is `fake_smugmug.py` in its own process, so its CPU does not count. The program and curl
take turns, each with an empty folder, and each number is the median of the runs. Seconds depend on
the machine and its load. Ratios to curl depend on them less, because curl had the same minutes and
the same number of connections.

Exit codes: 0 measured, whether or not a goal is met; 1 wrong files on disk.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pty
import random
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Iterator, NamedTuple, Optional, Sequence

HERE = Path(__file__).resolve().parent
FAKE = HERE / "fake_smugmug.py"
SCRIPT = HERE.parent / "download_smugmug_photos.py"

MEGA = 1_000_000
CURL_FILES_MAXIMUM = (
    10_000  # of more files, curl downloads this many, and its figures are scaled up
)
HASHED_BYTES = 1 << 18  # bytes hashed at once to measure MD5 alone
SECONDS_TO_STOP = 30.0  # limit for the server's end

# The least that any Python program takes that downloads with requests and checks the files: no
# retries, no record.
BARE = """
import hashlib, queue, sys, threading, requests
urls = queue.Queue()
for url in open(sys.argv[1]).read().split():
    urls.put(url)
def fetch():
    session = requests.Session()
    while True:
        try:
            url = urls.get_nowait()
        except queue.Empty:
            return
        digest = hashlib.md5()
        with session.get(url, stream=True) as answer, open("f" + url.split("/")[4], "wb") as file:
            for chunk in answer.iter_content(1 << 16):
                digest.update(chunk)
                file.write(chunk)
threads = [threading.Thread(target=fetch) for _ in range(int(sys.argv[2]))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""

# A process may inherit the peak memory of the one that starts it. So a small one starts the big
# ones.
STARTER = """
import json, os, sys, time
began = time.monotonic()
_, status, usage = os.wait4(os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:]), 0)
cpu_seconds = usage.ru_utime + usage.ru_stime
print(json.dumps([status, time.monotonic() - began, cpu_seconds, usage.ru_maxrss]))
"""


class Failure(Exception):
    """A run with wrong files, whose measurements mean nothing."""


# =================================================================================================
# Workloads and their goals
# =================================================================================================


class Workload(NamedTuple):
    """An account and its line; rates are in bytes per second, and 0 means no limit.

    `is_home`: nothing is new. `is_filled`: the benchmark makes files and record itself. `pace` is
    the part of SmugMug's time for an owner's listing that really passes.
    """

    name: str
    albums: int
    images: int
    size_bytes: int
    api_latency: float = 0.0
    file_latency: float = 0.0
    connection_rate: float = 0.0
    line_rate: float = 0.0
    is_home: bool = False
    is_filled: bool = False
    pace: float = 0.0

    @property
    def files(self) -> int:
        """Number of files in the account."""
        return self.albums * self.images

    @property
    def total_bytes(self) -> int:
        """Bytes of all files together."""
        return self.files * self.size_bytes


WAN = Workload(
    "WAN",
    20,
    50,
    500_000,
    api_latency=0.12,
    file_latency=0.08,
    connection_rate=2e6,
    line_rate=20e6,
    pace=1.0,
)
WORKLOADS = {
    workload.name: workload
    for workload in (
        WAN,
        Workload("RAW", 4, 50, 5_000_000),
        Workload("MANY", 200, 500, 2_000, api_latency=0.01, file_latency=0.01),
        WAN._replace(name="LISTING", images=500, size_bytes=50_000),
        WAN._replace(name="AGAIN", is_home=True),
        Workload("LARGE", 1_000, 100, 2_000, is_home=True),
        Workload("GROWTH", 20_000, 100, 2_000, is_home=True, is_filled=True),
        Workload("ALBUM", 1, 100_000, 2_000, is_home=True, is_filled=True),
        Workload(
            "HOME",
            4,
            50,
            2_500_000,
            api_latency=0.08,
            file_latency=0.08,
            connection_rate=2e6,
            line_rate=20e6,
        ),
        Workload(
            "FAST",
            10,
            100,
            3_000_000,
            api_latency=0.04,
            file_latency=0.04,
            connection_rate=2e6,
            line_rate=120e6,
        ),
        Workload(
            "FAR",
            8,
            50,
            2_500_000,
            api_latency=0.25,
            file_latency=0.25,
            connection_rate=1e6,
            line_rate=40e6,
        ),
        Workload("SLOW", 2, 30, 1_500_000, api_latency=0.08, file_latency=0.08, line_rate=3e6),
        Workload("ORIGINALS", 10, 50, 20_000, is_home=True),
        WAN._replace(name="SICK", albums=60, size_bytes=MEGA, line_rate=40e6, pace=0.0),
    )
}
SICK_OUTAGE_MINUTES = 0.75  # what waits for the dead host is given up after this long
SICK_WAIT_SECONDS = 30 + 60 * SICK_OUTAGE_MINUTES  # what the waits ask for, one after the other
SICK_POISONED_ENTRY = 7  # its index in the second album, and one of so many files is lost
SICK_LOST_SHARE = 100
LINE_GOALS = {"WAN": 1.10, "HOME": 1.10, "FAST": 1.25, "FAR": 1.30, "SLOW": 1.10}
# the program runs with these as well, to compare
FIXED_JOBS = {
    "RAW": (2, 3, 4, 8, 16),
    "MANY": (16,),
}
CURL_CONNECTIONS = 16
OTHER_ORIGINALS = 200_000  # files beside the account's own in ORIGINALS
BARE_THREADS = 4
DEFAULT_WORKLOADS = ("WAN", "RAW", "MANY", "AGAIN")


class Cost(NamedTuple):
    """Cost of one process, with the requests that the server counted."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: float
    api_requests: float = 0.0
    files: float = 0.0
    silent_seconds: float = 0.0  # longest silence of a terminal

    def scaled(self, factor: float) -> Cost:
        """Return the cost of `factor` times the work; memory stays."""
        return self._replace(
            wall_seconds=self.wall_seconds * factor,
            cpu_seconds=self.cpu_seconds * factor,
            files=self.files * factor,
        )


class Result(NamedTuple):
    """Medians of a workload; `curl` is None if there was nothing to download.

    `sync_seconds` is the time after curl until its files were on the disk. `others` are named.
    """

    workload: Workload
    ours: Cost
    curl: Optional[Cost]
    curl_share: float = 1.0
    sync_seconds: float = 0.0
    others: tuple[tuple[str, Cost], ...] = ()


class Figure(NamedTuple):
    """A number that should stay below a limit."""

    text: str
    value: float
    limit: float


def figures(result: Result) -> list[Figure]:
    """Return the numbers that a workload's goals are about."""
    workload, ours, curl = result.workload, result.ours, result.curl
    if workload.name == "SICK":
        needed = workload.total_bytes / workload.line_rate + SICK_WAIT_SECONDS
        text = f"wall / the {needed:.0f} s of the line and the waits"
        return [Figure(text, ours.wall_seconds / needed, 1.0)]
    if workload.name in LINE_GOALS:
        needed = workload.total_bytes / workload.line_rate
        return [
            Figure(
                f"wall / the {needed:.0f} s that the line needs",
                ours.wall_seconds / needed,
                LINE_GOALS[workload.name],
            )
        ]
    if workload.name == "LISTING" and curl is not None:
        return [
            Figure(
                "wall / that of curl, which lists nothing",
                ours.wall_seconds / curl.wall_seconds,
                1.4,
            )
        ]
    fixed = [cost for name, cost in result.others if name.startswith("-j")]
    bare = [cost for name, cost in result.others if name == "requests"]
    found = []
    if workload.name == "RAW" and fixed:
        found.append(
            Figure(
                "wall / that of the best fixed -j",
                ours.wall_seconds / min(cost.wall_seconds for cost in fixed),
                1.10,
            )
        )
    if workload.name == "RAW" and bare:
        found.append(
            Figure(
                "CPU / that of bare requests with MD5",
                ours.cpu_seconds / bare[0].cpu_seconds,
                1.15,
            )
        )
    if workload.name == "MANY":
        found = [
            Figure("CPU per file, ms", 1000 * ours.cpu_seconds / workload.files, 1.2),
            Figure("peak RSS, MB", ours.peak_bytes / MEGA, 80),
        ]
        found += [
            Figure(f"wall / that of {name}", ours.wall_seconds / cost.wall_seconds, 1.0)
            for name, cost in result.others
            if name.startswith("-j")
        ]
    found += [
        Figure("CPU / that of the version beside", ours.cpu_seconds / cost.cpu_seconds, 1.0)
        for name, cost in result.others
        if name == "beside"
    ]
    if workload.name == "LARGE":
        return [
            Figure("CPU, s", ours.cpu_seconds, 3.0),
            Figure("peak RSS, MB", ours.peak_bytes / MEGA, 100),
            Figure("API requests", ours.api_requests, 11),
        ]
    if workload.name == "GROWTH":
        return [
            Figure("CPU per 1,000 files, ms", 1e6 * ours.cpu_seconds / workload.files, 30),
            Figure("peak RSS, MB", ours.peak_bytes / MEGA, 200),
            Figure("API requests", ours.api_requests, 1 + workload.albums / 100),
            Figure("longest silence, s", ours.silent_seconds, 1.0),
        ]
    if workload.name == "ALBUM":
        return [
            figure
            for name, cost in (("unchanged", ours), *result.others)
            for figure in (
                Figure(f"{name}: peak RSS, MB", cost.peak_bytes / MEGA, 200),
                Figure(f"{name}: longest silence, s", cost.silent_seconds, 1.0),
            )
        ]
    return found


def notes(result: Result) -> Iterator[str]:
    """Return remarks for judging a workload's numbers."""
    workload, ours, curl = result.workload, result.ours, result.curl
    if curl is None:
        return
    if result.curl_share < 1:
        yield f"curl fetched {result.curl_share:.0%} of the files; its time and CPU are scaled up."
    if not workload.line_rate:
        rates = [
            f"{workload.files / cost.wall_seconds:,.0f} files/s and "
            f"{workload.total_bytes / MEGA / cost.wall_seconds:,.0f} MB/s"
            for cost in (curl, ours)
        ]
        yield (
            f"The server gave curl {rates[0]}, the program {rates[1]}:"
            " if these are close, the server is the limit."
        )
    if workload.name == "RAW":
        md5_seconds = md5_cpu_seconds(workload.total_bytes)
        ratio = (ours.cpu_seconds - md5_seconds) / curl.cpu_seconds
        yield (
            f"MD5 of as many bytes takes {md5_seconds:.2f} s of CPU, which curl does not spend;"
            f" without them the program's CPU is {ratio:.2f} times curl's."
        )
        yield (
            "The program ends with all files on the disk."
            f" After curl, the system took {result.sync_seconds:.2f} s "
            f"more to write them out."
        )


def md5_cpu_seconds(total_bytes: int) -> float:
    """Return the CPU seconds of MD5 alone over this many bytes."""
    block, digest = os.urandom(HASHED_BYTES), hashlib.md5()
    began = time.process_time()
    for _ in range(total_bytes // HASHED_BYTES):
        digest.update(block)
    return time.process_time() - began


# =================================================================================================
# The server
# =================================================================================================


class Server:
    """The fake SmugMug in its own process, serving the account of a workload."""

    def __init__(self, workload: Workload) -> None:
        options = {
            "albums": workload.albums,
            "images": workload.images,
            "size": workload.size_bytes,
            "api-latency": workload.api_latency,
            "file-latency": workload.file_latency,
            "connection-rate": workload.connection_rate,
            "line-rate": workload.line_rate,
            "pace": workload.pace,
        }
        flags = ["--no-log", *(["--sick"] if workload.name == "SICK" else [])]
        self._process = subprocess.Popen(
            [
                sys.executable,
                str(FAKE),
                *flags,
                *(f"--{name}={options[name]}" for name in options),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            universal_newlines=True,
        )
        self._about: dict[str, Any] = self._answer()

    @property
    def proxy(self) -> str:
        """Address of the server as a proxy."""
        return f"http://127.0.0.1:{self._about['port']}"

    @property
    def ca_path(self) -> str:
        """File with the certificate of the server's authority."""
        return str(self._about["ca"])

    def environment(self) -> dict[str, str]:
        """Variables that lead the program here, signed in."""
        return {
            "HTTPS_PROXY": self.proxy,
            "REQUESTS_CA_BUNDLE": self.ca_path,
            "SMUGMUG_API_KEY": self._about["api_key"],
            "SMUGMUG_API_SECRET": self._about["api_secret"],
            "SMUGMUG_ACCESS_TOKEN": self._about["access_token"],
            "SMUGMUG_ACCESS_TOKEN_SECRET": self._about["access_token_secret"],
        }

    def requests(self) -> tuple[int, int]:
        """Return the numbers of API requests and of file requests so far."""
        counted = self._ask("stats")["requests"]
        return counted.get("api", 0), counted.get("cdn", 0)

    def urls(self) -> list[str]:
        """Return the addresses of all files."""
        urls: list[str] = self._ask("urls")
        return urls

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, command: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Failure("the server ended before it answered")
        return json.loads(line)


@contextmanager
def server_for(workload: Workload) -> Iterator[Server]:
    """Run a server for the duration of the block."""
    server = Server(workload)
    try:
        yield server
    finally:
        server.close()


# =================================================================================================
# Running and measuring
# =================================================================================================


def measured(
    command: Sequence[str],
    environment: dict[str, str],
    folder: Path,
    server: Server,
    on_terminal: bool = False,
    exit_code: int = 0,
) -> Cost:
    """Run a command and return its cost; raise Failure with its last output unless it exits with
    `exit_code`.
    """
    os.sync()  # so that no run waits for the writes of the one before
    api_before, files_before = server.requests()
    screen, terminal = pty.openpty() if on_terminal else os.pipe()
    with subprocess.Popen(
        [sys.executable, "-ISc", STARTER, *command],
        env=environment,
        cwd=str(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        shown, silent_seconds = watched(screen)
        assert process.stdout is not None
        printed = process.stdout.read()
    said = shown.decode("utf-8", "replace").strip()
    if process.returncode:
        raise Failure(f"{command[0]} could not be started: {said[-500:]}")
    status, wall_seconds, cpu_seconds, peak = json.loads(printed.splitlines()[-1])
    if status != exit_code << 8:
        raise Failure(f"{Path(command[0]).name} ended with status {status}: {said[-2000:]}")
    api_after, files_after = server.requests()
    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts the peak in kibibytes
    return Cost(
        wall_seconds,
        cpu_seconds,
        peak * unit,
        api_after - api_before,
        files_after - files_before,
        silent_seconds,
    )


def watched(screen: int) -> tuple[bytes, float]:
    """Return the end of a screen's output and its longest silence."""
    shown, silent_seconds, last = b"", 0.0, time.monotonic()
    while True:
        try:
            piece = os.read(screen, 1 << 16)
        except OSError:  # the terminal is closed (Linux)
            piece = b""
        now = time.monotonic()
        silent_seconds, last = max(silent_seconds, now - last), now
        if not piece:
            os.close(screen)
            return shown, silent_seconds
        shown = (shown + piece)[-4000:]


def check(folder: Path, files: int, size_bytes: int) -> None:
    """Raise Failure unless a folder holds exactly these files; hidden ones do not count."""
    sizes = [
        path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    ]
    if len(sizes) != files or sum(sizes) != files * size_bytes:
        raise Failure(
            f"{len(sizes)} files with {sum(sizes)} bytes are there,"
            f" {files} with {files * size_bytes} were expected"
        )


def check_named(report: Path, failures: int) -> None:
    """Raise Failure unless a report names this many failures, each once."""
    problems = json.loads(report.read_text(encoding="utf-8"))["problems"]
    named = [
        (problem["folder"], problem["file"], problem["reason"])
        for problem in problems
        if problem["kind"] == "failed"
    ]
    if len(named) != failures or len(set(named)) != failures:
        raise Failure(
            f"{len(named)} failures were named, {len(set(named))} of them different;"
            f" {failures} were expected"
        )


class Bench:
    """Script, scratch folder, and number of connections for either side."""

    def __init__(
        self, script: Path, scratch: Path, jobs: Optional[int], beside: Optional[Path] = None
    ) -> None:
        self._script = script
        self.beside = beside
        self._scratch = scratch
        self._options = [] if jobs is None else [f"--jobs={jobs}"]
        self._connections = jobs or CURL_CONNECTIONS
        settings = scratch / "settings"
        settings.mkdir()
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().endswith("_PROXY") and not name.startswith("SMUGMUG_")
        }
        self._environment = {**kept, "HOME": str(settings), "XDG_CONFIG_HOME": str(settings)}

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Provide an empty folder for the duration of the block."""
        path = Path(tempfile.mkdtemp(dir=str(self._scratch)))
        try:
            yield path
        finally:
            shutil.rmtree(str(path))

    def ours(
        self,
        server: Server,
        folder: Path,
        workload: Workload,
        *options: str,
        script: Optional[Path] = None,
    ) -> Cost:
        """Measure a run of the program, or of another version of it."""
        command = [sys.executable, str(script or self._script), f"--output={folder / 'photos'}"]
        command += options or self._options
        cost = measured(
            command,
            {**self._environment, **server.environment()},
            folder,
            server,
            workload.is_filled,
        )
        if "-n" in options:
            return cost
        check(folder / "photos", workload.files, workload.size_bytes)
        if cost.files != (0 if workload.is_home else workload.files):
            raise Failure(f"{cost.files} files were asked for")
        return cost

    def sick(self, server: Server, folder: Path, workload: Workload) -> Cost:
        """Measure a run of the program that cannot get everything."""
        output = folder / "photos"
        output.mkdir()
        loop = output / "Album 00003"
        loop.symlink_to(loop.name)
        report = folder / "report.json"
        command = [sys.executable, str(self._script), f"--output={output}", f"--report={report}"]
        command += [f"--max-outage={SICK_OUTAGE_MINUTES}", *self._options]
        environment = {**self._environment, **server.environment()}
        cost = measured(command, environment, folder, server, exit_code=1)
        lost = set(range(0, workload.files, SICK_LOST_SHARE))
        lost.add(workload.images + SICK_POISONED_ENTRY)
        in_loop = set(range(2 * workload.images, 3 * workload.images))
        check(output, workload.files - len(lost | in_loop), workload.size_bytes)
        check_named(report, len(lost - in_loop) + 1)  # the loop is named as a whole
        return cost

    def bare(self, server: Server, folder: Path, urls: Sequence[str], size_bytes: int) -> Cost:
        """Measure a few lines of Python that download, hash and write these files with
        requests.
        """
        listed = folder / ".urls"
        listed.write_text("\n".join(urls))
        cost = measured(
            [sys.executable, "-c", BARE, str(listed), str(BARE_THREADS)],
            {**self._environment, **server.environment()},
            folder,
            server,
        )
        check(folder, len(urls), size_bytes)
        return cost

    def curl(self, server: Server, folder: Path, urls: Sequence[str], size_bytes: int) -> Cost:
        """Measure curl downloading these files into a folder."""
        config = folder / ".curl"
        config.write_text(
            "".join(f'url = "{url}"\noutput = "{number}"\n' for number, url in enumerate(urls))
        )
        command = [
            "curl",
            "-q",
            "--silent",
            "--show-error",
            "--fail",
            "--http1.1",
            "--proxy",
            server.proxy,
            "--cacert",
            server.ca_path,
            "--parallel",
            "--parallel-immediate",
            "--parallel-max",
            str(self._connections),
            "--config",
            str(config),
        ]
        cost = measured(command, self._environment, folder, server)
        check(folder, len(urls), size_bytes)
        return cost


def run(workload: Workload, bench: Bench, runs: int) -> Result:
    """Measure a workload."""
    if workload.name == "ORIGINALS":
        return run_originals(workload, bench, runs)
    if workload.name == "SICK":
        return run_sick(workload, bench, runs)
    return (
        run_home(workload, bench, runs)
        if workload.is_home
        else run_with_curl(workload, bench, runs)
    )


def run_sick(workload: Workload, bench: Bench, runs: int) -> Result:
    """Measure downloads from a SmugMug that is ill, to a folder that is partly unreadable."""
    costs = []
    for number in range(1, runs + 1):
        with bench.folder() as folder, server_for(workload) as server:
            costs.append(bench.sick(server, folder, workload))
            say(f"{workload.name} {number}/{runs}: {described(costs[-1])}")
    return Result(workload, medians(costs), None)


def run_home(workload: Workload, bench: Bench, runs: int) -> Result:
    """Measure a check with everything on disk, after a download without limits."""
    with bench.folder() as folder:
        say(f"{workload.name}: downloading {workload.files} files first")
        fast = Workload(workload.name, workload.albums, workload.images, workload.size_bytes)
        with server_for(fast) as server:
            if workload.is_filled:
                fill(server, folder / "photos", workload)
            else:
                bench.ours(server, folder, fast)
        with server_for(workload) as server:
            costs, others = [], []
            for number in range(1, runs + 1):
                costs.append(bench.ours(server, folder, workload))
                say(f"{workload.name} {number}/{runs}: {described(costs[-1])}")
            if workload.name == "ALBUM":
                others.append(("--full", bench.ours(server, folder, workload, "--full")))
                with bench.folder() as empty:
                    others.append(("-n, none on disk", bench.ours(server, empty, workload, "-n")))
    return Result(workload, medians(costs), None, others=tuple(others))


def run_originals(workload: Workload, bench: Bench, runs: int) -> Result:
    """Measure what it takes to find every file among many others on the same disk."""
    with bench.folder() as originals, server_for(workload) as server:
        say(f"{workload.name}: making {OTHER_ORIGINALS} other files")
        bench.ours(server, originals, workload._replace(is_home=False))
        record = originals / "photos" / ".smugmug.sqlite3"
        record.unlink()
        for number in range(OTHER_ORIGINALS):
            folder = originals / f"{number // 1000}"
            folder.mkdir(exist_ok=True)
            with open(str(folder / f"{number}.jpg"), "wb") as file:
                file.truncate(workload.size_bytes + 1 + number % 1000)
        costs = []
        for number in range(1, runs + 1):
            with bench.folder() as folder:
                option = f"--originals={originals}"
                costs.append(bench.ours(server, folder, workload, option))
            say(f"{workload.name} {number}/{runs}: {described(costs[-1])}")
    return Result(workload, medians(costs), None)


def fill(server: Server, output: Path, workload: Workload) -> None:
    """Make the result of a complete run: empty files, and a record of their contents."""
    sys.path[:0] = [str(HERE), str(SCRIPT.parent)]
    import download_smugmug_photos as script
    from fake_smugmug import JPEG_MAGIC, Pattern, _crowd_key, md5_of

    environment = server.environment()
    os.environ.update(environment)
    credentials = script.Credentials(
        *(
            environment[f"SMUGMUG_{name}"]
            for name in ("API_KEY", "API_SECRET", "ACCESS_TOKEN", "ACCESS_TOKEN_SECRET")
        )
    )
    connection = script.Connection(credentials, 60.0, script.Stop())
    albums, _ = script.fetch_albums(connection, script.fetch_user(connection))
    number = 0
    with script.open_database(output, lambda: None) as state:
        for album in sorted(albums, key=lambda album: album.name):
            (output / album.name).mkdir()
            state.save(album.key, script.AlbumRecord(album.name, album.change_token, time.time()))
            for index in range(1, workload.images + 1):
                path = output / album.name / f"IMG_{index:04}.JPG"
                with open(str(path), "wb") as file:
                    file.truncate(workload.size_bytes)
                md5 = md5_of(Pattern(workload.size_bytes, number, JPEG_MAGIC))
                state.save(
                    album.key,
                    script.FileRecord(
                        _crowd_key(number),
                        "0",
                        path.name,
                        workload.size_bytes,
                        md5,
                        time.time_ns(),
                        True,
                    ),
                )
                number += 1


def run_with_curl(workload: Workload, bench: Bench, runs: int) -> Result:
    """Measure complete downloads by the program, curl and others, in changing order.

    Each starts with a disk that has nothing left to write, because the first may find other
    conditions than the last.
    """
    fixed = [f"-j {jobs}" for jobs in FIXED_JOBS.get(workload.name, ())]
    others = [
        *fixed,
        *(["requests"] if workload.name == "RAW" else []),
        *(["beside"] if bench.beside else []),
    ]
    turns = ["program", "curl", *others]
    costs: dict[str, list[Cost]] = {name: [] for name in turns}
    syncs = []
    with server_for(workload) as server:
        urls = server.urls()[:CURL_FILES_MAXIMUM]
        for number in range(1, runs + 1):
            for name in random.Random(number).sample(turns, len(turns)):
                with bench.folder() as folder:
                    if name == "curl":
                        cost = bench.curl(server, folder, urls, workload.size_bytes).scaled(
                            workload.files / len(urls)
                        )
                    elif name == "requests":
                        cost = bench.bare(server, folder, urls, workload.size_bytes)
                    else:
                        cost = bench.ours(
                            server,
                            folder,
                            workload,
                            *(name.split() if name in fixed else ()),
                            script=bench.beside if name == "beside" else None,
                        )
                    costs[name].append(cost)
                    seconds = seconds_to_sync()
                    syncs += [seconds] if name == "curl" else []
            ours, curl = costs["program"][-1], costs["curl"][-1]
            say(f"{workload.name} {number}/{runs}: {described(ours)}; curl {described(curl)}")
    return Result(
        workload,
        medians(costs["program"]),
        medians(costs["curl"]),
        len(urls) / workload.files,
        median(syncs),
        tuple((name, medians(costs[name])) for name in others),
    )


def seconds_to_sync() -> float:
    """Flush the disk's cache and return the time it took."""
    began = time.monotonic()
    os.sync()
    return time.monotonic() - began


def medians(costs: Sequence[Cost]) -> Cost:
    """Return the median of each number."""
    return Cost(*(median(column) for column in zip(*costs)))


# =================================================================================================
# Report
# =================================================================================================

HEADINGS = (
    "workload",
    "",
    "wall s",
    "CPU s",
    "peak RSS MB",
    "API requests",
    "files",
    "wall / curl",
    "CPU / curl",
)


def described(cost: Cost) -> str:
    """Describe a cost in a few words."""
    return (
        f"{cost.wall_seconds:.2f} s, CPU {cost.cpu_seconds:.2f} s, {cost.peak_bytes / MEGA:.0f} MB"
    )


def rows(result: Result) -> Iterator[tuple[str, ...]]:
    """Return the table's lines for one workload."""
    ours, curl = result.ours, result.curl
    ratios = (
        ("", "")
        if curl is None
        else (
            f"{ours.wall_seconds / curl.wall_seconds:.2f}",
            f"{ours.cpu_seconds / curl.cpu_seconds:.2f}",
        )
    )
    others = [("", name, cost, ("", "")) for name, cost in result.others]
    for name, who, cost, last in (
        (result.workload.name, "program", ours, ratios),
        ("", "curl", curl, ("", "")),
        *others,
    ):
        if cost is not None:
            yield (
                name,
                who,
                f"{cost.wall_seconds:.2f}",
                f"{cost.cpu_seconds:.2f}",
                f"{cost.peak_bytes / MEGA:.0f}",
                f"{cost.api_requests:.0f}",
                f"{cost.files:.0f}",
                *last,
            )


def table(lines: Sequence[tuple[str, ...]], markdown: bool) -> str:
    """Align lines in columns, two of text and the rest numbers; the first line is the header."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    texts = [
        [
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths))
        ]
        for line in lines
    ]
    if not markdown:
        return "\n".join("  ".join(line).rstrip() for line in texts)
    rule = [
        "-" * width if index < 2 else "-" * (width - 1) + ":" for index, width in enumerate(widths)
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in [texts[0], rule, *texts[1:]])


def report(results: Sequence[Result], markdown: bool) -> str:
    """Return all results as text."""
    bullet = "* " if markdown else "  "
    lines = [table([HEADINGS, *(row for result in results for row in rows(result))], markdown), ""]
    for result in results:
        start = f"{bullet}{result.workload.name}: "
        for text, value, limit in figures(result):
            lines.append(
                f"{start}{text}: {value:.2f}, goal {limit:g}: "
                + ("met" if value <= limit else "MISSED")
            )
        lines.extend(start + note for note in notes(result))
    return "\n".join(lines)


def say(text: str) -> None:
    """Print progress."""
    print(text, file=sys.stderr, flush=True)


# =================================================================================================
# Command line
# =================================================================================================


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Measure the requested workloads; return the exit code."""
    parser = argparse.ArgumentParser(description="Measure the downloader next to curl.")
    parser.add_argument(
        "workloads",
        nargs="*",
        metavar="WORKLOAD",
        help=f"of {' '.join(WORKLOADS)}; without any: {' '.join(DEFAULT_WORKLOADS)}",
    )
    parser.add_argument("--all", action="store_true", help="all workloads")
    parser.add_argument(
        "--runs", type=int, default=3, metavar="N", help="runs of each (%(default)s)"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="transfers at a time, for both (the program's default)",
    )
    parser.add_argument(
        "--many-albums",
        type=int,
        default=WORKLOADS["MANY"].albums,
        metavar="N",
        help="albums in MANY (%(default)s)",
    )
    parser.add_argument(
        "--large-albums",
        type=int,
        default=WORKLOADS["LARGE"].albums,
        metavar="N",
        help="albums in LARGE (%(default)s)",
    )
    parser.add_argument(
        "--growth-albums",
        type=int,
        default=WORKLOADS["GROWTH"].albums,
        metavar="N",
        help="albums in GROWTH (%(default)s)",
    )
    parser.add_argument(
        "--script", type=Path, default=SCRIPT, metavar="FILE", help="another version to measure"
    )
    parser.add_argument(
        "--beside",
        type=Path,
        metavar="FILE",
        help="another version to measure in turns with this one",
    )
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    options = parser.parse_args(argv)
    names = (
        list(WORKLOADS)
        if options.all
        else [name.upper() for name in options.workloads] or DEFAULT_WORKLOADS
    )
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        parser.error(f"there is no workload {' '.join(unknown)}")
    if (
        min(
            options.runs,
            options.many_albums,
            options.large_albums,
            options.growth_albums,
            options.jobs or 1,
        )
        < 1
    ):
        parser.error("numbers must be at least 1")
    albums = {
        "MANY": options.many_albums,
        "LARGE": options.large_albums,
        "GROWTH": options.growth_albums,
    }
    results = []
    try:
        with tempfile.TemporaryDirectory() as scratch:
            bench = Bench(
                options.script.resolve(),
                Path(scratch),
                options.jobs,
                options.beside and options.beside.resolve(),
            )
            for name in names:
                workload = WORKLOADS[name]
                workload = workload._replace(albums=albums.get(name, workload.albums))
                results.append(run(workload, bench, options.runs))
    except Failure as failure:
        print(f"FAIL: {failure}")
        return 1
    print(report(results, options.markdown))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
