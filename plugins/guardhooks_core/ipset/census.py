"""Notices that others changed a set of ours: ipset tells nobody, so the entries are counted every second.

A set may hold fewer entries than it did because bans have ended, never more; what goes beyond that was somebody else.
Who exchanges as many entries as he takes is found at the next check.
"""

from __future__ import annotations

import heapq
import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from guardhooks import ActionError, safe_text
from guardhooks_core.ipset import sets

_INTERVAL: Final = 1.0
"""Seconds between two counts."""
_LATE: Final = 5.0
"""Seconds by which an entry may outlive its ban: kernel timeouts are whole seconds, and clocks differ."""

logger = logging.getLogger("guardhooks.firewall")


class _Expected:
    """The size of one set when it was last counted, and when its entries end."""

    def __init__(self, size: int, ends: Iterable[float] = ()) -> None:
        self.size = size
        self._ends = sorted(end for end in ends if end < math.inf)
        self._ended: deque[float] = deque()

    def explains(self, size: int, now: float) -> bool:
        """Whether bans that ended make up for the difference to `size`."""
        while self._ends and self._ends[0] <= now:
            self._ended.append(heapq.heappop(self._ends))
        while self._ended and self._ended[0] < now - _LATE:
            self._ended.popleft()
        return size == self.size or (size >= 0 and 0 <= self.size - size <= len(self._ended))

    def more(self, ends: Iterable[float]) -> None:
        """Entries were added that end then."""
        for end in ends:
            if end < math.inf:
                heapq.heappush(self._ends, end)


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
        """Count no more; waits until the thread has ended. Not to be called with the lock held."""
        if self._thread is not None:
            self._over.set()
            self._thread.join()
            self._thread = None
        self._sets.clear()

    def settled(self, name: str, ends: Iterable[float]) -> None:
        """A set has just been brought to what is due; its entries end then."""
        self._sets[name] = _Expected(sets.size(name), ends)

    def look(self, name: str) -> None:
        """Compare with what is expected, before a change of our own."""
        expected = self._sets.get(name)
        if expected is None:
            return
        size = sets.size(name)
        if not expected.explains(size, self._clock()):
            self._changed(name)
        expected.size = size

    def changed_by_us(self, name: str, ends: Iterable[float] = ()) -> None:
        """Our own change is done; what was added ends then."""
        if name in self._sets:
            self._sets[name].size = sets.size(name)
            self._sets[name].more(ends)

    def forget(self, name: str) -> None:
        """The set is no more."""
        self._sets.pop(name, None)

    def _run(self, over: threading.Event) -> None:
        while not over.wait(_INTERVAL):
            with self._lock:
                try:
                    for name in self._sets:
                        self.look(name)
                except ActionError as error:
                    logger.debug("counting sets: %s", safe_text(str(error)))
