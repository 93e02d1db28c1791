"""Failures that wait for what an async `on_failure` says of them; no jail holds up another."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Final

from guardhooks.model import Failure, Ignore, Jail
from guardhooks.text import plural

_AT_ONCE: Final = 8
"""Questions of one jail that are asked at the same time."""
_WAITING: Final = 1000
"""Failures of one jail that wait to be asked about; beyond that they count."""

logger = logging.getLogger("guardhooks.filter")


class Questions:
    """`answered` is called with each failure and what was said of it."""

    def __init__(self, answered: Callable[[Jail, Failure, Ignore | None], None]) -> None:
        self._answered = answered
        self._asking: Counter[str] = Counter()
        self._waiting: defaultdict[str, deque[tuple[Jail, Failure, Awaitable[Ignore | None]]]] = defaultdict(deque)
        self._tasks: set[asyncio.Task[None]] = set()
        self._full: set[str] = set()

    def ask(self, jail: Jail, failure: Failure, answer: Awaitable[Ignore | None]) -> bool:
        """Wait for an answer; False if too many of the jail wait already: the failure counts, and nobody is asked."""
        waiting = self._waiting[jail.name]
        if len(waiting) >= _WAITING:
            if jail.name not in self._full:
                self._full.add(jail.name)
                logger.error(
                    "[%s] over %d failures wait for ignorecommand or a plugin's on_failure: more count unasked",
                    jail.name, _WAITING,
                )  # fmt: skip
            if isinstance(answer, Coroutine):
                answer.close()
            return False
        waiting.append((jail, failure, answer))
        if self._asking[jail.name] < _AT_ONCE:
            self._asking[jail.name] += 1
            task = asyncio.get_running_loop().create_task(self._work(jail.name), name="on_failure")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return True

    async def _work(self, name: str) -> None:
        waiting = self._waiting[name]
        try:
            while waiting:
                jail, failure, answer = waiting.popleft()
                self._answered(jail, failure, await answer)
        finally:
            self._asking[name] -= 1
        self._full.discard(name)

    async def close(self, seconds: float) -> None:
        """Wait so long for the answers that are due; what has none then is dropped, and told."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        lost = sum(map(len, self._waiting.values())) + len(self._tasks)
        for task in list(self._tasks):
            task.cancel()
        for _, _, answer in (each for waiting in self._waiting.values() for each in waiting):
            if isinstance(answer, Coroutine):
                answer.close()
        self._waiting.clear()
        if lost:
            logger.error(
                "%s not counted: ignorecommand or a plugin's on_failure had not answered at the stop",
                plural(lost, "failure"),
            )  # fmt: skip
