"""The effective time of a line: its date, now, or the last known date, depending on whether the source is live."""

from __future__ import annotations

import logging
from typing import Final

from guardhooks.filters.dates import DateDetector, DateMatch
from guardhooks.text import safe_text

TOLERANCE: Final = 60.0
"""Seconds that a line's date may differ from now while the source is live, and that a last known date stays valid."""
_WARNING_INTERVAL: Final = 86400.0
"""Seconds between two warnings about the same kind of fault."""
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

    def recent(self, now: float) -> float | None:
        """The last known date, unless it is older than a minute."""
        return self._last if self._last is not None and self._last > now - TOLERANCE else None

    def remember(self, time: float) -> None:
        self._last = time

    def effective_time(self, time: float | None, now: float, *, live: bool) -> float | None:
        """The time at which a line dated `time` (None: undated) counts; None if it does not count."""
        if time is None:
            return self.recent(now) or (now if live else None)
        if live:
            if abs(time - now) <= TOLERANCE:
                return min(time, now)
            fault = "latency" if -_OLDEST_LATENCY <= time - now < 0 else "timezone"
            self.warn(fault, now, seconds=time - now)
            return now
        if time < now - self._findtime:
            return None
        return min(time, now)

    def warn(self, kind: str, now: float, *, seconds: float = 0.0, line: str = "") -> None:
        """Log a fault of a line, whose date is `seconds` from now."""
        if self._may_warn(kind, now):
            self._warned[kind] = now
            logger.warning("[%s] %s", self._jail, _warning(kind, seconds, line))

    def _may_warn(self, kind: str, now: float) -> bool:
        return now - self._warned.get(kind, -_WARNING_INTERVAL) >= _WARNING_INTERVAL


def _warning(kind: str, seconds: float, line: str) -> str:
    if kind == "old":
        return "lines older than findtime are skipped while catching up"
    if kind == "undated":
        return f"a failure has no valid date: {safe_text(line, 200)}"
    return f"a line is dated {seconds:+.0f} s from now ({kind} problem?); the current time is used"


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
