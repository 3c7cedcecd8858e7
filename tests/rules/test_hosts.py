"""Do circuit breakers, parked items and page sizes follow a clock that the test sets?"""

from __future__ import annotations

import errno
import socket
import ssl
import time
from types import SimpleNamespace
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import pytest
import requests
import urllib3

import download_smugmug_photos as script

MAX_OUTAGE_SECONDS = 120.0
API = script.API_ORIGIN + "/api/v2/x"
FILE = "https://photos.smugmug.com/i-abc/0/D/a.jpg"
OTHER = "https://photos.smugmug.com/i-def/0/D/b.jpg"


class Bench:
    """A host with a clock that the test sets."""

    def __init__(self, name: str = "photos.smugmug.com") -> None:
        self.now = 1000.0
        self.host = script.Host(name, MAX_OUTAGE_SECONDS, lambda: self.now)

    def silent(self, times: int = 1, known: bool = True) -> None:
        """Let requests be unanswered."""
        for _ in range(times):
            self.host.silent(self.now, script.unanswered("no response"), known)

    def refuse(self, url: str, seconds: float) -> script.Wait:
        """Let a request be refused; return what it has to wait for."""
        failure = script.RequestFailed("busy", status=429, wait_seconds=seconds)
        with pytest.raises(script.HandBack) as handed_back:
            self.host.refused(url, failure)
        return handed_back.value.wait

    def probe(self, is_answered: bool) -> None:
        """Be the thread that probes the host."""
        assert self.host.needs_trial() and self.host.admit(FILE)
        assert not self.host.needs_trial(), "two threads probe at the same time"
        if is_answered:
            self.host.probed(None)
            return
        with pytest.raises(script.HandBack):
            self.host.probed(script.unanswered("no response"))


@pytest.fixture
def bench() -> Bench:
    """A photo host that is open."""
    return Bench()


# =================================================================================================
# Outages
# =================================================================================================


def test_three_silences_in_a_row_make_a_host_suspect(bench: Bench) -> None:
    bench.silent(2)
    bench.host.answered()
    bench.silent(2)
    assert bench.host.is_over() and not bench.host.admit(FILE)
    bench.silent()
    assert not bench.host.is_over() and bench.host.needs_trial()


def test_suspect_hosts_admit_one_thread_as_a_probe(bench: Bench) -> None:
    bench.silent(3)
    assert bench.host.admit(FILE)
    with pytest.raises(script.HandBack):
        bench.host.admit(OTHER)
    bench.host.probed(None)
    assert bench.host.is_over() and not bench.host.admit(OTHER)


def test_unanswered_probes_are_repeated_at_growing_intervals(bench: Bench) -> None:
    bench.silent(3)
    intervals: List[float] = []
    for _ in range(5):
        bench.probe(False)
        began = bench.now
        while not bench.host.needs_trial():
            bench.now += 0.25
        intervals.append(bench.now - began)
    assert intervals == [0.5, 0.5, 1.0, 2.0, 4.0]


def test_an_outage_ends_when_a_real_request_is_answered(bench: Bench) -> None:
    bench.host.attempts(FILE).add(0)
    bench.silent(3)
    bench.probe(False)
    assert bench.host.unreachable_since()
    bench.host.answered()
    assert bench.host.is_over() and not bench.host.unreachable_since()
    assert bench.host.attempts(FILE).count == 0, "attempts before the outage are forgotten"


def test_answered_probes_do_not_stop_the_clock_of_an_outage(bench: Bench) -> None:
    bench.host.attempts(FILE).add(0)
    for _ in range(30):  # over at every other look
        bench.silent(3)
        if bench.host.needs_trial():
            bench.probe(True)
        bench.now += 3
    assert bench.host.attempts(FILE).count == 1, "attempts began from zero"
    bench.now += 40
    with pytest.raises(script.RequestFailed, match="unreachable for 2 minutes"):
        bench.silent()


def test_an_answered_probe_is_trusted_for_a_while(bench: Bench) -> None:
    bench.silent(3)
    bench.probe(True)
    bench.silent(3)
    assert bench.host.is_over()
    bench.now += script.PROBE_VALID_SECONDS
    bench.silent()
    assert bench.host.needs_trial()


