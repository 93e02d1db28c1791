"""The notices of one action of one jail: collected, sent as messages at a bearable pace, kept until they are taken."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from guardhooks import ActionError, safe_text

from .collection import Collection
from .pace import Pace

logger = logging.getLogger("guardhooks.mail")

Deliver = Callable[[Collection, bool], Awaitable[None]]
"""Sends a message about a collection; the flag asks for a short one, without quotations."""

_LAST_CALL: Final = 12.0
"""Seconds that are given to what still waits when the action stops."""
_SHORT_AFTER: Final = 2
"""After so many failures the quotations are left out, lest they be what is refused."""


class Outbox:
    """Collects what `deliver` shall send. A message that fails is kept, grows, and is tried again with back-off.

    `problem` is why the last message was not sent, empty when it was.

    :param label: jail and action, for the log.
    """

    def __init__(self, label: str, pace: Pace, deliver: Deliver, at_least: int = 1) -> None:
        self.label, self.pace, self.deliver, self.at_least = label, pace, deliver, at_least
        self.news = Collection()
        self.problem = ""
        self._first = 0.0
        self._is_last_call = False
        self._nudge = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def touch(self) -> None:
        """Something was added to `news`: see that it is sent."""
        if not self.news:
            return
        loop = asyncio.get_running_loop()
        if (self._task is None or self._task.done()) and self._is_enough():
            self._first = loop.time()
            self._task = loop.create_task(self._run(), name=f"mail {self.label}")

    def change(self, digest: float, limit: int, at_least: int) -> None:
        """Go on by other rules; what had failed is tried at once."""
        self.pace, self.at_least = self.pace.changed(digest, limit), at_least
        self._nudge.set()
        self.touch()

    async def drain(self) -> None:
        """Send what waits now; what cannot be sent within 12 s is given up."""
        self._is_last_call = True
        self._nudge.set()
        self.touch()
        if self._task is not None and not self._task.done():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._task, _LAST_CALL)
        if self.news:
            logger.error("[%s] %d notices were not sent", self.label, len(self.news))
        self.news = Collection()
        self._is_last_call = False

    def _is_enough(self) -> bool:
        news = self.news
        return self._is_last_call or news.started or news.stopped or len(news) >= self.at_least

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self.news and self._is_enough():
            await self._wait()
            taken, self.news = self.news, Collection()
            is_last = self._is_last_call
            try:
                await self.deliver(taken, self.pace.failures >= _SHORT_AFTER)
            except ActionError as error:
                self._failed(taken, error)
                if is_last:
                    return
            except asyncio.CancelledError:
                self._keep(taken)
                raise
            else:
                self._went()
            self._first = loop.time()

    async def _wait(self) -> None:
        """Until the pace allows a message, or the last call."""
        loop = asyncio.get_running_loop()
        while not self._is_last_call and (due := self.pace.due(self._first)) > loop.time():
            self._nudge.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._nudge.wait()

    def _keep(self, taken: Collection) -> None:
        taken.merge(self.news)
        self.news = taken

    def _went(self) -> None:
        self.pace.sent(asyncio.get_running_loop().time())
        if self.problem:
            logger.warning("[%s] mail goes out again", self.label)
        self.problem = ""

    def _failed(self, taken: Collection, error: ActionError) -> None:
        self._keep(taken)
        pause = self.pace.failed(asyncio.get_running_loop().time())
        problem = f"mail was not sent, is tried again: {safe_text(str(error), 500)}"
        if problem != self.problem:
            logger.error("[%s] %s (in %d s)", self.label, problem, pause)
        self.problem = problem
