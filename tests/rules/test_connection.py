"""Is each response understood, each failure retried as it should be, and no other host trusted?"""

from __future__ import annotations

import io
import socket
import time
from types import SimpleNamespace
from typing import Any, Dict, List, Optional

import pytest
import requests
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st

import download_smugmug_photos as script

BUDGET = settings(max_examples=60, deadline=None, database=None, derandomize=True)


# =================================================================================================
# Retries
# =================================================================================================


def failure(transient: bool = True) -> Any:
    """Make a failed request."""
    return script.RequestFailed("it failed", transient=transient)


def test_delays_double_and_end_with_the_fifth_attempt() -> None:
    assert [script.retry_delay(failure(), attempt, 1.0) for attempt in range(1, 7)] == [
        0.5,
        1.0,
        2.0,
        4.0,
        None,
        None,
    ]


def test_delays_are_spread_over_their_upper_half() -> None:
    assert [script.retry_delay(failure(), 3, chance) for chance in (0.0, 0.5, 1.0)] == [
        1.0,
        1.5,
        2.0,
    ]


def test_permanent_failures_are_not_retried() -> None:
    assert script.retry_delay(failure(transient=False), 1, 0.5) is None


SERVER_DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
SERVER_NOW = 1445412480.0
LOCAL_NOW = SERVER_NOW + 5000.0  # a clock that is wrong


@pytest.mark.parametrize(
    "headers, seconds",
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": " 7 "}, 7),
        ({"Retry-After": "0"}, 1),
        ({"Retry-After": "86400"}, 86400),
        (
            {
                "Retry-After": "7",
                "X-RateLimit-Reset": str(int(SERVER_NOW) + 99),
                "Date": SERVER_DATE,
            },
            7,
        ),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT", "Date": SERVER_DATE}, 30),
        ({"Retry-After": "Wed, 21 Oct 2015 07:27:30 GMT", "Date": SERVER_DATE}, 1),
        ({"Retry-After": "Wed, 21 Oct 2015 08:51:50 GMT"}, 30),
        ({"X-RateLimit-Reset": str(int(SERVER_NOW) + 42), "Date": SERVER_DATE}, 42),
        ({"X-RateLimit-Reset": str(int(LOCAL_NOW) + 42)}, 42),
        ({"X-RateLimit-Reset": str(int(SERVER_NOW) - 42), "Date": SERVER_DATE}, 1),
        (
            {
                "Retry-After": "soon",
                "X-RateLimit-Reset": str(int(SERVER_NOW) + 42),
                "Date": SERVER_DATE,
            },
            42,
        ),
        ({}, 60),
        ({"Retry-After": "soon"}, 60),
        ({"Retry-After": "-5"}, 60),
        ({"Retry-After": "\u0667"}, 60),
        ({"X-RateLimit-Reset": "never"}, 60),
        ({"X-RateLimit-Reset": "-1"}, 60),
        ({"Retry-After": "", "X-RateLimit-Reset": ""}, 60),
    ],
)
def test_a_429_sets_the_wait(headers: Dict[str, str], seconds: float) -> None:
    response = requests.structures.CaseInsensitiveDict(headers)
    assert script.rate_limit_seconds(response, LOCAL_NOW) == seconds


@BUDGET
@given(after=st.text(max_size=30), reset=st.text(max_size=12), date=st.text(max_size=30))
def test_every_429_waits_at_least_a_second(after: str, reset: str, date: str) -> None:
    headers = {"Retry-After": after, "X-RateLimit-Reset": reset, "Date": date}
    assert script.rate_limit_seconds(headers, LOCAL_NOW) >= 1.0


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Kolkata"])
@pytest.mark.parametrize(
    "text, seconds",
    [
        (SERVER_DATE, SERVER_NOW),
        ("Wednesday, 21-Oct-15 07:28:00 GMT", SERVER_NOW),
        ("Wed Oct 21 07:28:00 2015", SERVER_NOW),
        ("Wed, 21 Oct 2015 07:28:00 -0000", SERVER_NOW),
        ("Wed, 21 Oct 2015 09:28:00 +0200", SERVER_NOW),
    ],
)
def test_http_dates_mean_the_same_moment_in_every_zone(
    monkeypatch: pytest.MonkeyPatch, zone: str, text: str, seconds: float
) -> None:
    if not hasattr(time, "tzset"):
        pytest.skip("this system cannot change its zone")
    try:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", zone)
            time.tzset()
            assert script.http_date(text) == seconds
    finally:
        time.tzset()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "yesterday",
        "Wed, 99 Oct 2015 07:28:00 GMT",
        "Wed, 21 Oct 99999 07:28:00 GMT",
        "\x00",
        ",",
    ],
)
def test_malformed_http_dates_are_ignored(text: str) -> None:
    assert script.http_date(text) is None