def test_hosts_are_abandoned_after_the_longest_outage_but_still_probed(bench: Bench) -> None:
    bench.silent(3)
    bench.probe(False)
    bench.now += MAX_OUTAGE_SECONDS
    assert bench.host.admit(FILE)
    with pytest.raises(script.RequestFailed) as failed:
        bench.host.probed(script.unanswered("no response."))
    assert str(failed.value) == (
        "SmugMug's photo host was unreachable for 2 minutes (no response)"
    )
    assert bench.host.is_over(), "its jobs must go on, to fail"
    with pytest.raises(script.RequestFailed, match="unreachable"):
        bench.host.admit(FILE)
    bench.now += script.MAX_PROBE_SECONDS
    assert bench.host.admit(FILE)
    with pytest.raises(script.RequestFailed, match="unreachable"):
        bench.host.probed(script.unanswered("no response"))
    bench.now += script.MAX_PROBE_SECONDS
    assert bench.host.admit(FILE)
    bench.host.probed(None)
    assert not bench.host.admit(FILE) and not bench.host.unreachable_since()


def test_an_outage_of_the_api_ends_the_run() -> None:
    bench = Bench("api.smugmug.com")
    bench.silent(3)
    bench.now += MAX_OUTAGE_SECONDS
    with pytest.raises(script.Unreachable, match="raise --max-outage"):
        bench.silent()


def test_a_host_that_was_never_reached_is_not_waited_for(bench: Bench) -> None:
    bench.silent(5, known=False)
    assert bench.host.is_over() and not bench.host.needs_trial()
    bench.now += MAX_OUTAGE_SECONDS
    with pytest.raises(script.RequestFailed, match="no response"):
        bench.silent(known=False)


def test_silence_counts_from_the_last_response(bench: Bench) -> None:
    bench.now += 50
    bench.host.answered()
    bench.host.silent(bench.now - 40, script.unanswered("no response"), True)
    assert bench.host.patience_seconds() == MAX_OUTAGE_SECONDS


def test_silent_hosts_are_probed_with_an_earlier_request(bench: Bench) -> None:
    assert bench.host.probe_url() == "https://photos.smugmug.com/"
    bench.host.succeeded(FILE)
    bench.host.succeeded(OTHER)
    assert bench.host.probe_url() == FILE
    assert Bench("api.smugmug.com").host.probe_url() == script.AUTH_USER_URL


def test_the_progress_line_says_what_waits_for_what() -> None:
    connection = script.Connection(script.Credentials("key", "secret"), 5.0, script.Stop())
    assert connection.waiting() == "" and not connection.is_waiting()
    refused = script.RequestFailed("busy", status=429, wait_seconds=1800.0)
    with pytest.raises(script.HandBack):
        connection.host(API).refused(API, refused)
    assert connection.waiting(lambda host: 1).startswith("waiting for SmugMug: ")
    assert connection.waiting(lambda host: 1).endswith("; 1 file waiting")
    connection = script.Connection(script.Credentials("key", "secret"), 5.0, script.Stop())
    host = connection.host(FILE)
    for _ in range(script.UNANSWERED_IN_A_ROW):
        host.silent(0.0, script.unanswered("no response"), True)
    assert host.admit(FILE)
    with pytest.raises(script.HandBack):
        host.probed(script.unanswered("no response"))
    since = host.unreachable_since()
    assert connection.is_waiting() and connection.waiting(lambda host: 110) == (
        f"SmugMug's photo host: unreachable since {since}; 110 files waiting"
    )


def fail_oddly(*_: Any, **__: Any) -> None:
    """Raise an error that no request is expected to raise."""
    raise KeyError("odd")


def test_a_probe_that_fails_oddly_keeps_no_other_from_probing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = script.Connection(script.Credentials("key", "secret"), 5.0, script.Stop())
    host = connection.host(FILE)
    for _ in range(script.UNANSWERED_IN_A_ROW):
        host.silent(0.0, script.unanswered("no response"), True)
    monkeypatch.setattr(connection._adapter, "send", fail_oddly)
    with pytest.raises(KeyError):
        connection.get(FILE, script.Response.body)
    assert host.is_over() or host.needs_trial()


# =================================================================================================
# Waits that a host asks for
# =================================================================================================


