"""The failure windows of one jail: who failed when within its findtime.

An exact sliding window: the answer to a failure is the fullest stretch of `findtime` seconds that holds it, in whatever
order the failures arrive. Failures that come up to `findtime` late are counted exactly.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from guardhooks.model import Failure, Jail

_LINE_LIMIT: Final = 2048
"""Characters kept of one match line."""
_LINES_LIMIT: Final = 8192
"""Bytes kept of all match lines of one id."""
_GRACE: Final = 60.0
"""Seconds that a window stays after its end, for lines that come late."""
_LIMIT: Final = 250_000
"""Ids tracked in one jail; beyond it those that failed longest ago are given up."""
_SEPARATOR: Final = "\0"
_HEAD: Final = struct.Struct("=II")
_TIME: Final = struct.Struct("=d")
_NONE: Final = _HEAD.pack(0, 0)


class Budget:
    """Bytes that the match lines of all windows together may still take; without any, bans come without lines."""

    __slots__ = ("left",)

    def __init__(self, size: int = 32 * 1024 * 1024) -> None:
        self.left = size


class Windows:
    """The windows of one jail, by id. `dirty` holds what changed since it was last emptied; None stands for "gone".

    A window is held packed, in memory as on disk, for there may be hundred thousands: the number of failures since the
    last ban, the size of the log lines, the lines separated by NUL, the times of the latest failures, ascending.

    Windows stand in the order of their last failure, so that those that are over are found in front.
    """

    def __init__(self, budget: Budget, findtime: float = 600.0, limit: int = _LIMIT) -> None:
        self.findtime = findtime
        self.dirty: dict[str, bytes | None] = {}
        self._by_id: dict[str, bytes] = {}
        self._budget = budget
        self._limit = limit

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_id)

    def failures(self, id: str) -> int:
        """How many failures of an id have been counted."""
        return _unpacked(self._by_id.get(id, _NONE))[0]

    def count(
        self, jail: Jail, failure: Failure, clock: Callable[[], float]
    ) -> tuple[tuple[float, ...], int, tuple[str, ...]]:
        """Count one failure; returns times, failures and matches, see `Record`."""
        id, time, maxretry, findtime = failure.id, failure.time, max(1, jail.maxretry), jail.findtime
        self.findtime = findtime
        failures, text, times = _unpacked(self._by_id.pop(id, _NONE))
        if not failures and len(self._by_id) >= self._limit:
            self._give_up()
        if not times or time >= times[-1]:
            times.append(time)
            first, behind = bisect_left(times, time - findtime), len(times)
        else:
            first, behind = self._insert(times, time, clock)
        found = tuple(times[max(first, behind - maxretry) : behind])
        if len(times) > maxretry:
            times = _pruned(times, findtime, maxretry)
        matches: Sequence[str] = ()
        if failure.matches or text:
            matches, text = self._with_lines(text, failure.matches, jail.maxmatches)
        packed = _HEAD.pack(failures + 1, len(text)) + text + times.tobytes()
        self.dirty[id] = self._by_id[id] = packed
        return found, failures + 1, tuple(matches)

    def restore(self, id: str, packed: bytes) -> None:
        """Put back what was on disk; when all are back, `put_in_order`."""
        if len(packed) >= _HEAD.size + _TIME.size:
            self._by_id[id] = packed
            self._budget.left -= _HEAD.unpack_from(packed)[1]

    def put_in_order(self) -> None:
        ids = sorted(self._by_id, key=lambda id: _newest(self._by_id[id]))
        self._by_id = {id: self._by_id[id] for id in ids}

    def forget(self, id: str) -> None:
        packed = self._by_id.pop(id, None)
        if packed is not None:
            self._budget.left += _HEAD.unpack_from(packed)[1]
            self.dirty[id] = None

    def clear(self) -> None:
        for id in tuple(self._by_id):
            self.forget(id)

    def expire(self, now: float) -> None:
        """Drop the windows that are over at `now`, or lie in the future since the clock was set back.

        One that failed long after its neighbours in front of it, by its own log's clock, may stay as long as those.
        """
        over = []
        for id, packed in self._by_id.items():
            if -_GRACE <= now - _newest(packed) < self.findtime + _GRACE:
                break
            over.append(id)
        for id in over:
            self.forget(id)

    def _give_up(self) -> None:
        """Make room, for many at once: what was taken out in front is stepped over by every look there."""
        for id in tuple(islice(self._by_id, self._limit // 100 + 1)):
            self.forget(id)

    def _insert(self, times: array[float], time: float, clock: Callable[[], float]) -> tuple[int, int]:
        """Put a late failure in its place; returns where the fullest stretch that holds it begins and ends."""
        now = clock()
        if times[-1] > now >= time:  # the clock was set back: what lies in the future says nothing any more
            del times[bisect_right(times, now) :]
        insort(times, time)
        starts = range(bisect_left(times, time - self.findtime), bisect_left(times, time) + 1)
        spans = [(start, bisect_right(times, times[start] + self.findtime)) for start in starts]
        return max(spans, key=lambda span: (span[1] - span[0], span[0]))

    def _with_lines(self, text: bytes, lines: Sequence[str], maxmatches: int) -> tuple[list[str], bytes]:
        """The lines of a window and further ones, as far as there is room, and the same as text."""
        kept = _split(text)
        kept += map(_trimmed, lines)
        kept = kept[-maxmatches:] if maxmatches > 0 else []
        new = _joined(kept)
        while len(new) > _LINES_LIMIT:
            del kept[0]
            new = _joined(kept)
        if len(new) - len(text) > self._budget.left:
            kept, new = [], b""
        self._budget.left += len(text) - len(new)
        return kept, new


def _unpacked(packed: bytes) -> tuple[int, bytes, array[float]]:
    """Failures, lines, times."""
    failures, size = _HEAD.unpack_from(packed)
    behind = _HEAD.size + size
    return failures, packed[_HEAD.size : behind], array("d", packed[behind:])


def _newest(packed: bytes) -> float:
    """Time of the latest failure."""
    newest: float = _TIME.unpack_from(packed, len(packed) - _TIME.size)[0]
    return newest


def _pruned(times: array[float], findtime: float, maxretry: int) -> array[float]:
    """Two findtimes are enough to be exact about failures that come up to one findtime late."""
    first = max(bisect_left(times, times[-1] - 2 * findtime), len(times) - 2 * maxretry)
    return times[first:] if first > 0 else times


def _trimmed(line: str) -> str:
    if _SEPARATOR in line:
        line = line.replace(_SEPARATOR, "\ufffd")
    return line if len(line) <= _LINE_LIMIT else line[: _LINE_LIMIT - 1] + "…"


def _joined(lines: Sequence[str]) -> bytes:
    return _SEPARATOR.join(lines).encode("utf-8", "surrogatepass")


def _split(text: bytes) -> list[str]:
    if text.isascii():  # nearly always, and faster
        return text.decode("ascii").split(_SEPARATOR) if text else []
    return text.decode("utf-8", "surrogatepass").split(_SEPARATOR)
