"""The failure windows of one jail: who failed when within its findtime.

An exact sliding window: the answer to a failure is the fullest stretch of `findtime` seconds that holds it, in whatever
order the failures arrive. Failures that come up to `findtime` late are counted exactly.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from guardhooks.findings import FailureLines
from guardhooks.ledger.segments import packed_segments
from guardhooks.model import Jail
from guardhooks.workers import WindowChanges

_LINE_LIMIT: Final = 2048
"""Characters kept of one match line."""
_LINES_LIMIT: Final = 8192
"""Bytes kept of all match lines of one id."""
_GRACE: Final = 60.0
"""Seconds that a window stays after its end, for lines that come late."""
_LIMIT: Final = 250_000
"""Ids tracked in one jail; beyond it those that failed longest ago are dropped."""
LINES_OF_ALL: Final = 16 * 1024 * 1024
"""Bytes that the match lines of all windows may take together."""
_WASTE: Final = 1 << 20
"""Bytes on disk that windows may take beyond twice what they need before they are all rewritten."""
_SEPARATOR: Final = b"\0"
_HEAD: Final = struct.Struct("=II")
_TIME: Final = struct.Struct("=d")
_NONE: Final = _HEAD.pack(0, 0)


class Budget:
    """Bytes that the match lines of all windows together may still take; without any, bans come with fewer lines."""

    __slots__ = ("left",)

    def __init__(self, size: int = LINES_OF_ALL) -> None:
        self.left = size


@dataclass(slots=True)
class Changed:
    """What changed in one jail's windows: None stands for "gone". `every`: all windows of the jail, ids and contents.

    `size`, the bytes on disk, is known after they have been written.
    """

    changed: dict[str, bytes | None]
    every: tuple[Sequence[str], Sequence[bytes | None]] | None = None
    size: int = 0

    @property
    def whole(self) -> bool:
        return self.every is not None

    def segments(self) -> Iterator[bytes]:
        """What is to be appended on disk, made one by one."""
        ids, windows = self.every or (tuple(self.changed), tuple(self.changed.values()))
        self.size = 0
        for segment in packed_segments(ids, windows):
            self.size += len(segment)
            yield segment


class Windows:
    """The windows of one jail, by id.

    A window is packed, in memory as on disk, because there may be hundreds of thousands: the number of failures since
    the last ban, the size of the log lines, the lines separated by NUL, the times of the latest failures, ascending.

    Windows stand in the order of their last failure, so that those that are over come first.
    """

    __slots__ = ("_budget", "_by_id", "_changed", "_is_whole_due", "_limit", "_size", "_stored", "findtime")

    def __init__(self, budget: Budget, findtime: float = 600.0, limit: int = _LIMIT) -> None:
        self.findtime = findtime
        self._by_id: dict[str, bytes] = {}
        self._changed: dict[str, bytes | None] = {}
        self._is_whole_due = False
        self._size = 0
        self._stored = 0
        self._budget = budget
        self._limit = limit

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_id)

    def failures(self, id: str) -> int:
        """How many failures of an id have been counted."""
        failures: int = _HEAD.unpack_from(self._by_id.get(id, _NONE))[0]
        return failures

    def matches(self, id: str) -> tuple[str, ...]:
        """The log lines kept of an id's failures."""
        packed = self._by_id.get(id, _NONE)
        return _split(packed[_HEAD.size : _HEAD.size + _HEAD.unpack_from(packed)[1]])

    def times(self, id: str) -> tuple[float, ...]:
        """When the latest failures of an id were, oldest first."""
        packed = self._by_id.get(id, _NONE)
        return tuple(array("d", packed[_HEAD.size + _HEAD.unpack_from(packed)[1] :]))

    # --- counting ----------------------------------------------------------------------------------------------------

    def count(  # noqa: PLR0917 -- the columns and what they are counted against
        self,
        jail: Jail,
        ids: Sequence[str],
        times: Sequence[float],
        lines: FailureLines,
        clock: Callable[[], float],
        known: Sequence[Container[str]] = (),
        *,
        start: int = 0,
        limit: int = 0,
    ) -> tuple[int, tuple[float, ...] | None]:
        """See `FailureWindows.count`."""
        self.findtime = jail.findtime
        maxmatches = jail.maxmatches
        for place in range(start, len(ids)):
            id, of = ids[place], lines(place)
            packed = self._by_id.pop(id, None)
            if packed is None:
                found = self._begin(id, times[place], self._with_lines(b"", of, maxmatches) if of else b"")
            else:
                found = self._again(jail, id, packed, times[place], of, clock)
            if len(found) >= limit or any(id in each for each in known):
                return place + 1, found
        return len(ids), None

    def _again(  # noqa: PLR0917 -- one failure
        self, jail: Jail, id: str, packed: bytes, time: float, lines: Sequence[str], clock: Callable[[], float]
    ) -> tuple[float, ...]:
        """One more failure of an id, whose window has been taken out."""
        maxretry = max(1, jail.maxretry)
        failures, size = _HEAD.unpack_from(packed)
        behind = _HEAD.size + size
        text, times = packed[_HEAD.size : behind], array("d", packed[behind:])
        if time >= times[-1]:
            times.append(time)
            first, last = bisect_left(times, time - jail.findtime), len(times)
        else:
            first, last = self._insert(times, time, clock)
        found = tuple(times[max(first, last - maxretry) : last])
        if len(times) > maxretry:
            times = _pruned(times, jail.findtime, maxretry)
        if lines:
            text = self._with_lines(text, lines, jail.maxmatches)
        new = _HEAD.pack(failures + 1, len(text)) + text + times.tobytes()
        self._size += len(new) - len(packed)
        self._changed[id] = self._by_id[id] = new
        return found

    def _begin(self, id: str, time: float, text: bytes) -> tuple[float, ...]:
        """The first failure of an id: most offenders come only once."""
        if len(self._by_id) >= self._limit:
            self._drop_oldest()
        packed = _HEAD.pack(1, len(text)) + text + _TIME.pack(time)
        self._size += _room(id) + len(packed)
        self._changed[id] = self._by_id[id] = packed
        return (time,)

    def _insert(self, times: array[float], time: float, clock: Callable[[], float]) -> tuple[int, int]:
        """Put a late failure in its place; returns where the fullest stretch that holds it begins and ends."""
        now = clock()
        if times[-1] > now >= time:  # the clock was set back: times in the future mean nothing
            del times[bisect_right(times, now) :]
        insort(times, time)
        starts = range(bisect_left(times, time - self.findtime), bisect_left(times, time) + 1)
        spans = [(start, bisect_right(times, times[start] + self.findtime)) for start in starts]
        return max(spans, key=lambda span: (span[1] - span[0], span[0]))

    def _with_lines(self, text: bytes, lines: Sequence[str], maxmatches: int) -> bytes:
        """The lines of a window and further ones, the oldest left out where there is no room; nothing without any."""
        if maxmatches <= 0:
            new = b""
        elif len(lines) == 1 and not text:
            new = _encoded(lines[0])
        else:
            new = _SEPARATOR.join([text, *map(_encoded, lines)] if text else map(_encoded, lines))
            surplus = new.count(_SEPARATOR) + 1 - maxmatches
            while surplus > 0 or len(new) > _LINES_LIMIT:
                new = new[new.index(_SEPARATOR) + 1 :]
                surplus -= 1
        room = len(text) + max(0, self._budget.left)  # a file may have held more than is allowed
        while len(new) > room:
            new = new[new.index(_SEPARATOR) + 1 :] if _SEPARATOR in new else text
        self._budget.left -= len(new) - len(text)
        return new

    # --- dropping ----------------------------------------------------------------------------------------------------

    def forget(self, id: str) -> None:
        if self._drop(id):
            self._changed[id] = None

    def clear(self) -> None:
        for id in tuple(self._by_id):
            self._drop(id)
        self._changed = {}
        self._is_whole_due = self._stored > 0

    def expire(self, now: float) -> None:
        """Drop the windows that are over at `now`, or lie in the future since the clock was set back.

        One that stands behind a window that is newer, by the clock of its own log, may stay until that one is over.
        Those that are over stay on disk until all windows are rewritten: whoever loads them sees their age.
        """
        over = []
        for id, packed in self._by_id.items():
            age = now - newest(packed)
            if -_GRACE <= age < self.findtime + _GRACE:
                break
            over.append((id, age))
        for id, age in over:
            self._drop(id)
            if age < 0:
                self._changed[id] = None
            else:
                self._changed.pop(id, None)

    def _drop(self, id: str) -> bool:
        packed = self._by_id.pop(id, None)
        if packed is None:
            return False
        self._size -= _room(id) + len(packed)
        self._budget.left += _HEAD.unpack_from(packed)[1]
        return True

    def _drop_oldest(self) -> None:
        """Make room for many at once: a dict steps over what was removed at its front each time it is iterated over."""
        for id in tuple(islice(self._by_id, self._limit // 100 + 1)):
            self.forget(id)

    # --- disk --------------------------------------------------------------------------------------------------------

    @property
    def is_dirty(self) -> bool:
        """Whether `take` would return anything."""
        return bool(self._changed or self._is_whole_due or self._stored > 2 * self._size + _WASTE)

    def take(self) -> Changed | None:
        """What is to be written; from now on it counts as written."""
        if not self.is_dirty:
            return None
        changes = Changed(self._changed)
        if self._is_whole_due or self._stored > 2 * self._size + _WASTE:
            changes.every = list(self._by_id), list(self._by_id.values())
        self._changed, self._is_whole_due = {}, False
        return changes

    def mark_all_changed(self) -> None:
        """Nothing of it is on disk any more."""
        self._stored, self._is_whole_due = 0, True

    def mark_written(self, changes: WindowChanges) -> None:
        """They have been written."""
        assert isinstance(changes, Changed)
        self._stored = changes.size if changes.whole else self._stored + changes.size

    def put_back(self, changes: WindowChanges) -> None:
        """They were not written after all."""
        assert isinstance(changes, Changed)
        self._changed = changes.changed | self._changed
        self._is_whole_due = self._is_whole_due or changes.whole

    def restore(self, id: str, packed: bytes | None) -> None:
        """Load a window from disk; to be called in the order in which they were written.

        :raises ValueError: its parts do not fit together.
        """
        if packed is not None and (len(packed) - _HEAD.size - _HEAD.unpack_from(packed)[1]) % _TIME.size:
            raise ValueError("a window whose parts do not fit together")
        self._drop(id)
        if packed is not None and len(packed) >= _HEAD.size + _TIME.size:
            self._by_id[id] = packed
            self._size += _room(id) + len(packed)
            self._budget.left -= _HEAD.unpack_from(packed)[1]

    def restored(self, size: int) -> None:
        """So many bytes on disk have been loaded."""
        self._stored += size


def _room(id: str) -> int:
    """Bytes that an id takes on disk at most."""
    return len(id) if id.isascii() else 4 * len(id)


def newest(packed: bytes) -> float:
    """Time of the latest failure."""
    newest: float = _TIME.unpack_from(packed, len(packed) - _TIME.size)[0]
    return newest


def _pruned(times: array[float], findtime: float, maxretry: int) -> array[float]:
    """Two findtimes are enough to be exact about failures that come up to one findtime late."""
    first = max(bisect_left(times, times[-1] - 2 * findtime), len(times) - 2 * maxretry)
    return times[first:] if first > 0 else times


def _encoded(line: str) -> bytes:
    if len(line) > _LINE_LIMIT:
        line = line[: _LINE_LIMIT - 1] + "…"
    try:
        encoded = line.encode()
    except UnicodeEncodeError:
        encoded = line.encode("utf-8", "surrogatepass")
    return encoded.replace(_SEPARATOR, b"\xef\xbf\xbd") if _SEPARATOR in encoded else encoded  # U+FFFD


def _split(text: bytes) -> tuple[str, ...]:
    try:
        lines = text.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # damaged on disk
        lines = text.decode("utf-8", "replace")
    return tuple(lines.split("\0")) if text else ()