def test_a_refusal_closes_the_host_for_all(bench: Bench) -> None:
    assert bench.refuse(FILE, 30) is bench.host
    with pytest.raises(script.HandBack):
        bench.host.admit(OTHER)
    assert bench.host.remaining_seconds() == 30 and not bench.host.needs_trial()
    bench.refuse(OTHER, 1)
    assert bench.host.remaining_seconds() == 30, "a shorter wait shortened a longer one"
    bench.now += 30
    assert bench.host.is_over() and not bench.host.admit(OTHER)
    assert bench.host.closed_seconds == 30


def test_no_wait_is_longer_than_the_longest_outage(bench: Bench) -> None:
    bench.refuse(FILE, 999_999_999)
    assert bench.host.remaining_seconds() == MAX_OUTAGE_SECONDS
    bench.now += MAX_OUTAGE_SECONDS
    failure = script.RequestFailed("busy", status=429, wait_seconds=999_999_999)
    with pytest.raises(script.RequestFailed, match="unreachable for 2 minutes"):
        bench.host.refused(OTHER, failure)


def test_a_url_that_is_refused_again_while_others_are_answered_waits_alone(bench: Bench) -> None:
    bench.refuse(FILE, 5)
    bench.now += 5
    for _ in range(script.ATTEMPTS - 1):
        bench.host.answered()
        wait = bench.refuse(FILE, 5)
        assert wait is not bench.host and not wait.is_over() and not wait.needs_trial()
        with pytest.raises(script.HandBack):
            bench.host.admit(FILE)
        assert not bench.host.admit(OTHER)
        bench.now += 5
        assert wait.is_over() and not bench.host.admit(FILE)
    bench.host.answered()
    with pytest.raises(script.RequestFailed, match="busy"):
        bench.host.refused(FILE, script.RequestFailed("busy", status=503, wait_seconds=5))


def test_refusals_in_turn_close_the_host_each_time(bench: Bench) -> None:
    for url in (FILE, OTHER, FILE, OTHER):
        assert bench.refuse(url, 5) is bench.host
        bench.now += 5


def test_several_sick_urls_wait_alone_while_all_others_are_answered(bench: Bench) -> None:
    for url in (FILE, OTHER, FILE):
        assert bench.refuse(url, 5) is bench.host
        bench.host.answered()
        bench.now += 5
    for _ in range(script.ATTEMPTS - 1):
        for url in (OTHER, FILE):
            assert bench.refuse(url, 5) is not bench.host
        bench.now += 5
    for url in (OTHER, FILE):
        with pytest.raises(script.RequestFailed, match="busy"):
            bench.host.refused(url, script.RequestFailed("busy", status=503, wait_seconds=5))


def test_refusals_that_pass_never_fail_a_url(bench: Bench) -> None:
    urls = [f"{FILE}{number}" for number in range(8 * script.ATTEMPTS)]
    while urls:  # a rate limit that lets one request pass at a time
        for url in urls[1:9]:
            bench.refuse(url, 5)
        bench.now += 5
        bench.host.succeeded(urls.pop(0))


def test_failures_long_apart_are_no_outage(bench: Bench) -> None:
    for _ in range(3):
        bench.silent()
        assert not bench.host.needs_trial()
        bench.now += 2 * MAX_OUTAGE_SECONDS
        assert bench.refuse(OTHER, 5)
        bench.now += 5 + MAX_OUTAGE_SECONDS


@pytest.mark.parametrize(
    "headers, seconds",
    [
        ({"Retry-After": "999999999999"}, 999_999_999_999.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "-5"}, script.DEFAULT_RATE_LIMIT_SECONDS),
        ({"X-RateLimit-Reset": "253402300799000"}, 253_402_300_799_000 - 1000.0),
        ({}, script.DEFAULT_RATE_LIMIT_SECONDS),
    ],
)
def test_any_wait_that_a_server_can_ask_for_is_a_number(
    headers: Dict[str, str], seconds: float
) -> None:
    assert script.rate_limit_seconds(headers, 1000.0) == seconds


# =================================================================================================
# Attempts, clocks, dates
# =================================================================================================


def test_progress_is_a_part_file_longer_than_ever() -> None:
    attempts = script.Attempts()
    counts = []
    for length_bytes in (1_000_000, 1_000_000, 2_000_000, 1_000_000, 2_000_000, 2_000_001):
        attempts.add(length_bytes)
        counts.append(attempts.count)
    assert counts == [1, 2, 1, 2, 3, 4]


