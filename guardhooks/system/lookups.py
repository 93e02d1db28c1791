"""Blocking look-ups (names, addresses) in a few threads, cached; attackers may choose the keys, so all is limited."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from guardhooks.system.worker_pool import WorkerPool

Answer = TypeVar("Answer")

_FOUND_TTL: Final = 300.0
_NOT_FOUND_TTL: Final = 60.0


class CachedLookups(Generic[Answer]):
    """Calls `lookup(key)` in worker threads and caches the answers: 5 minutes, or 1 minute that there is none.

    `lookup` may raise OSError or UnicodeError: the answer is then `nothing`, as it is if a look-up takes longer than
    `timeout` seconds. Simultaneous queries for one key share a look-up. When `outstanding` look-ups are under way,
    further keys get `nothing` for the moment, which is not cached.

    :param clock: seconds, for the age of answers.
    :param entries: answers in the cache; beyond that the one used longest ago is dropped.
    """

    def __init__(
        self,
        lookup: Callable[[str], Answer],
        nothing: Answer,
        *,
        clock: Callable[[], float] = time.monotonic,
        timeout: float = 5.0,
        entries: int = 1000,
        outstanding: int = 16,
        threads: int = 2,
    ) -> None:
        self._lookup, self._nothing, self._clock, self._timeout = lookup, nothing, clock, timeout
        self._entries, self._outstanding = entries, outstanding
        self._cache: OrderedDict[str, tuple[float, Answer]] = OrderedDict()
        self._running: dict[str, asyncio.Task[Answer]] = {}
        self._pool = WorkerPool("lookups", ready=1, most=threads)

    async def get(self, key: str) -> Answer:
        """The answer for a key. Never raises."""
        cached = self._cache.get(key)
        if cached is not None and self._clock() < cached[0]:
            self._cache.move_to_end(key)
            return cached[1]
        task = self._running.get(key)
        if task is None:
            if len(self._running) >= self._outstanding:
                return self._nothing
            task = self._running[key] = asyncio.create_task(self._look_up(key))
        return await asyncio.shield(task)

    def close(self) -> None:
        """Cancel what is under way."""
        for task in self._running.values():
            task.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _look_up(self, key: str) -> Answer:
        future = asyncio.get_running_loop().run_in_executor(self._pool, self._lookup, key)
        try:
            async with asyncio.timeout(self._timeout):
                answer = await future
        except (OSError, UnicodeError):  # TimeoutError is an OSError.
            answer = self._nothing
        finally:
            del self._running[key]
        self._store(key, answer)
        return answer

    def _store(self, key: str, answer: Answer) -> None:
        self._cache[key] = (self._clock() + (_FOUND_TTL if answer else _NOT_FOUND_TTL), answer)
        self._cache.move_to_end(key)
        while len(self._cache) > self._entries:
            self._cache.popitem(last=False)
