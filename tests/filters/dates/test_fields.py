"""Which time the fields of a date mean."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardhooks.filters.dates import DateDetector
from guardhooks.filters.dates.defaults import DEFAULTS

MOMENTS = st.integers(946684800, 1893455999).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))  # 2000 to 2029
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 16, 16, 37, tzinfo=BERLIN).timestamp()


def local(pattern: str, line: str, now: float = NOW) -> str | None:
    """The local time in Berlin of the date in `line`; the empty text if it is impossible."""
    found = DateDetector([pattern], default_zone=BERLIN).find(line, now)
    if found is None:
        return None
    return "" if found.time is None else datetime.fromtimestamp(found.time, BERLIN).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    ("pattern", "line", "expected"),
    [
        ("%H:%M", "01:02", "2026-11-22 01:02:00"),
        ("%H:%M", "23:02", "2026-11-21 23:02:00"),
        ("%H:%M:%S", "16:16:37", "2026-11-22 16:16:37"),
        ("%H:%M:%S", "16:16:38", "2026-11-21 16:16:38"),
        ("%Y", "2005", "2005-11-22 00:00:00"),
        ("%Y %H", "2005 04", "2005-11-22 04:00:00"),
        ("%Y-%m", "2005-03", "2005-03-01 00:00:00"),
        ("%b %Y", "mar 2005", "2005-03-01 00:00:00"),
        ("%m %H", "03 04", "2026-03-01 04:00:00"),
        ("%d %H:%M", "14 05:06", "2026-11-14 05:06:00"),
        ("%d %H:%M", "31 05:06", "2026-10-31 05:06:00"),
        ("%y-%m-%d", "99-02-03", "2099-02-03 00:00:00"),
        ("%Y-%m-%d %I:%M", "2005-03-04 12:10", "2005-03-04 00:10:00"),
        ("%Y-%m-%d %I:%M %p", "2005-03-04 12:10 pm", "2005-03-04 12:10:00"),
        ("%Y-%m-%d %I:%M %p", "2005-03-04 01:10 PM", "2005-03-04 13:10:00"),
        ("%Y-%m-%d %l:%M %p", "2005-03-04 17:10 PM", ""),
        ("%Y %j", "2005 032", "2005-02-01 00:00:00"),
        ("%Y %j", "2005 366", ""),
        ("%Y %j", "2004 366", "2004-12-31 00:00:00"),
        ("%j", "032", "2026-02-01 00:00:00"),
        ("%Y %U %w", "2005 10 3", "2005-03-09 00:00:00"),
        ("%Y %W %a", "2005 10 Sun", "2005-03-13 00:00:00"),
        ("%Y-%m-%d %H:%M:%S", "2016-12-31 23:59:60", "2017-01-01 00:00:00"),
        ("%Y-%m-%d %k:%M", "2005-06-07 27:02", ""),
        ("%Y-%m-%d", "2005-02-29", ""),
        ("%Y-%m-%d", "0000-02-03", ""),
        ("%b %d", "Feb 29", ""),
        ("%b %d", "Dec 31", "2025-12-31 00:00:00"),
        ("%b %d %H", "Nov 23 10", "2026-11-23 10:00:00"),
        ("%b %d %H", "Nov 24 10", "2025-11-24 10:00:00"),
        ("%c", "Sun Nov 22 10:11:12 2026", "2026-11-22 10:11:12"),
        ("%x %X", "11/22/26 10:11:12", "2026-11-22 10:11:12"),
        ("%B %d %Y", "march 3 2005", "2005-03-03 00:00:00"),
        ("TAI64N", "@4000000042ff14a80d5a6c34", "2005-08-14 11:53:44"),
        ("%Y-%m-%d %H %z", "2005-06-07 01 -02:30", "2005-06-07 05:30:00"),
        ("%Y-%m-%d %H %z", "2005-06-07 01 UTC", "2005-06-07 03:00:00"),
        ("%Y-%m-%d %H %Exz", "2005-06-07 01 EST+0200", "2005-06-07 06:00:00"),
        ("%Y-%m-%d %H %Exz", "2005-06-07 01 B", "2005-06-07 01:00:00"),
        ("%Y-%m-%d %H %Z", "2005-06-07 01 PST", "2005-06-07 11:00:00"),
        ("%Y-%m-%d %H %Z", "2005-06-07 01 ABC", "2005-06-07 01:00:00"),
        ("%Y-%m-%dT%H:%M:%S(?:[.,]%f)?%z", "2005-06-07T01:02:03.123456789Z", "2005-06-07 03:02:03"),
    ],
)
def test_time(pattern: str, line: str, expected: str):
    assert local(pattern, line) == expected


@pytest.mark.parametrize(
    ("pattern", "line", "expected"),
    [
        ("EPOCH", "1124013600", 1124013600.0),
        ("EPOCH", "1124013600.123", 1124013600.123),
        ("LEPOCH", "1124013600123", 1124013600.123),
        ("LEPOCH", "1124013600123456", 1124013600.123456),
        ("LEPOCH", "1124013600123.25", 1124013600.12325),
    ],
)
def test_epoch_keeps_its_fraction(pattern: str, line: str, expected: float):
    found = DateDetector([pattern]).find(line, NOW)
    assert found is not None
    assert found.time == pytest.approx(expected, abs=1e-6)


def test_a_date_without_year_is_never_more_than_a_day_ahead_as_time_goes_by():
    detector = DateDetector(["%b %d %H:%M:%S"], timezone="UTC")
    line = "Dec 31 00:00:05"
    for year, month, day, second, expected in [
        (2025, 12, 29, 59, 2024), (2025, 12, 30, 4, 2024), (2025, 12, 30, 5, 2025), (2025, 12, 30, 59, 2025),
        (2025, 12, 31, 59, 2025), (2026, 1, 1, 0, 2025), (2026, 12, 30, 5, 2026), (2026, 12, 30, 4, 2025),
    ]:  # fmt: skip
        found = detector.find(line, datetime(year, month, day, 0, 0, second, tzinfo=UTC).timestamp())
        assert found is not None
        assert found.time == datetime(expected, 12, 31, 0, 0, 5, tzinfo=UTC).timestamp()


def test_a_time_of_day_moves_on_at_midnight_and_when_it_is_reached():
    detector = DateDetector(["%H:%M:%S"], timezone="UTC")
    for day, hour, second, expected in [
        (10, 9, 59, 9), (10, 10, 29, 9), (10, 10, 30, 10), (10, 10, 31, 10), (10, 23, 0, 10), (11, 0, 0, 10),
        (11, 11, 0, 11),
    ]:  # fmt: skip
        found = detector.find("10:00:30", datetime(2026, 5, day, hour, 0, second, tzinfo=UTC).timestamp())
        assert found is not None
        assert found.time == datetime(2026, 5, expected, 10, 0, 30, tzinfo=UTC).timestamp()


@pytest.fixture
def posix_zone() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "CET-01CEST-02,M3.5.0,M10.5.0"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("posix_zone")
def test_the_machines_zone_has_daylight_saving():
    detector = DateDetector()
    for line, utc in [("Aug 14 11:55:04", 9), ("Jan 14 11:55:04", 10)]:
        found = detector.find(line, 1124013600.0)
        assert found is not None
        assert datetime.fromtimestamp(found.time or 0, UTC).hour == utc


# Each default pattern as strftime writes it.
WRITTEN = [
    "%Y-%m-%dT%H:%M:%S.%f%z", "%a %b %d %H:%M:%S %Y", "%a %b %d %Y %H:%M:%S.%f", "%d/%m/%Y %H:%M:%S",
    "%d/%b/%Y:%H:%M:%S %z", "%m/%d/%Y:%H:%M:%S", "%m-%d-%Y %H:%M:%S.%f", "EPOCH", "%H:%M:%S", "<%m/%d/%y@%H:%M:%S>",
    "%y%m%d %H:%M:%S", "%b %d, %Y %I:%M:%S %p", "%b-%d-%y %H:%M:%S", "%Y%m%d %H%M%S", "CET %a %b %d %H:%M:%S %Y",
    "%z %a %b %d %H:%M:%S %Y", "TAI64N",
]  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(
    MOMENTS,
    st.sampled_from(list(zip(DEFAULTS, WRITTEN, strict=True))),
    st.sampled_from(["", "x "]),
)
def test_defaults_agree_with_strftime(moment: datetime, pair: tuple[str, str], before: str):
    pattern, written = pair
    moment = moment.replace(microsecond=0)
    text = {"EPOCH": f"{int(moment.timestamp()):010}", "TAI64N": f"@4{int(moment.timestamp()):015x}00000000"}.get(
        written, moment.strftime(written)
    )
    anchored = pattern.startswith(("^", "{^LN-BEG}")) or pattern == "EPOCH"
    line = f"{'' if anchored else before}{text} rest"
    found = DateDetector([pattern], timezone="UTC").find(line, moment.timestamp())
    assert found is not None
    shift = 3600 if written.startswith("CET") else 0
    assert (found.time or 0) + shift == moment.timestamp()
    assert line[found.end :] == " rest"
    among_all = DateDetector(timezone="UTC").find(line, moment.timestamp())
    assert among_all is not None
    assert among_all.start == found.start


DIRECTIVES = [
    ("%Y-%m-%d", timedelta(days=1)), ("%ExY-%Exm-%Exd", timedelta(days=1)), ("%y %b %d %k", timedelta(hours=1)),
    ("%Exy %B %d %Exk", timedelta(hours=1)), ("%Y %j %H:%M", timedelta(minutes=1)),
    ("%Y %U %w %ExH", timedelta(hours=1)), ("%Y %W %A", timedelta(days=1)), ("%G %V %u", timedelta(days=1)),
    ("%c", timedelta(seconds=1)), ("%x %X", timedelta(seconds=1)),
    ("%a %d %b %Y %I:%ExM:%ExS %p", timedelta(seconds=1)), ("%Y%m%d %l:%M %p %z", timedelta(minutes=1)),
]  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(MOMENTS, st.sampled_from(DIRECTIVES))
def test_directives_agree_with_strftime(moment: datetime, directive: tuple[str, timedelta]):
    pattern, resolution = directive
    text = moment.strftime(pattern.replace("Ex", ""))
    found = DateDetector([pattern], timezone="UTC").find(text, NOW)
    assert found is not None
    assert found.time == moment.timestamp() // resolution.total_seconds() * resolution.total_seconds()


TURN = 1792890000.0  # 2026-10-25 01:00:00 UTC: in Berlin 03:00 becomes 02:00


@pytest.mark.parametrize(
    ("pattern", "line"), [(r"%Y-%m-%d %H:%M:%S", "2026-10-25 02:18:07"), (r"%b %d %H:%M:%S", "Oct 25 02:18:07")]
)
@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (TURN - 2400, TURN - 2513),
        (TURN + 1200, TURN + 1087),
        (TURN + 7200, TURN + 1087),
        (TURN - 3600 + 1090, TURN - 2513),
    ],
)
def test_in_the_hour_after_clocks_go_back_a_date_is_the_latest_that_has_been(
    pattern: str, line: str, now: float, expected: float
) -> None:
    detector = DateDetector([pattern], default_zone=BERLIN)
    for moment in (now, TURN - 2400, now):  # an earlier reading must not be remembered for longer than it holds
        found = detector.find(line, moment)
        assert found is not None
    assert found.time == expected