def test_time_asleep_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [50.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    clock = script.AwakeClock()
    readings = []
    for seconds in (0.25, 0.25, 8 * 3600, 0.5):
        now[0] += seconds
        readings.append(clock())
    assert readings == [0.25, 0.5, 1.5, 2.0]


def test_impossible_dates_of_servers_are_ignored() -> None:
    now = script.RELEASE_DATE + 1000
    assert script.is_possible_time(now + 86_400, now)
    assert script.is_possible_time(now - 3 * 365 * 86_400, now)
    assert not script.is_possible_time(253_402_300_799.0, now), "the year 9999"
    assert not script.is_possible_time(now + 70 * 365 * 86_400, now)
    assert not script.is_possible_time(0.0, now)
    assert script.is_possible_time(now, 0.0), "a local clock that was never set"


# =================================================================================================
# Parked items
# =================================================================================================


class Gate(script.Wait):
    """A wait that the test ends."""

    def __init__(self) -> None:
        self.is_open = False
        self.is_due = False

    def is_over(self) -> bool:
        """Return what the test says."""
        return self.is_open

    def needs_trial(self) -> bool:
        """Return what the test says."""
        return self.is_due


class Pool(SimpleNamespace):
    """A pool of threads, of which the test says if there is room."""

    __hash__ = object.__hash__  # type: ignore[assignment]


def test_parked_items_return_in_order_after_their_wait() -> None:
    first, second, parking = Gate(), Gate(), script.Parking()
    pool: Any = Pool(has_room=lambda: True)
    for number in range(3):
        parking.add(script.HandedBack(pool, number, first))
    parking.add(script.HandedBack(pool, 9, second))
    assert parking.take_released() == [] and len(parking) == 4
    assert parking.waiting(first, pool) == 3 and parking.waiting(Gate(), pool) == 0
    first.is_due = True
    assert [item.item for item in parking.take_released()] == [0], "one item tests the wait"
    pool.has_room = lambda: False
    assert parking.take_released() == [], "there is no thread for it"
    first.is_open = True
    assert [item.item for item in parking.take_released()] == [1, 2] and len(parking) == 1
    pool.has_room, second.is_due = lambda: True, True
    assert [item.item for item in parking.take_released()] == [9] and not parking


def test_a_full_pool_does_not_keep_another_from_testing_a_wait() -> None:
    gate, parking = Gate(), script.Parking()
    full: Any = Pool(has_room=lambda: False)
    free: Any = Pool(has_room=lambda: True)
    parking.add(script.HandedBack(full, 1, gate))
    parking.add(script.HandedBack(free, 2, gate))
    gate.is_due = True
    assert [item.item for item in parking.take_released()] == [2]


def test_items_that_are_handed_back_are_done_later_and_block_no_others() -> None:
    gate, done = Gate(), []
    tried: List[int] = []

    def work(number: int) -> int:
        tried.append(number)
        if number == 0 and not gate.is_open:
            raise script.HandBack(gate)
        return number

    for result in script.in_parallel(work, range(5), script.Stop(), threads=2):
        done += [] if result is None else [result]
        gate.is_open = len(done) == 4
    assert sorted(done) == [0, 1, 2, 3, 4] and done[-1] == 0 and tried.count(0) == 2


# =================================================================================================
# Lists
# =================================================================================================


class Numbered(NamedTuple):
    """The record of an entry in a list."""

    key: str


def listing(
    fails: Callable[[script.Page, int], Optional[script.RequestFailed]],
    total: int,
    expected: Optional[int],
) -> Tuple[script.PagedList, List[Tuple[int, int]]]:
    """Read a list, one page at a time; return it with the pages that were requested."""
    kind = script.ListKind("AlbumImage", lambda entry, expansions: entry, {})
    pages = script.PagedList("/x", kind, script.PageSize(100), expected)
    requested: List[Tuple[int, int]] = []
    while not pages.is_done():
        page = pages.next_page()
        assert page is not None
        requested.append((page.start, page.number))
        end = min(total, page.start + page.number - 1)
        error = fails(page, end)
        if error is not None:
            pages.add(page._replace(error=error))
            continue
        entries = tuple(Numbered(f"K{number}") for number in range(page.start, end + 1))
        pages.add(page._replace(entries=entries, received=len(entries), total=total))
    return pages, requested


def poison(*numbers: int) -> Callable[[script.Page, int], Optional[script.RequestFailed]]:
    """Return a fault of all pages that hold one of some entries."""

    def fails(page: script.Page, end: int) -> Optional[script.RequestFailed]:
        if any(page.start <= number <= end for number in numbers):
            return script.RequestFailed("SmugMug returned HTTP 500", is_overload=True)
        return None

    return fails


@pytest.mark.parametrize("expected", [None, 1234, 3, 0])
@pytest.mark.parametrize("numbers", [(1,), (737,), (1234,), (100, 101), tuple(range(500, 510))])
def test_entries_that_no_page_survives_cost_only_themselves(
    numbers: Tuple[int, ...], expected: Optional[int]
) -> None:
    pages, requested = listing(poison(*numbers), 1234, expected)
    others = [number for number in range(1, 1235) if number not in numbers]
    assert pages.entries() == [Numbered(f"K{number}") for number in others]
    noun = "entry" if len(numbers) == 1 else "entries"
    named = ", ".join(f"{number:,}" for number in numbers)
    assert pages.problem() == (
        f"{noun} {named} of the list could not be read: SmugMug returned HTTP 500"
    )
    assert len(requested) < 40 * (1 + len(numbers))


def test_unreadable_lists_are_abandoned_early() -> None:
    for expected in (None, 5000):
        with pytest.raises(script.RequestFailed, match="HTTP 500"):
            pages, requested = listing(poison(*range(1, 5001)), 5000, expected)
            assert len(requested) < 20
            pages.problem()


def test_lists_that_end_in_errors_are_abandoned() -> None:
    pages, requested = listing(poison(*range(301, 5001)), 5000, 5000)
    assert len(pages.entries()) == 300 and len(requested) < 100
    assert pages.problem().startswith("the listing stopped after 300 entries: ")


def test_a_refused_list_is_not_halved() -> None:
    def refuse(page: script.Page, end: int) -> Optional[script.RequestFailed]:
        return script.RequestFailed("SmugMug returned HTTP 403", status=403)

    pages, requested = listing(refuse, 300, 300)
    assert len(requested) == 1
    with pytest.raises(script.RequestFailed, match="HTTP 403"):
        pages.problem()


def test_a_later_page_that_fails_first_is_halved_after_the_others() -> None:
    kind = script.ListKind("AlbumImage", lambda entry, expansions: entry, {})
    pages = script.PagedList("/x", kind, script.PageSize(100), 200)
    first, second = pages.next_page(), pages.next_page()
    assert first is not None and second is not None
    pages.add(second._replace(error=script.RequestFailed("SmugMug returned HTTP 400", status=400)))
    while pages.next_page() is not None:
        pass  # the pages of the rest of the list
    entries = tuple(Numbered(f"K{number}") for number in range(1, first.end))
    pages.add(first._replace(entries=entries, received=len(entries), total=200))
    half = pages.next_page()
    assert half is not None and half.start == second.start
    assert half.number == (second.number + 1) // 2


def test_many_lost_entries_are_counted_not_named() -> None:
    lost = [script.Lost(number, 1, script.unanswered("broken")) for number in range(1, 31)]
    assert script.lost_entries(lost).startswith("entries 1, 2, 3, ")
    assert ", 20, 10 more of the list" in script.lost_entries(lost)


def test_threads_that_fail_together_halve_the_page_once() -> None:
    size = script.PageSize(100)
    for _ in range(8):
        size.shrink(100, 100)
    assert size.size == 50


def test_the_page_size_recovers_after_a_short_failure() -> None:
    size = script.PageSize(100)
    size.succeeded(100)
    for number in (100, 50, 25, 12):
        size.shrink(number, number)
    assert size.size == 10
    images = requests_made = 0
    while images < 6000:
        number = size.next(6000)
        requests_made += 1
        images += number
        size.succeeded(number)
    assert size.size == 100 and requests_made < 90


def test_a_page_that_is_too_large_for_good_is_tried_rarely() -> None:
    size = script.PageSize(100)
    size.succeeded(50)
    size.shrink(100, 100)
    failed = 0
    for _ in range(300):
        number = size.next(6000)
        if number > 60:
            size.shrink(number, number)
            failed += 1
        else:
            size.succeeded(number)
    assert size.size == 60 and 1 <= failed <= 6


# =================================================================================================
# What goes wrong on this computer
# =================================================================================================


def wrapped(error: Exception) -> Exception:
    """Return an error as requests wraps it."""
    reason = urllib3.exceptions.SSLError(error)
    pool: Any = None
    return urllib3.exceptions.MaxRetryError(pool, "/secret", reason)


@pytest.mark.parametrize(
    "variables, says",
    [
        ({"HTTPS_PROXY": "x"}, "HTTPS_PROXY"),
        ({"https_proxy": "x"}, "https_proxy"),
        ({"https_proxy": "x", "HTTPS_PROXY": "x"}, "HTTPS_PROXY"),
        ({"https_proxy": "x", "HTTPS_PROXY": "y"}, "https_proxy"),
        ({"ALL_PROXY": "x", "HTTPS_PROXY": ""}, "ALL_PROXY"),
        ({"all_proxy": "x"}, "all_proxy"),
        ({}, "the system's proxy settings"),
    ],
)
def test_advice_names_the_proxy_variable_in_force(
    monkeypatch: pytest.MonkeyPatch, variables: Dict[str, str], says: str
) -> None:
    for name in script.PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    failures = [
        script.proxy_failure("Connection refused", "api.smugmug.com"),
        script.proxy_failure("Tunnel connection failed: 407 Authentication Required", "x"),
        script.connection_failure(
            requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support."), "x"
        ),
        script.connection_failure(requests.exceptions.InvalidProxyURL("malformed"), "x"),
    ]
    assert [str(failure) for failure in failures if says not in str(failure)] == []
    assert [failure.transient for failure in failures] == [True, False, False, False]
    assert "(Connection refused)" in str(failures[0]) and "407" in str(failures[1])
    assert "user:password@" in str(failures[1]) and "PySocks" in str(failures[2])


@pytest.mark.parametrize(
    "variable, reason, says",
    [
        ("", "unable to get local issuer certificate", "set REQUESTS_CA_BUNDLE to a file"),
        ("REQUESTS_CA_BUNDLE", "self-signed certificate", "the file named in REQUESTS_CA_BUNDLE"),
        ("CURL_CA_BUNDLE", "self-signed certificate", "the file named in CURL_CA_BUNDLE"),
        ("REQUESTS_CA_BUNDLE", "Missing Authority Key Identifier", "Python 3.12"),
    ],
)
def test_advice_on_certificates_fits_the_reason(
    monkeypatch: pytest.MonkeyPatch, variable: str, reason: str, says: str
) -> None:
    for name in script.CERTIFICATE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "company.pem")
    text = f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {reason} (_ssl.c:1006)"
    refused = ssl.SSLCertVerificationError(1, text)
    failure = script.connection_failure(
        requests.exceptions.SSLError(wrapped(refused)), "api.smugmug.com"
    )
    assert "The certificate of api.smugmug.com cannot be verified (" in str(failure)
    assert f"{reason}). " in str(failure) and says in str(failure)
    assert "_ssl.c" not in str(failure) and "/secret" not in str(failure)


