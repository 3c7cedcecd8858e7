"""Does the number of simultaneous downloads follow the speed of simulated lines?"""

from __future__ import annotations

import random
import re
import time
from types import SimpleNamespace
from typing import Any, Callable, List, NamedTuple

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import Account, FakeSmugMug
from helpers import sync

SETTLED_SECONDS = 10.0
BEGINNING = script.Pace()


class Line(NamedTuple):
    """A line or a computer: bytes per second by number of downloads, for files of `size_bytes`."""

    name: str
    speed: Callable[[int], float]
    size_bytes: int = 3_000_000


LINES = [
    Line("household", lambda jobs: min(2e6 * jobs, 20e6)),
    Line("fast", lambda jobs: min(2e6 * jobs, 120e6)),
    Line("far", lambda jobs: min(1e6 * jobs, 40e6)),
    Line("between two powers of two", lambda jobs: min(1e6 * jobs, 45e6)),
    Line("a computer that is the limit", lambda jobs: 400e6 / (1 + 0.03 * max(0, jobs - 3))),
    Line("small files", lambda jobs: min(2e5 * jobs, 1.8e6), 2_000),
]


class Moment(NamedTuple):
    """A number of downloads, how long they ran, and at which speed."""

    at_seconds: float
    seconds: float
    jobs: int
    speed: float


def driven(
    line: Line, noise: float, seed: int, seconds: float = 120.0, pace: script.Pace = BEGINNING
) -> List[Moment]:
    """Run a steering on a simulated line for a while and return its moments."""
    chance, passed, moments = random.Random(seed), 0.0, []
    while passed < seconds:
        speed, length = line.speed(pace.size), script.MEASURE_SECONDS
        moments.append(Moment(passed, length, pace.size, speed))
        brought = speed * length * chance.uniform(1 - noise, 1 + noise)
        pace = script.next_pace(pace, length, brought, brought // line.size_bytes, 0, True)
        passed += length
    return moments


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1])
@pytest.mark.parametrize("line", LINES, ids=[line.name for line in LINES])
def test_ten_seconds_suffice_to_reach_nine_tenths_of_the_best_speed(
    line: Line, noise: float
) -> None:
    best = max(line.speed(jobs) for jobs in range(script.MIN_JOBS, script.MAX_JOBS + 1))
    for seed in range(10):
        late = [
            moment for moment in driven(line, noise, seed) if moment.at_seconds >= SETTLED_SECONDS
        ]
        mean = sum(moment.speed * moment.seconds for moment in late) / sum(
            moment.seconds for moment in late
        )
        assert mean >= 0.9 * best, (seed, mean / best)


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1])
@pytest.mark.parametrize("line", LINES, ids=[line.name for line in LINES])
def test_the_number_settles(line: Line, noise: float) -> None:
    late = [moment.jobs for moment in driven(line, noise, 1, 600.0) if moment.at_seconds >= 120.0]
    assert sum(one != other for one, other in zip(late, late[1:])) <= 60, (
        "it changes every eighth second"
    )


def test_slow_lines_get_few_downloads() -> None:
    for cap in (2e4, 1e5, 3e5, 2e6):
        line = Line("slow", lambda jobs, cap=cap: min(cap * jobs, 3e6))  # type: ignore[misc]
        assert max(moment.jobs for moment in driven(line, 0.05, 1)) <= 16


def test_the_number_begins_small_then_triples_then_doubles() -> None:
    moments = driven(LINES[1], 0.0, 1)
    assert [moment.jobs for moment in moments[:5]] == [4, 12, 24, 48, 64]
    assert all(2 <= moment.jobs <= 64 for moment in moments)


def test_faster_lines_get_more_downloads() -> None:
    pace = script.Pace(size=4, best=4, best_rate=8e6, rests_left=48)
    assert max(moment.jobs for moment in driven(LINES[1], 0.05, 1, 300.0, pace)) == 64


def test_many_failed_requests_halve_the_number_but_one_does_not() -> None:
    pace = script.Pace(size=16, best=16, best_rate=20e6, rests_left=9)
    assert script.next_pace(pace, 0.7, 0, 0, 3, True).size == 8
    assert script.next_pace(pace, 1.0, 20_000_000, 7, 2, True).size == 16
    fewest = pace._replace(size=2, best=2)
    assert script.next_pace(fewest, 0.7, 0, 0, 9, False).size == 2
    assert script.next_pace(pace, 1.0, 0, 0, 0, False) == pace, (
        "fewer were under way than might have been"
    )
    halved = script.next_pace(pace, 0.7, 0, 0, 3, True)
    assert driven(LINES[0], 0.0, 1, 20.0, halved)[-1].jobs == 8, "it comes back too soon"


