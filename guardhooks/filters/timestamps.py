"""The effective time of a line: its date, now, or the last known date, depending on whether the source is live."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from guardhooks.filters.dates import DateDetector, DateMatch
from guardhooks.text import safe_text

TOLERANCE: Final = 60.0
"""Seconds that a line's date may differ from now while the source is live, and that a last known date stays valid."""
_WARNING_INTERVAL: Final = 86400.0
"""Seconds between two warnings about the same kind of fault."""
_ZONE_STEP: Final = 900.0
"""Seconds of which every difference between time zones is a multiple."""
_LARGEST_ZONE_ERROR: Final = 26 * 3600.0
"""Seconds between the first and the last time zone of the world (UTC+14 and UTC-12)."""
_REMEDY: Final = "set logtimezone to the zone of this log"
_OLDEST_LATENCY: Final = 3300.0
"""Seconds; a live line that is older than this hints at a wrong timezone instead of a delay."""
logger = logging.getLogger("guardhooks.filterd")


class AgeRules:
    """The rules of one jail on how old a line may be. Warns at most once a day about each kind of fault."""

    def __init__(self, jail: str, findtime: float) -> None:
        self._jail = jail
        self._findtime = findtime
        self._last: float | None = None
        self._warned: dict[str, float] = {}
        self._origin = ""
        self._newest: Callable[[], float | None] = lambda: None

    def recent(self, now: float) -> float | None:
        """The last known date, unless it is older than a minute."""
        return self._last if self._last is not None and self._last > now - TOLERANCE else None

    def remember(self, time: float) -> None:
        self._last = time

    def begin(self, origin: str, newest: Callable[[], float | None]) -> None:
        """Lines of another block follow, of the file `origin`; `newest` gives the date of the block's last line."""
        self._origin, self._newest = origin, newest

    def effective_time(self, time: float | None, now: float, *, live: bool, zoned: bool = False) -> float | None:
        """The time at which a line dated `time` (None: undated) counts; None if it does not count.

        `zoned`: the source vouches for the time, so that it cannot be an error of the time zone.
        """
        if time is None:
            return self.recent(now) or (now if live else None)
        if live:
            return self._live_time(time, now, zoned=zoned)
        if time < now - self._findtime:
            self.warn("old", now)
            return None
        return min(time, now)

    def _live_time(self, time: float, now: float, *, zoned: bool) -> float | None:
        offset = time - now
        if abs(offset) <= TOLERANCE:
            return min(time, now)
        if -self._findtime <= offset <= _LARGEST_ZONE_ERROR:
            if -_OLDEST_LATENCY <= offset < 0:
                self._tell("latency", offset, now, "the log comes late (latency); the current time is used")
            else:
                self._tell("timezone", offset, now, f"wrong time zone or clock? The current time is used; {_REMEDY}")
            return now
        zone = None if zoned else self._zone_error(time, now)
        if zone is not None and time - zone >= now - self._findtime:
            self._tell("timezone", zone, now, f"wrong time zone? It is corrected; {_REMEDY}")
            return min(time - zone, now)
        self._tell("outside", offset, now, f"outside findtime: such lines do not count; if they are new, {_REMEDY}")
        return None

    def _zone_error(self, time: float, now: float) -> float | None:
        """By how many seconds the zone of the log is wrong, judged by the line that was written last."""
        newest = self._newest()
        offset = (time if newest is None else newest) - now
        zone = round(offset / _ZONE_STEP) * _ZONE_STEP
        if abs(zone) > _LARGEST_ZONE_ERROR or zone == 0 or abs(offset - zone) > TOLERANCE:
            return None
        return zone

    def _tell(self, kind: str, offset: float, now: float, what: str) -> None:
        if self._may_warn(kind, now):
            self._warned[kind] = now
            place = safe_text(self._origin, 200)
            logger.warning("[%s] %s: a line is dated %+.0f s from now: %s", self._jail, place, offset, what)

    def warn(self, kind: str, now: float, *, line: str = "") -> None:
        """Log that lines are `old`, or that the failure in a line is `undated`."""
        if self._may_warn(kind, now):
            self._warned[kind] = now
            logger.warning("[%s] %s", self._jail, _warning(kind, line))

    def _may_warn(self, kind: str, now: float) -> bool:
        return now - self._warned.get(kind, -_WARNING_INTERVAL) >= _WARNING_INTERVAL


def _warning(kind: str, line: str) -> str:
    if kind == "old":
        return "lines older than findtime are skipped while catching up"
    return f"a failure has no valid date: {safe_text(line, 200)}"


class SharedDetector:
    """A date detector shared by several jails of one source, so that each line is searched once."""

    def __init__(self, detector: DateDetector) -> None:
        self.detector = detector
        self._line: str | None = None
        self._found: DateMatch | None = None

    def find(self, line: str, now: float) -> DateMatch | None:
        if line is not self._line:
            self._found = self.detector.find(line, now)
            self._line = line
        return self._found