def test_a_missing_file_of_certificates_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/missing.pem")
    error = OSError("Could not find a suitable TLS CA certificate bundle: /missing.pem")
    failure = script.connection_failure(error, "api.smugmug.com")
    assert "/missing.pem. Check REQUESTS_CA_BUNDLE" in str(failure)


@pytest.mark.parametrize(
    "error, says",
    [
        (ValueError("Failed to parse: http://user:secret@[:1"), "Failed to parse:"),
        (
            ConnectionError("Connection aborted.", OSError(104, "Connection reset")),
            "Connection re",
        ),
        (OSError(), "OSError"),
    ],
)
def test_reasons_are_the_librarys_words_without_addresses(error: Exception, says: str) -> None:
    reason = script.library_reason(error)
    assert reason.startswith(says) and "secret" not in reason


def test_errors_that_caused_each_other_have_a_reason() -> None:
    first, second = OSError("reset"), OSError("reset")
    first.__cause__, second.__cause__ = second, first
    assert script.library_reason(first) == "reset"


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"Response": {"Caption": "x"}}',
        b'{"Response": {"Caption": "a\x01\tb\n"}}',
        b'{"Response": {"Caption": "caf\xe9 \xff"}}',
        b'\xef\xbb\xbf{"Response": {"Caption": "\x1f\xc3"}}',
    ],
)
def test_bad_bytes_in_json_cost_no_more_than_themselves(body: bytes) -> None:
    response: Any = SimpleNamespace(body=lambda: body)
    assert script.read_json(response)["Response"]["Caption"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"Response": []}', b"\x00" * 9])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    response: Any = SimpleNamespace(body=lambda: body)
    with pytest.raises(script.RequestFailed, match="an invalid API response") as refused:
        script.read_json(response)
    assert refused.value.transient and refused.value.is_overload