@pytest.mark.waits
def test_each_change_is_logged_with_its_reason(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.album("Summer").fill(400, 60)
    smugmug.fault("reset", r"photos\.smugmug\.com .*IMG_[0-9]+[05]-D", times=60)
    logged = run("-v").stderr
    changes = "[0-9]+ concurrent downloads instead of [0-9]+: [0-9.]+ MB/s, [0-9]+ failed requests"
    assert re.search(changes, logged)


def test_a_given_number_is_kept(account: Account, smugmug: FakeSmugMug, run: Run) -> None:
    account.album("Summer").fill(100, 60)
    smugmug.fault("server_error", "cdn", times=6)
    assert "concurrent downloads" not in sync(run, "-v", "-j", "3").stderr


# =================================================================================================
# What is measured and when.
# =================================================================================================


class Steered(NamedTuple):
    """A steering with a clock, downloads and a connection that the test controls."""

    steering: script.Steering
    carriers: Any
    connection: Any
    clock: List[float]

    def pass_by(
        self, seconds: float, under_way: int, size_bytes: int, has_more: bool = True
    ) -> int:
        """Let time pass in steps with this many downloads and bytes; return the allowed number."""
        for _ in range(round(seconds / 0.125)):
            self.carriers.in_progress = under_way
            self.steering.measure(has_more=has_more)
            self.clock[0] += 0.125
            self.connection.received_bytes += size_bytes // round(seconds / 0.125)
        self.steering.measure(has_more=has_more)
        return int(self.carriers.size)


@pytest.fixture
def steered(monkeypatch: pytest.MonkeyPatch) -> Steered:
    """Provide a steering that has just begun."""
    clock = [1000.0]
    # The threads of other tests' connections sleep.
    stopped = SimpleNamespace(monotonic=lambda: clock[0], sleep=time.sleep)
    monkeypatch.setattr(script, "time", stopped)
    carriers: Any = SimpleNamespace(size=script.INITIAL_JOBS, in_progress=0, done=0)
    connection: Any = SimpleNamespace(
        received_bytes=0,
        failed_requests=0,
        rate_limit=None,
        is_waiting=lambda: False,
    )
    return Steered(script.Steering(carriers, connection), carriers, connection, clock)


def test_measuring_begins_with_the_first_download(
    steered: Steered,
) -> None:
    assert steered.pass_by(10, 0, 0, has_more=False) == 4
    assert steered.pass_by(0.5, 4, 4_000_000) == 12


@pytest.mark.parametrize("number, more", [(4, 12), (12, 24)])
def test_planning_an_album_does_not_count_as_a_slow_download(
    steered: Steered, number: int, more: int
) -> None:
    if number == 12:
        assert steered.pass_by(0.5, 4, 200_000_000) == 12
        steered.pass_by(0.125, 0, 0, has_more=False)
    pace = steered.steering._pace
    steered.carriers.in_progress = 0
    steered.steering.measure(has_more=False)
    steered.clock[0] += 5
    steered.carriers.in_progress = number
    steered.steering.measure(has_more=True)
    assert steered.steering._pace == pace
    assert steered.pass_by(0.5, number, 400_000_000) == more


def test_downloads_started_before_do_not_count_for_a_smaller_number(
    steered: Steered,
) -> None:
    assert steered.pass_by(0.5, 4, 200_000_000) == 12
    assert steered.pass_by(0.5, 12, 150_000_000) == 4  # no gain
    assert steered.pass_by(0.5, 11, 400_000_000) == 4
    assert steered.steering._pace.best_rate < 450e6
    rests_left = steered.steering._pace.rests_left
    assert steered.pass_by(0.5, 4, 200_000_000) == 4
    assert (
        rests_left == script.RESTS_AFTER_FAILURE
        and steered.steering._pace.rests_left == rests_left - 1
    )


def test_failed_requests_of_an_outage_are_no_overload(steered: Steered) -> None:
    steered.connection.is_waiting = lambda: True
    steered.carriers.in_progress = 4
    steered.steering.measure(has_more=False)
    steered.connection.failed_requests += 9
    assert steered.pass_by(1, 4, 0, has_more=False) == 4
    steered.connection.is_waiting = lambda: False
    steered.connection.failed_requests += 9
    assert steered.pass_by(1, 4, 0, has_more=False) == 2


@pytest.mark.parametrize("under_way, has_more", [(3, True), (4, False)])
def test_idle_workers_teach_nothing(steered: Steered, under_way: int, has_more: bool) -> None:
    assert steered.pass_by(3, under_way, 100_000_000, has_more) == 4
    assert steered.steering._pace == BEGINNING
