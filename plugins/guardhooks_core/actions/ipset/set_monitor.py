"""Notices that others changed a set of ours: ipset sends no events, so the entries are counted every second.

Bans that have ended, and in a large set our own changes since the last count, explain a difference; any further
difference was made by somebody else. A change that hides behind these, or adds as many entries as it removes, is found
at the next check.
"""

from __future__ import annotations

import heapq
import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from guardhooks import ActionError, safe_text
from guardhooks_core.actions.ipset import kernel

_INTERVAL: Final = 1.0
"""Seconds between two counts."""
_STOP_TIMEOUT: Final = 2.0
"""Seconds to wait for the thread to end: an action that hangs may hold the lock."""
_SMALL: Final = 5000
"""Entries."""
_LATE: Final = 5.0
"""Seconds by which an entry may outlive its ban: kernel timeouts are whole seconds, and clocks differ."""

logger = logging.getLogger("guardhooks.firewall")


class _Expected:
    """The size of one set when it was last counted, what we did to it since, and when its entries end."""

    def __init__(self, size: int, ends: Iterable[float] = ()) -> None:
        self._size = size
        self._added = self._removed = 0
        self._ends = sorted(end for end in ends if end < math.inf)
        self._ended: deque[float] = deque()

    @property
    def is_small(self) -> bool:
        """Whether counting it takes only some ten microseconds."""
        return self._size <= _SMALL

    def add(self, ends: Iterable[float]) -> None:
        """We added entries that end then; some may have been there."""
        for end in ends:
            self._added += 1
            if end < math.inf:
                heapq.heappush(self._ends, end)

    def remove(self, number: int) -> None:
        """We removed so many entries, as far as they were there."""
        self._removed += number

    def counted(self, size: int, now: float) -> bool:
        """Whether our changes and bans that ended explain that the set has this size (-1: there is none) at `now`."""
        while self._ends and self._ends[0] <= now:
            self._ended.append(heapq.heappop(self._ends))
        while self._ended and self._ended[0] < now - _LATE:
            self._ended.popleft()
        fewest = self._size - self._removed - len(self._ended)
        explained = size == self._size or (size >= 0 and fewest <= size <= self._size + self._added)
        self._size, self._added, self._removed = size, 0, 0
        return explained


class SetSizeMonitor:
    """Counts sets in a thread of its own. `lock` is held during a count."""

    def __init__(self, clock: Callable[[], float], lock: threading.Lock, changed: Callable[[str], None]) -> None:
        """:param changed: is called with the name of a set that others changed, from any thread."""
        self._clock, self._lock, self._changed = clock, lock, changed
        self._sets: dict[str, _Expected] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Count every second from now on; a no-op when started already."""
        if self._thread is None:
            self._stopping = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._stopping,), name="ipset-size-monitor", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Stop counting. Must not be called with the lock held."""
        if self._thread is not None:
            self._stopping.set()
            self._thread.join(_STOP_TIMEOUT)
            self._thread = None
        self._sets.clear()

    def reconciled(self, name: str, ends: Iterable[float]) -> None:
        """A set has just been made to hold the desired bans, which end then."""
        self._sets[name] = _Expected(kernel.size(name), ends)

    @contextmanager
    def own_change(self, name: str, ends: Iterable[float] = (), removed: int = 0) -> Iterator[None]:
        """Around a change of our own: entries are added that end then, or so many removed, as far as they were there.

        A small set is counted before and after; the change of a large one is only allowed for at the next count.
        """
        expected = self._sets.get(name)
        if expected is not None and expected.is_small:
            self._compare(name, expected)
        yield
        if expected is not None:
            expected.add(ends)
            expected.remove(removed)
            if expected.is_small:
                expected.counted(kernel.size(name), self._clock())

    def forget(self, name: str) -> None:
        """The set has been removed."""
        self._sets.pop(name, None)

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.wait(_INTERVAL):
            with self._lock:
                try:
                    self._count()
                except ActionError as error:
                    logger.debug("sets could not be counted: %s; retrying", safe_text(str(error)))

    def _count(self) -> None:
        for name, expected in self._sets.items():
            self._compare(name, expected)

    def _compare(self, name: str, expected: _Expected) -> None:
        if not expected.counted(kernel.size(name), self._clock()):
            self._changed(name)
