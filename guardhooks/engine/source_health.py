"""What a source has delivered: lines, failures, the age of the last line; and since when it has had nothing to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from guardhooks.model import Chunk
from guardhooks.status import SourceStatus

_TAIL: Final = 4096
"""Bytes of a chunk in which its last date is looked for."""
MISSING_AFTER: Final = 60.0
"""Seconds without anything to read after which a jail is degraded: a rotation takes less, a mistake more."""


class SourceHealth:
    """The health of one source. Counting is cheap; dates are read when somebody asks."""

    def __init__(self) -> None:
        self._lines = 0
        self._matched: Counter[str] = Counter()
        self._tail = b""
        self._time: float | None = None
        self._received = 0.0
        self._missing_since: float | None = None

    def delivered(self, chunk: Chunk, jails: Iterable[str]) -> None:
        """Count a chunk and the failures that were found in it; `jails` is the jail of each."""
        self._lines += chunk.data.count(b"\n") + (not chunk.data.endswith(b"\n"))
        self._matched.update(jails)
        self._received = chunk.received
        self._time = chunk.times[-1] if chunk.times else None
        self._tail = b"" if chunk.times else chunk.data[-_TAIL:]

    def missing(self, status: SourceStatus, now: float) -> float:
        """For how many seconds the source has had nothing to read; 0 if it reads."""
        if status.state not in {"waiting", "failed"}:
            self._missing_since = None
            return 0.0
        if self._missing_since is None or now < self._missing_since:
            self._missing_since = now
        return now - self._missing_since

    def fill(self, status: SourceStatus, jail: str, time_of: Callable[[bytes], float | None]) -> SourceStatus:
        """The status with these figures, of one jail or (empty) of all."""
        time = self._last_time(time_of)
        return replace(
            status,
            lines=self._lines,
            matched=self._matched[jail] if jail else self._matched.total(),
            last_line=time,
            lag=None if time is None else max(0.0, self._received - time),
        )

    def _last_time(self, time_of: Callable[[bytes], float | None]) -> float | None:
        if self._time is None and self._tail:
            lines = reversed(self._tail.splitlines())
            self._time = next((time for line in lines if (time := time_of(line)) is not None), None)
            self._tail = b""
        return self._time