# =================================================================================================
# Trusted hosts
# =================================================================================================


@pytest.mark.parametrize(
    "url",
    [
        "https://api.smugmug.com/api/v2!authuser",
        "https://photos.smugmug.com/Family/i-KEY/0/hash/D/IMG_1-D.jpg?a=b#c",
        "https://smugmug.com/",
        "https://a.b-c.smugmug.com/x",
        "https://photos.smugmug.com:443/x",
        "HTTPS://Photos.SmugMug.COM/x",
        "https://photos.smugmug.com/https://evil.example/",
    ],
)
def test_urls_of_smugmug_are_trusted(url: str) -> None:
    assert script.is_smugmug(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://photos.smugmug.com/x",
        "ftp://photos.smugmug.com/x",
        "file:///etc/passwd",
        "//photos.smugmug.com/x",
        "/x",
        "",
        "https://",
        "https:///x",
        "https:photos.smugmug.com/x",
        "https://evil.example/smugmug.com",
        "https://smugmug.com.evil.example/",
        "https://evilsmugmug.com/",
        "https://evil-smugmug.com/",
        "https://photos.smugmug.com@evil.example/",
        "https://user:password@photos.smugmug.com/",
        "https://evil.example#photos.smugmug.com",
        "https://evil.example?photos.smugmug.com",
        "https://evil.example\\.smugmug.com/",
        "https://photos.smugmug.com\\@evil.example/",
        "https://evil.example\\@photos.smugmug.com/",
        "https://photos.smugmug.com:8443/",
        "https://photos.smugmug.com:80/",
        "https://photos.smugmug.com.:443/",
        "https://photos.smugmug.comx/",
        "https://[::1]/",
        "https://[photos.smugmug.com]/",
        "https://[/",
        "https://photos.smugmug.com%2eevil.example/",
        "https://evil.example%2f.smugmug.com/",
        "https://photos.smugmug.com\uff0fevil.example/",
        "https://photos.smugmug.com\u3002evil.example/",
        "https://.smugmug.com/",
        "https://a..smugmug.com/",
        "https://a_b.smugmug.com/",
        "https://evil.example/\n.smugmug.com",
        "https://127.0.0.1/",
        "javascript:alert(1)",
        "https://ph\u00f6tos.smugmug.com/",
        "https://photos.smugmug.com\t/x",
        "https://photos.smugmug.com\n",
        " https://photos.smugmug.com/",
        "https://photos.\u017fmugmug.com/",
    ],
)
def test_urls_of_other_hosts_are_not_trusted(url: str) -> None:
    assert not script.is_smugmug(url)


@BUDGET
@given(
    url=st.lists(
        st.one_of(
            st.sampled_from(
                [
                    "https://",
                    "http://",
                    "photos",
                    ".",
                    "smugmug.com",
                    "evil.example",
                    "/",
                    "\\",
                    "@",
                    ":",
                    "443",
                    "#",
                    "?",
                    "%2e",
                    "\t",
                    "\n",
                ]
            ),
            st.text(max_size=2),
        ),
        max_size=8,
    ).map("".join)
)
def test_trusted_urls_lead_requests_to_smugmug_as_well(url: str) -> None:
    if script.is_smugmug(url):
        target = requests.compat.urlparse(str(requests.Request("GET", url).prepare().url))
        assert target.scheme == "https"
        assert target.hostname is not None and ("." + target.hostname).endswith(".smugmug.com")
        assert target.port in (None, 443) and target.username is None


# =================================================================================================
# Error responses
# =================================================================================================


ACCEPT_URL = "https://api.smugmug.com/api/developer/accept"


