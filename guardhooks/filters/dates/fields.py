"""From the named fields of a date pattern to epoch seconds, and how long that answer holds.

A date without year, or without day, means the latest such date that is not in the future; so the answer depends on now.
"""

import math
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final, NamedTuple

from guardhooks.filters.dates.language import DAYS, MONTHS
from guardhooks.filters.dates.zones import Calendar, parse_zone

_DAY: Final = 86400.0
_FOLD_SLACK: Final = 60.0
"""Seconds that a repeated time may be in the future: clocks differ."""
_ONE_DAY: Final = timedelta(days=1)

Fields = Mapping[str, str]


class Resolved(NamedTuple):
    """An epoch time (None: there is no such date), valid while `since <= now < until`."""

    time: float | None
    since: float = -math.inf
    until: float = math.inf


def resolve(fields: Fields, calendar: Calendar, now: float) -> Resolved:
    """The time of `fields`, in epoch seconds; `calendar` applies if they name no known zone."""
    try:
        if "epoch" in fields:
            return Resolved(_epoch(fields["epoch"]))
        if "tai" in fields:  # @, a hex digit that is always 4, 15 of seconds, 8 of nanoseconds
            return Resolved(float(int(fields["tai"][2:17], 16)))
        name = fields.get("z") or fields.get("Z")
        return _civil(fields, (parse_zone(name) if name else None) or calendar, now)
    except (ValueError, LookupError, OverflowError, OSError):
        return Resolved(None, now, now)


def _epoch(text: str) -> float:
    """An epoch number in seconds; with 13 digits or more milliseconds, with 16 or more microseconds."""
    whole = len(text.partition(".")[0])
    return float(text) / (1 if whole < 13 else 1_000 if whole < 16 else 1_000_000)


def _civil(fields: Fields, calendar: Calendar, now: float) -> Resolved:
    clock = (_hour(fields), int(fields.get("M", 0)), int(fields.get("S", 0)))
    found = _first(fields, clock, calendar, now)
    if not calendar.repeated or found.time is None:
        return found
    second = calendar.repeated.get(found.time - clock[2])
    return found if second is None else _latest(found, second - found.time + clock[2], now)


def _latest(found: Resolved, later: float, now: float) -> Resolved:
    """Of two times that a date means when clocks go back, the latest that is not in the future."""
    assert found.time is not None
    turn = found.time + later - _FOLD_SLACK
    if now < turn:
        return Resolved(found.time, found.since, min(found.until, turn))
    return Resolved(found.time + later, max(found.since, turn), found.until)


def _first(fields: Fields, clock: tuple[int, int, int], calendar: Calendar, now: float) -> Resolved:
    today, dawn, midnight = calendar.day(now)
    year, month, day = _calendar(fields, today)
    if year is not None and (month is not None or day is not None):
        return Resolved(calendar.epoch(date(year, today.month if month is None else month, day or 1), *clock))
    newest = _newest(year, month, day, today)
    slack = 0.0 if month is None and day is None else _DAY
    latest = calendar.epoch(newest, *clock)
    if latest <= now + slack:
        return Resolved(latest, max(dawn, latest - slack), midnight)
    return Resolved(calendar.epoch(_one_before(newest, month, day), *clock), dawn, min(midnight, latest - slack))


def _newest(year: int | None, month: int | None, day: int | None, today: date) -> date:
    """The date, completed with this year, this month, today."""
    if month is not None:
        return date(today.year, month, day or 1)
    if day is not None:
        return _same_day(today.year, today.month, day)
    return today if year is None else today.replace(year=year)


def _one_before(newest: date, month: int | None, day: int | None) -> date:
    if month is not None:
        return newest.replace(year=newest.year - 1)
    if day is not None:
        return _same_day(newest.year, newest.month - 1, day)
    return newest - _ONE_DAY


def _hour(fields: Fields) -> int:
    if "H" in fields:
        return int(fields["H"])
    if "I" not in fields:
        return 0
    hour = int(fields["I"])
    if not 1 <= hour <= 12:
        msg = f"no hour of a 12-hour clock: {hour}"
        raise ValueError(msg)
    return hour % 12 + (12 if fields.get("p", "").lower() == "pm" else 0)


def _calendar(fields: Fields, today: date) -> tuple[int | None, int | None, int | None]:
    """Year, month, day as far as given; day of the year, or week and weekday, replace month and day."""
    year = _year(fields)
    month = _month(fields)
    day = int(fields["d"]) if "d" in fields else None
    if month is not None or day is not None:
        return year, month, day
    if "G" in fields and "V" in fields:
        found = date.fromisocalendar(int(fields["G"]), int(fields["V"]), (_weekday(fields) or 0) + 1)
        return found.year, found.month, found.day
    replaced = _day_of_year(fields, today.year if year is None else year)
    if replaced is None:
        return year, None, None
    return (None if year is None else replaced.year), replaced.month, replaced.day


def _year(fields: Fields) -> int | None:
    if "Y" in fields:
        return int(fields["Y"])
    return 2000 + int(fields["y"]) if "y" in fields else None


def _month(fields: Fields) -> int | None:
    if "m" in fields:
        return int(fields["m"])
    name = fields.get("b") or fields.get("B")
    return None if name is None else MONTHS[name[:3].lower()]


def _weekday(fields: Fields) -> int | None:
    """0 is Monday."""
    if "w" in fields:
        return (int(fields["w"]) - 1) % 7
    if "u" in fields:
        return int(fields["u"]) - 1
    name = fields.get("a") or fields.get("A")
    return None if name is None else DAYS[name[:3].lower()]


def _day_of_year(fields: Fields, year: int) -> date | None:
    first = date(year, 1, 1)
    if "j" in fields:
        found = first + timedelta(days=int(fields["j"]) - 1)
        return found if found.year == year else date(year, 2, 30)  # raises: day 366 of a common year
    weekday = _weekday(fields)
    if weekday is None or not ("U" in fields or "W" in fields):
        return None
    # Days before the first Sunday (%U) or Monday (%W) of the year are in week 0.
    shift = 1 if "U" in fields else 0
    week = int(fields["U"] if shift else fields["W"])
    return first + timedelta(days=7 * week + (weekday + shift) % 7 - ((first.weekday() + shift) % 7 or 7))


def _same_day(year: int, month: int, day: int) -> date:
    """That day of that month, or of the latest earlier month that has it."""
    for back in range(12):
        index = year * 12 + month - 1 - back
        try:
            return date(index // 12, index % 12 + 1, day)
        except ValueError:
            continue
    msg = f"no month has a day {day}"
    raise ValueError(msg)
