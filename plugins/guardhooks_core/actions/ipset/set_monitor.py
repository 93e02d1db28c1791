"""Notices that others changed a set of ours: ipset tells nobody, so the entries are counted every second.

Bans that have ended, and in a great set what we ourselves did since, explain a difference; what goes beyond that was
somebody else. Who hides behind that, or puts in as many as he takes out, is found at the next check.
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
from guardhooks_core.actions.ipset import sets

_INTERVAL: Final = 1.0
"""Seconds between two counts."""
_PATIENCE: Final = 2.0
"""Seconds to wait for the thread to end: an action that hangs may hold the lock."""
_SMALL: Final = 5000
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
        """Whether counting it takes no longer than a few ten microseconds."""
        return self._size <= _SMALL

    def add(self, ends: Iterable[float]) -> None:
        """We put in entries that end then; some may have been there."""
        for end in ends:
            self._added += 1
            if end < math.inf:
                heapq.heappush(self._ends, end)

    def remove(self, number: int) -> None:
        """We took out so many entries, as far as they were there."""
        self._removed += number

    def counted(self, size: int, now: float) -> bool:
        """The set has this size (-1: there is none) at `now`; whether what we did and bans that ended explain that."""
        while self._ends and self._ends[0] <= now:
            self._ended.append(heapq.heappop(self._ends))
        while self._ended and self._ended[0] < now - _LATE:
            self._ended.popleft()
        fewest = self._size - self._removed - len(self._ended)
        explained = size == self._size or (size >= 0 and fewest <= size <= self._size + self._added)
        self._size, self._added, self._removed = size, 0, 0
        return explained


class Census:
    """Counts sets in a thread of its own while there are any. `lock` is held while it looks."""

    def __init__(self, clock: Callable[[], float], lock: threading.Lock, changed: Callable[[str], None]) -> None:
        """:param changed: is told the name of a set that others changed, from any thread."""
        self._clock, self._lock, self._changed = clock, lock, changed
        self._sets: dict[str, _Expected] = {}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Count at intervals from now on."""
        if self._thread is None:
            self._over = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(self._over,), name="ipset-census", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Count no more. Not to be called with the lock held."""
        if self._thread is not None:
            self._over.set()
            self._thread.join(_PATIENCE)
            self._thread = None
        self._sets.clear()

    def settled(self, name: str, ends: Iterable[float]) -> None:
        """A set has just been brought to what is due; its entries end then."""
        self._sets[name] = _Expected(sets.size(name), ends)

    @contextmanager
    def own_change(self, name: str, ends: Iterable[float] = (), removed: int = 0) -> Iterator[None]:
        """Around a change of our own: entries go in that end then, or so many out, as far as they were there.

        A small set is counted before and after; the change of a great one is only allowed for at the next count.
        """
        expected = self._sets.get(name)
        if expected is not None and expected.is_small:
            self._look(name, expected)
        yield
        if expected is not None:
            expected.add(ends)
            expected.remove(removed)
            if expected.is_small:
                expected.counted(sets.size(name), self._clock())

    def forget(self, name: str) -> None:
        """The set is no more."""
        self._sets.pop(name, None)

    def _run(self, over: threading.Event) -> None:
        while not over.wait(_INTERVAL):
            with self._lock:
                try:
                    self._count()
                except ActionError as error:
                    logger.debug("counting sets: %s", safe_text(str(error)))

    def _count(self) -> None:
        for name, expected in self._sets.items():
            self._look(name, expected)

    def _look(self, name: str, expected: _Expected) -> None:
        if not expected.counted(sets.size(name), self._clock()):
            self._changed(name)