@pytest.mark.parametrize(
    "body, message",
    [
        (b'{"Code":401,"Message":"oauth_problem=nonce_used"}', "oauth_problem=nonce_used"),
        (b'{"Code":401,"Message":"oauth_problem%3Dnonce_used"}', "oauth_problem=nonce_used"),
        (
            b"oauth_problem=parameter_absent&oauth_parameters_absent=oauth_token",
            "oauth_problem=parameter_absent&oauth_parameters_absent=oauth_token",
        ),
        (b"<!DOCTYPE html><html>Forbidden</html>", ""),
        (b"  <html>", ""),
        (b"", ""),
        (b'{"Code":500}', ""),
        (b'{"Message":null}', ""),
        (b'["Message"]', ""),
        (b'{"Message":{"a":1}}', "{'a': 1}"),
        (b'{"Message":"\\u001b[31mred"}', "\ufffd[31mred"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 1000, "x" * 300),
        (b"[" * 100_000, "[" * 300),
    ],
)
def test_error_messages_are_found_in_responses(body: bytes, message: str) -> None:
    assert script.server_message(body) == message


@pytest.mark.parametrize(
    "message, kind, exit_code, transient, advice",
    [
        ("oauth_problem=nonce_used", script.RequestFailed, 2, True, "nonce_used"),
        (
            "oauth_problem=consumer_key_unknown",
            script.UnknownKey,
            2,
            None,
            "does not know this API key",
        ),
        (
            "oauth_problem=signature_invalid&debug_sbs=GET&oauth_consumer_key=...",
            script.SignatureRefused,
            2,
            False,
            "secret probably does not belong to this API key",
        ),
        ("oauth_problem=signature_invalid", script.SignatureRefused, 2, False, "secret probably"),
        ("oauth_problem=timestamp_refused", script.Problem, 2, None, "clock"),
        ("oauth_problem=token_rejected", script.NotSignedIn, 3, None, "revoked"),
        ("oauth_problem=token_expired", script.NotSignedIn, 3, None, "revoked"),
        ("oauth_problem=permission_denied", script.RequestFailed, 2, False, "permission_denied"),
        (
            f"API key lacks v2 access; please accept the terms of service at {ACCEPT_URL}",
            script.Problem,
            2,
            None,
            "\nhttps://api.smugmug.com/api/developer/accept",
        ),
        (
            "please accept the terms of service at https://api.smugmug.com/elsewhere.",
            script.Problem,
            2,
            None,
            "\nhttps://api.smugmug.com/elsewhere",
        ),
        (
            "please accept the terms of service",
            script.Problem,
            2,
            None,
            "\nhttps://api.smugmug.com/api/developer/accept",
        ),
        ("", script.RequestFailed, 2, False, "401"),
        ("something new", script.RequestFailed, 2, False, "401"),
    ],
)
def test_each_cause_of_a_401_has_its_own_advice(
    message: str, kind: type, exit_code: int, transient: Optional[bool], advice: str
) -> None:
    problem = script.explain_401(message, f'SmugMug returned HTTP 401 "{message}"', 0.0)
    assert type(problem) is kind
    assert problem.exit_code == exit_code
    assert getattr(problem, "transient", None) == transient
    assert advice in str(problem)
    is_explained = message and message not in str(problem)
    assert is_explained or "401" in str(problem)  # SmugMug's own words stand in for advice


def test_the_error_of_a_wrong_clock_is_stated() -> None:
    problem = script.explain_401("oauth_problem=timestamp_refused", "401", 60.0)
    assert "60 minutes" in str(problem)
    # signed by SmugMug's clock, it may pass
    assert isinstance(problem, script.RequestFailed) and problem.transient


def test_advice_never_repeats_a_foreign_address() -> None:
    problem = script.explain_401(
        "accept the terms of service at https://evil.example/pay", "401", 0.0
    )
    assert str(problem).splitlines()[-1] == "https://api.smugmug.com/api/developer/accept"


# =================================================================================================
# Responses and waits
# =================================================================================================


@pytest.mark.parametrize("url", ["https://[/x", "https://photos.smugmug.com.evil.example/x"])
def test_foreign_and_malformed_addresses_are_refused(
    url: str,
) -> None:
    connection = script.Connection(script.Credentials("key", "secret"), 5.0, script.Stop())
    with pytest.raises(script.RequestFailed, match="Refused to contact"):
        connection.get(url, script.Response.body)