# =================================================================================================
# Connecting
# =================================================================================================


def swallowing_address() -> Tuple[List[socket.socket], Tuple[Any, ...]]:
    """Return an address that accepts no connection and refuses none, with what keeps it so."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    sockets = [listener]
    for _ in range(4):  # its queue is full then, and the system drops what else arrives
        waiting = socket.socket()
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
        sockets.append(waiting)
    return sockets, listener.getsockname()


def test_an_address_that_swallows_connections_delays_nothing() -> None:
    sockets, silent = swallowing_address()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(5)
        addresses = [
            (socket.AF_INET, socket.SOCK_STREAM, 0, address)
            for address in (silent, listener.getsockname())
        ]
        race = script.ConnectionRace([(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)])
        winner = race.run(addresses, 300.0)
        race.close()
        assert winner.getpeername() == listener.getsockname()
        winner.close()
    for each in sockets:
        each.close()


def test_connections_fail_with_the_systems_reason() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = closed.getsockname()
    refusing = (socket.AF_INET, socket.SOCK_STREAM, 0, address)
    impossible = (250, socket.SOCK_STREAM, 0, address)  # a family that no system has
    for addresses in ([refusing], [impossible, refusing]):
        race = script.ConnectionRace([])
        with pytest.raises(OSError) as failed:
            race.run(addresses, 300.0)
        race.close()
        assert failed.value.errno == errno.ECONNREFUSED
    race = script.ConnectionRace([])
    with pytest.raises(OSError, match="no address"):
        race.run([], 300.0)
    race.close()


def test_connections_are_given_up_in_time() -> None:
    sockets, silent = swallowing_address()
    race = script.ConnectionRace([])
    with pytest.raises(socket.timeout):
        race.run([(socket.AF_INET, socket.SOCK_STREAM, 0, silent)], 0.05)
    race.close()
    for each in sockets:
        each.close()


def test_addresses_that_fail_at_once_are_skipped() -> None:
    race = script.ConnectionRace([])
    with pytest.raises(OSError):
        race.run([(socket.AF_INET, socket.SOCK_STREAM, 0, ("255.255.255.255", 9))], 300.0)
    race.close()


def test_a_head_that_is_cut_before_its_socket_is_known_ends_at_once() -> None:
    ours, theirs = socket.socketpair()
    head = script.HeadWait(0.0)
    head.cut()
    within_tls: Any = SimpleNamespace(fileno=ours.fileno)  # what urllib3 has of TLS within TLS
    head.watch(within_tls)
    assert ours.recv(1) == b"" and theirs.recv(1) == b""
    head.cut()
    head.close()
    for each in (ours, theirs):
        each.close()


def test_pysocks_makes_the_connections_through_a_socks_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = socket.socketpair()

    class SocksConnection:
        """A connection of PySocks."""

        _socks_options = None  # its value does not matter

        def _new_conn(self) -> socket.socket:
            return ours

    adapter = script.Adapter()
    head = adapter.current.wait = script.HeadWait(0.0)
    pool = SimpleNamespace(ConnectionCls=SocksConnection)
    name = "get_connection_with_tls_context"
    parent = requests.adapters.HTTPAdapter
    monkeypatch.setattr(parent, name, lambda self: pool, raising=False)
    watched: Any = adapter.get_connection_with_tls_context().ConnectionCls
    assert adapter.get_connection_with_tls_context().ConnectionCls is watched
    assert watched()._new_conn() is ours
    head.cut()
    assert theirs.recv(1) == b"", "the connection was not watched"
    head.close()
    adapter.close()
    for each in (ours, theirs):
        each.close()
