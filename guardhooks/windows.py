"""The failure windows of one jail: who failed when within its findtime.

An exact sliding window: the answer to a failure is the fullest stretch of `findtime` seconds that holds it, in whatever
order the failures arrive. Failures that come up to `findtime` late are counted exactly.
"""

from __future__ import annotations

import math
import struct
from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

_LINE_LIMIT: Final = 2048
_LINES_LIMIT: Final = 8192
"""Characters kept of one match line, and of all match lines of one id."""
_GRACE: Final = 60.0
"""Seconds that a window stays after its end, for lines that come late."""
_LIMIT: Final = 250_000
"""Ids tracked in one jail; beyond it those that would end soonest are given up."""
_SEPARATOR: Final = "\0"


class Budget:
    """Characters that the match lines of all windows together may still take; without any, bans come without lines."""

    __slots__ = ("left",)

    def __init__(self, characters: int = 32 * 1024 * 1024) -> None:
        self.left = characters


class Counted(NamedTuple):
    """What `Windows.count` found; see `Record`."""

    times: tuple[float, ...]
    failures: int
    matches: tuple[str, ...]


class Window:
    """One id's failures. `times` are packed doubles in ascending order, `lines` are separated by NUL."""

    __slots__ = ("due", "failures", "lines", "times")

    def __init__(self, failures: int = 0, times: bytes = b"", lines: str = "") -> None:
        self.failures = failures
        self.times = times
        self.lines = lines
        self.due = 0.0

    @property
    def newest(self) -> float:
        """Time of the latest failure."""
        newest: float = struct.unpack_from("d", self.times, len(self.times) - 8)[0]
        return newest


class Windows:
    """The windows of one jail, by id. `dirty` holds the ids that changed since it was last emptied.

    Windows end without a scan of everything: each stands in one slot of a timer wheel, and a slot that comes due drops
    those that are over and moves the others on.
    """

    def __init__(self, budget: Budget, findtime: float = 600.0, limit: int = _LIMIT) -> None:
        self.findtime = findtime
        self.dirty: set[str] = set()
        self._by_id: dict[str, Window] = {}
        self._wheel: dict[float, list[str]] = {}
        self._first_due = math.inf
        self._budget = budget
        self._limit = limit

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, id: str) -> Window | None:
        return self._by_id.get(id)

    def ids(self) -> Iterator[str]:
        return iter(self._by_id)

    def count(
        self, id: str, time: float, lines: Sequence[str], keep: tuple[int, int], clock: Callable[[], float]
    ) -> Counted:
        """Count one failure. `keep` is how many times and how many lines (maxretry, maxmatches) are of interest."""
        maxretry, maxmatches = max(1, keep[0]), keep[1]
        window = self._by_id.get(id)
        if window is None:
            window = self._new(id, time)
        times = array("d", window.times)
        if not times or time >= times[-1]:
            times.append(time)
            found = times[bisect_left(times, time - self.findtime) :]
        else:
            found = self._insert(times, time, clock)
        window.times = _pruned(times, self.findtime, maxretry).tobytes()
        window.failures += 1
        if lines or window.lines:
            self._add_lines(window, lines, maxmatches)
        self.dirty.add(id)
        return Counted(tuple(found[-maxretry:]), window.failures, _split(window.lines))

    def restore(self, id: str, window: Window) -> None:
        """Put back what was on disk."""
        self._by_id[id] = window
        self._budget.left -= len(window.lines)
        self._schedule(id, window, window.newest)

    def forget(self, id: str) -> None:
        window = self._by_id.pop(id, None)
        if window is not None:
            self._budget.left += len(window.lines)
            self.dirty.add(id)

    def clear(self) -> None:
        for id in tuple(self._by_id):
            self.forget(id)
        self._wheel.clear()
        self._first_due = math.inf

    def expire(self, now: float) -> None:
        """Drop the windows that are over at `now`."""
        if now < self._first_due:
            return
        for due in sorted(slot for slot in self._wheel if slot <= now):
            self._turn(due, now)
        self._first_due = min(self._wheel, default=math.inf)

    def _new(self, id: str, time: float) -> Window:
        while len(self._by_id) >= self._limit:
            self._turn(min(self._wheel), math.inf)
        window = self._by_id[id] = Window()
        self._schedule(id, window, time)
        return window

    def _insert(self, times: array[float], time: float, clock: Callable[[], float]) -> array[float]:
        """Put a late failure in its place; returns the fullest stretch that holds it."""
        now = clock()
        if times[-1] > now >= time:  # the clock was set back: what lies in the future says nothing any more
            del times[bisect_right(times, now) :]
        insort(times, time)
        starts = range(bisect_left(times, time - self.findtime), bisect_left(times, time) + 1)
        spans = [(start, bisect_right(times, times[start] + self.findtime)) for start in starts]
        first, behind = max(spans, key=lambda span: (span[1] - span[0], span[0]))
        return times[first:behind]

    def _add_lines(self, window: Window, lines: Sequence[str], maxmatches: int) -> None:
        before = len(window.lines)
        kept = [*_split(window.lines), *(_trimmed(line) for line in lines)]
        kept = kept[-maxmatches:] if maxmatches > 0 else []
        text = _SEPARATOR.join(kept)
        while len(text) > _LINES_LIMIT:
            _, _, text = text.partition(_SEPARATOR)
        if len(text) - before > self._budget.left:
            text = ""
        window.lines = text
        self._budget.left += before - len(text)

    def _schedule(self, id: str, window: Window, newest: float) -> None:
        width = max(1.0, self.findtime / 16)
        window.due = math.ceil((newest + self.findtime + _GRACE) / width) * width
        self._wheel.setdefault(window.due, []).append(id)
        self._first_due = min(self._first_due, window.due)

    def _turn(self, due: float, now: float) -> None:
        for id in self._wheel.pop(due):
            window = self._by_id.get(id)
            if window is None or window.due != due:
                continue  # forgotten, and perhaps begun anew in another slot
            newest = window.newest
            if newest + self.findtime + _GRACE > now:
                self._schedule(id, window, newest)
            else:
                self.forget(id)


def _pruned(times: array[float], findtime: float, maxretry: int) -> array[float]:
    """Two findtimes are enough to be exact about failures that come up to one findtime late."""
    first = max(bisect_left(times, times[-1] - 2 * findtime), len(times) - 2 * maxretry)
    return times[first:] if first > 0 else times


def _trimmed(line: str) -> str:
    if _SEPARATOR in line:
        line = line.replace(_SEPARATOR, "\ufffd")
    return line if len(line) <= _LINE_LIMIT else line[: _LINE_LIMIT - 1] + "…"


def _split(lines: str) -> tuple[str, ...]:
    return tuple(lines.split(_SEPARATOR)) if lines else ()