@pytest.mark.parametrize(
    "header, length",
    [("8", 8), ("8, 8", 8), ("8,8 , 8", 8), ("8, 9", None), ("", None), ("-1", None), ("x", None)],
)
def test_a_length_that_is_sent_twice_is_one(header: str, length: Any) -> None:
    raw = requests.Response()
    raw.headers["Content-Length"] = header
    connection = script.Connection(script.Credentials("key", "secret"), 5.0, script.Stop())
    assert script.Response(raw, "https://photos.smugmug.com/x", connection).length == length


def test_a_body_that_makes_progress_shows_that_its_host_is_reachable() -> None:
    raw = requests.Response()
    connection = script.Connection(script.Credentials("key", "secret"), 5.0, script.Stop())
    response = script.Response(raw, "https://photos.smugmug.com/x", connection)
    told: List[bool] = []
    host: Any = SimpleNamespace(answered=lambda: told.append(True))
    response._host = host
    response._is_new = False
    for received in (script.CHUNK_BYTES, 100 * script.CHUNK_BYTES):
        response.received_bytes = received
        response.check_progress()
    assert told == [True] and not response.is_slow


def test_bodies_shorter_than_announced_count_as_truncated() -> None:
    raw = requests.Response()
    raw.headers["Content-Length"] = "8"
    raw.raw = urllib3.HTTPResponse(
        io.BytesIO(b"1234"), preload_content=False, enforce_content_length=False
    )
    connection = script.Connection(script.Credentials("key", "secret"), 5.0, script.Stop())
    response = script.Response(raw, "https://photos.smugmug.com/x", connection)
    arrived: List[bytes] = []
    with pytest.raises(
        script.RequestFailed, match=r"photos\.smugmug\.com was interrupted"
    ) as failed:
        arrived.extend(response.chunks())
    assert arrived == [b"1234"]
    assert failed.value.transient and response.received_bytes == 4


@pytest.mark.parametrize(
    "error, says",
    [
        (socket.gaierror(-2, "Name or service not known"), ": host not found. Are you online?"),
        (
            socket.gaierror(-3, "Temporary failure in name resolution"),
            ": host not found. Are you online?",
        ),
        (socket.gaierror(-2, "Name does not resolve"), ": host not found. Are you online?"),
        (
            socket.gaierror(-5, "No address associated with hostname"),
            ": host not found. Are you online?",
        ),
        (
            socket.gaierror(8, "nodename nor servname provided, or not known"),
            ": host not found. Are you online?",
        ),
        (socket.gaierror(11001, "getaddrinfo failed"), ": host not found. Are you online?"),
        (
            ConnectionRefusedError(111, "Connection refused"),
            ": connection refused. Check your firewall, proxy or virus scanner",
        ),
        (OSError(101, "Network is unreachable"), ": network unreachable. Are you online?"),
        (OSError(5, "Something else"), ""),
    ],
)
def test_connection_failures_carry_the_systems_reason(
    monkeypatch: pytest.MonkeyPatch, error: OSError, says: str
) -> None:
    def fail(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(requests.RequestException) as failed:
        requests.get("https://api.smugmug.com/")
    failure = script.connection_failure(failed.value, "api.smugmug.com")
    assert (
        str(failure) == f"The connection to api.smugmug.com failed or was interrupted{says}"
        and failure.transient
    )


# =================================================================================================
# Bodies
# =================================================================================================


def test_large_bodies_are_read_in_larger_pieces_while_fast() -> None:
    host = script.Host("photos.smugmug.com", 3600.0, lambda: 0.0)
    connection: Any = SimpleNamespace(
        bodies=set(),
        host=lambda url: host,
        piece_bytes=1 << 16,
        is_quick=False,
        slow_seconds=60.0,
        received_bytes=0,
        rate_limit=None,
        file_bytes=0,
    )
    pieces: List[int] = []

    def read(size_bytes: int, is_slow: bool = False) -> None:
        def iter_content(piece_bytes: int) -> Any:
            pieces.append(piece_bytes)
            yield bytes(size_bytes)

        raw: Any = SimpleNamespace(status_code=200, headers={}, iter_content=iter_content)
        response = script.Response(raw, "https://photos.smugmug.com/a", connection)
        response.is_slow = is_slow
        for _ in response.chunks():
            pass

    read(100)
    read(2 << 20)
    read(2 << 20)
    with pytest.raises(script.RequestFailed, match="sent almost no data"):
        read(0, is_slow=True)
    read(100)
    assert pieces == [1 << 16, 1 << 16, 1 << 18, 1 << 18, 1 << 16]
