"""Are camera times and timestamps computed correctly from SmugMug's dates?"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import download_smugmug_photos as script
from helpers import image_of
from reading import seconds

BUDGET = settings(max_examples=60, deadline=None, database=None, derandomize=True)


@pytest.mark.parametrize(
    "shown, clock",
    [
        ("2019-08-04T18:28:12+00:00", "2019-08-04T11:28:12"),
        ("2015-02-23T01:34:44+00:00", "2015-02-22T17:34:44"),
        ("2020-01-01T07:59:59+00:00", "2019-12-31T23:59:59"),
        ("2020-01-01T08:00:00+00:00", "2020-01-01T00:00:00"),
        ("1969-12-31T20:00:00+00:00", "1969-12-31T12:00:00"),
        ("1912-12-25T20:00:00+00:00", "1912-12-25T12:00:00"),
        ("2019-08-04T18:28:12", "2019-08-04T11:28:12"),
        ("", ""),
        ("2019-08-04", ""),
        ("2019-08-04T18+02:00", ""),
        ("0000-00-00T00:00:00+00:00", ""),
        ("0001-01-01T00:00:00+00:00", ""),
        ("2019-02-30T12:00:00+00:00", ""),
        ("2019-08-04T25:00:00+00:00", ""),
        ("2019-08-04 18:28:12 and more", ""),
        ("yesterday", ""),
    ],
)
def test_camera_times_are_smugmugs_less_the_hours_to_california(shown: str, clock: str) -> None:
    assert script.camera_time(shown) == clock


@BUDGET
@given(
    st.one_of(
        st.text(),
        st.from_regex(
            r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\+00:00", fullmatch=True
        ),
    )
)
def test_any_date_gives_a_time_or_none(shown: str) -> None:
    clock = script.camera_time(shown)
    assert clock == "" or datetime.strptime(clock, "%Y-%m-%dT%H:%M:%S").year in range(10_000)


@pytest.mark.parametrize(
    "first_day, last_day",
    [  # begin and end of daylight time
        (datetime(1970, 4, 26), datetime(1970, 10, 25)),
        (datetime(1973, 4, 29), datetime(1973, 10, 28)),
        (datetime(1976, 4, 25), datetime(1976, 10, 31)),
        (datetime(1986, 4, 27), datetime(1986, 10, 26)),
        (datetime(1987, 4, 5), datetime(1987, 10, 25)),
        (datetime(1999, 4, 4), datetime(1999, 10, 31)),
        (datetime(2006, 4, 2), datetime(2006, 10, 29)),
        (datetime(2007, 3, 11), datetime(2007, 11, 4)),
        (datetime(2015, 3, 8), datetime(2015, 11, 1)),
        (datetime(2024, 3, 10), datetime(2024, 11, 3)),
        (datetime(2040, 3, 11), datetime(2040, 11, 4)),
    ],
)
def test_daylight_time_in_california_follows_the_law_of_its_year(
    first_day: datetime, last_day: datetime
) -> None:
    begins, ends = first_day + timedelta(hours=2 + 8), last_day + timedelta(hours=2 + 7)
    moments = [begins - timedelta(seconds=1), begins, ends - timedelta(seconds=1), ends]
    assert [script.pacific_hours(moment) for moment in moments] == [-8, -7, -7, -8]
    new_year, new_years_eve = datetime(first_day.year, 1, 1), datetime(first_day.year, 12, 31)
    assert script.pacific_hours(new_year) == script.pacific_hours(new_years_eve) == -8


def california() -> Any:
    """Return California's time zone, or skip the test."""
    zoneinfo = pytest.importorskip(
        "zoneinfo", reason="zoneinfo came with Python 3.9: only fixed dates are tested here"
    )
    try:
        return zoneinfo.ZoneInfo("America/Los_Angeles")
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip(
            "no time zone database on this machine (pip install tzdata): only fixed dates tested"
        )


@pytest.mark.parametrize("first_year", range(1976, 2036, 10))
def test_hours_to_california_match_the_time_zone_database(first_year: int) -> None:
    zone = california()
    moment, end = datetime(first_year, 1, 1), datetime(first_year + 10, 1, 1)
    hour = timedelta(hours=1)
    while moment < end:
        expected = zone.fromutc(moment.replace(tzinfo=zone)).utcoffset()
        assert script.pacific_hours(moment) * hour == expected, moment
        moment += hour


UPLOADED = datetime(2020, 3, 1, 12, 34, 56)


@pytest.mark.parametrize(
    "shown, utc",
    [
        ("2019-08-04T18:28:12+00:00", "2019-08-04T18:28:12+00:00"),
        ("2019-08-04T20:28:12+02:00", "2019-08-04T18:28:12+00:00"),
        ("2019-08-04T11:28:12-0700", "2019-08-04T18:28:12+00:00"),
        ("2019-08-04T23:58:12+05:30", "2019-08-04T18:28:12+00:00"),
        ("2019-08-05T03:28:12+09", "2019-08-04T18:28:12+00:00"),
        ("2019-08-04T18:28:12Z", "2019-08-04T18:28:12+00:00"),
        ("2019-08-04T18:28:12.345+00:00", "2019-08-04T18:28:12+00:00"),
        ("2019-08-04T18:28:12", "2019-08-04T18:28:12+00:00"),
        ("0001-01-01T00:00:00+01:00", "0001-01-01T00:00:00+01:00"),
        ("yesterday", "yesterday"),
        ("", ""),
    ],
)
def test_offsets_of_times_are_taken_into_account(shown: str, utc: str) -> None:
    assert script.utc_text(shown) == utc
    if utc.startswith("2019"):
        assert script.camera_time(shown) == "2019-08-04T11:28:12"
        assert script.seconds_at(shown) == seconds(datetime(2019, 8, 4, 18, 28, 12))
        assert image_of(DateTimeUploaded=shown).uploaded == utc


@pytest.mark.parametrize(
    "taken, uploaded, expected",
    [
        (
            "2019-08-04T18:28:12+00:00",
            "2020-03-01T12:34:56+00:00",
            seconds(datetime(2019, 8, 4, 11, 28, 12), 5.5),
        ),
        ("", "2020-03-01T12:34:56+00:00", seconds(UPLOADED)),
        ("", "2020-03-01T12:34:56", seconds(UPLOADED)),
        ("nonsense", "2020-03-01T12:34:56+00:00", seconds(UPLOADED)),
        ("", "", None),
        ("", "nonsense", None),
    ],
)
@pytest.mark.skipif(
    not hasattr(time, "tzset"),
    reason="the time zone of a running process cannot be changed on Windows",
)
def test_camera_times_are_local_and_upload_times_utc(
    monkeypatch: pytest.MonkeyPatch, taken: str, uploaded: str, expected: Optional[float]
) -> None:
    monkeypatch.setenv("TZ", "IST-5:30")
    time.tzset()
    try:
        assert (
            script.file_time(image_of(DateTimeOriginal=taken, DateTimeUploaded=uploaded))
            == expected
        )
    finally:
        monkeypatch.undo()
        time.tzset()


def test_times_the_system_cannot_express_fall_back_to_the_upload(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def overflow(moment: Any) -> float:
        # Windows refuses times before 1970
        raise OverflowError("mktime argument out of range")

    monkeypatch.setattr(time, "mktime", overflow)
    image = image_of(
        DateTimeOriginal="1955-06-01T19:00:00+00:00", DateTimeUploaded="2020-03-01T12:34:56+00:00"
    )
    assert script.file_time(image) == seconds(UPLOADED)
