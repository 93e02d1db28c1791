"""The notices of one action of one jail: collected, sent as messages at a bearable pace, kept until they are taken."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from guardhooks import ActionError, Ban, safe_text

logger = logging.getLogger("guardhooks.mail")

KEPT: Final = 100
"""So many of each are listed; of the rest there is the number."""


@dataclass(slots=True)
class Collection:
    """Bans, unbans, and whether the jail was started or stopped meanwhile."""

    bans: list[Ban] = field(default_factory=list)
    banned: int = 0
    unbans: list[Ban] = field(default_factory=list)
    unbanned: int = 0
    started: bool = False
    stopped: bool = False

    def __bool__(self) -> bool:
        return bool(self.banned or self.unbanned or self.started or self.stopped)

    def __len__(self) -> int:
        return self.banned + self.unbanned

    def ban(self, ban: Ban) -> None:
        """Count a ban."""
        self.banned += 1
        if len(self.bans) < KEPT:
            self.bans.append(ban)

    def unban(self, ban: Ban) -> None:
        """Count an unban."""
        self.unbanned += 1
        if len(self.unbans) < KEPT:
            self.unbans.append(ban)

    def merge(self, later: Collection) -> None:
        """Take in what was collected after this."""
        self._extend(self.bans, later.bans)
        self._extend(self.unbans, later.unbans)
        self.banned += later.banned
        self.unbanned += later.unbanned
        self.started = self.started or later.started
        self.stopped = self.stopped or later.stopped

    def _extend(self, mine: list[Ban], later: Iterable[Ban]) -> None:
        mine.extend(later)
        del mine[KEPT:]


_HOUR: Final = 3600.0
_GATHERING: Final = 1.0
"""Seconds that the first ban waits for its like, so that a sudden storm makes one message."""
_BACKOFF: Final = (10.0, 30.0, 60.0, 300.0, 900.0)


class Pace:
    """All times are seconds of one monotonic clock.

    :param digest: seconds between two messages.
    :param limit: messages within an hour; 0 for any number.
    """

    def __init__(self, digest: float, limit: int) -> None:
        self._digest, self._limit = digest, limit
        self._sent: deque[float] = deque(maxlen=limit or 1)
        self._not_before = float("-inf")
        self.failures = 0

    def due(self, first: float) -> float:
        """When a message may go whose first notice came at `first`."""
        due = max(first + min(_GATHERING, self._digest), self._not_before)
        if self._sent:
            due = max(due, self._sent[-1] + self._digest)
        if self._limit and len(self._sent) == self._limit:
            due = max(due, self._sent[0] + _HOUR)
        return due

    def sent(self, now: float) -> None:
        """A message has gone."""
        self._sent.append(now)
        self.failures = 0

    def failed(self, now: float) -> float:
        """A message could not be sent; seconds until the next try."""
        pause = _BACKOFF[min(self.failures, len(_BACKOFF) - 1)]
        self.failures += 1
        self._not_before = now + pause
        return pause

    def changed(self, digest: float, limit: int) -> Pace:
        """The same past under other rules; what had failed is tried at once."""
        new = Pace(digest, limit)
        new._sent.extend(self._sent)
        return new


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
