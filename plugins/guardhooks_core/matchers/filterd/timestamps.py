"""The time that a line counts at: its date, now, or the last date that was seen ("in operation" or catching up)."""

from __future__ import annotations

import logging
from typing import Final

from guardhooks_core.matchers.filterd.dates import DateDetector, DateMatch

TOLERANCE: Final = 60.0
"""Seconds that a line's date may differ from now while the source is live, and that a last known date stays good."""
_SILENCE: Final = 86400.0
_log = logging.getLogger("guardhooks.filterd")


class Ages:
    """Applies one jail's age rules. Warns at most once a day about each kind of fault."""

    def __init__(self, jail: str, findtime: float) -> None:
        self._jail = jail
        self._findtime = findtime
        self._last: float | None = None
        self._warned: dict[str, float] = {}

    def recent(self, now: float) -> float | None:
        """The last known date if it is not older than a minute."""
        return self._last if self._last is not None and self._last > now - TOLERANCE else None

    def saw(self, time: float) -> None:
        self._last = time

    def in_production(self, time: float | None, now: float, *, live: bool) -> float | None:
        """When a line of this `time` (None: undated) counts; None: not at all."""
        if time is None:
            return self.recent(now) or (now if live else None)
        if live:
            if abs(time - now) <= TOLERANCE:
                return min(time, now)
            fault = "latency" if -3300 <= time - now < 0 else "timezone"
            if self._due(fault, now):
                self.warn(fault, now, f"a line is dated {time - now:+.0f} s from now ({fault} problem?); now counts")
            return now
        if time < now - self._findtime:
            return None
        return min(time, now)

    def warn(self, kind: str, now: float, message: str) -> None:
        if self._due(kind, now):
            self._warned[kind] = now
            _log.warning("[%s] %s", self._jail, message)

    def _due(self, kind: str, now: float) -> bool:
        return now - self._warned.get(kind, -_SILENCE) >= _SILENCE


class SharedDetector:
    """A date detector that several jails of one source share: each line is looked at once."""

    def __init__(self, detector: DateDetector) -> None:
        self.detector = detector
        self._line: str | None = None
        self._found: DateMatch | None = None

    def find(self, line: str, now: float) -> DateMatch | None:
        if line is not self._line:
            self._found = self.detector.find(line, now)
            self._line = line
        return self._found
