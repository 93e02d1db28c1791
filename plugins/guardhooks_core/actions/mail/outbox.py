"""The outbox of one mail action: collects bans into a digest and sends it, at a limited rate and with retries."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from guardhooks import ActionError, Ban, safe_text

logger = logging.getLogger("guardhooks.mail")

LISTED: Final = 100
"""Bans, and unbans, that a digest lists; further ones are only counted."""
_HOUR: Final = 3600.0
_GATHERING: Final = 1.0
"""Seconds that the first ban waits for others, so that a sudden storm makes one message."""
_BACKOFF: Final = (10.0, 30.0, 60.0, 300.0, 900.0)
"""Seconds before each retry; the last applies to all further ones."""
_DRAIN_TIME: Final = 12.0
"""Seconds that a waiting digest gets when the action stops."""
_SHORT_AFTER: Final = 2
"""Failures after which quotations are left out, in case they are what is refused."""


@dataclass(slots=True)
class Digest:
    """The contents of one message: bans, unbans, and whether the jail was started or stopped meanwhile."""

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
        if len(self.bans) < LISTED:
            self.bans.append(ban)

    def unban(self, ban: Ban) -> None:
        """Count an unban."""
        self.unbanned += 1
        if len(self.unbans) < LISTED:
            self.unbans.append(ban)

    def merge(self, later: Digest) -> None:
        """Add a digest that was collected after this one."""
        self._extend(self.bans, later.bans)
        self._extend(self.unbans, later.unbans)
        self.banned += later.banned
        self.unbanned += later.unbanned
        self.started = self.started or later.started
        self.stopped = self.stopped or later.stopped

    def _extend(self, mine: list[Ban], later: Iterable[Ban]) -> None:
        mine.extend(later)
        del mine[LISTED:]


Deliver: TypeAlias = Callable[[Digest, bool], Awaitable[None]]
"""Sends a message about a digest; the flag asks for a short one, without quotations."""


class Pace:
    """Decides when the next message may go. All times are seconds of one monotonic clock.

    :param interval: seconds between two messages.
    :param limit: messages within an hour; 0: no limit.
    """

    def __init__(self, interval: float, limit: int) -> None:
        self._interval, self._limit = interval, limit
        self._sent: deque[float] = deque(maxlen=limit or 1)
        self._not_before = float("-inf")
        self.failures = 0

    def send_time(self, first: float) -> float:
        """When a message may go whose first event came at `first`."""
        earliest = max(first + min(_GATHERING, self._interval), self._not_before)
        if self._sent:
            earliest = max(earliest, self._sent[-1] + self._interval)
        if self._limit and len(self._sent) == self._limit:
            earliest = max(earliest, self._sent[0] + _HOUR)
        return earliest

    def sent(self, now: float) -> None:
        """Record that a message was sent."""
        self._sent.append(now)
        self.failures = 0

    def failed(self, now: float) -> float:
        """Record that a message could not be sent; returns the seconds until the retry."""
        pause = _BACKOFF[min(self.failures, len(_BACKOFF) - 1)]
        self.failures += 1
        self._not_before = now + pause
        return pause

    def changed(self, interval: float, limit: int) -> Pace:
        """The same history under other rules; a failed message is retried at once."""
        new = Pace(interval, limit)
        new._sent.extend(self._sent)
        return new


class Outbox:
    """Collects events into `pending`, which `deliver` sends. A digest that fails is kept, extended and retried.

    `problem` is why the last message was not sent; empty if it was sent.

    :param label: jail and action, for the log.
    """

    def __init__(self, label: str, pace: Pace, deliver: Deliver, at_least: int = 1) -> None:
        self.label, self.pace, self.deliver, self.at_least = label, pace, deliver, at_least
        self.pending = Digest()
        self.problem = ""
        self._first = 0.0
        self._is_draining = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def touch(self) -> None:
        """Schedule a message after something was added to `pending`."""
        if not self.pending:
            return
        loop = asyncio.get_running_loop()
        if (self._task is None or self._task.done()) and self._is_enough():
            self._first = loop.time()
            self._task = loop.create_task(self._run(), name=f"mail {self.label}")

    def change(self, interval: float, limit: int, at_least: int) -> None:
        """Switch to other rules; a failed digest is retried at once."""
        self.pace, self.at_least = self.pace.changed(interval, limit), at_least
        self._wake.set()
        self.touch()

    async def drain(self) -> None:
        """Send what is pending now; drop it if that takes longer than 12 s."""
        self._is_draining = True
        self._wake.set()
        self.touch()
        if self._task is not None and not self._task.done():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._task, _DRAIN_TIME)
        if self.pending:
            logger.error("[%s] %d bans and unbans were not reported by mail", self.label, len(self.pending))
        self.pending = Digest()
        self._is_draining = False

    def _is_enough(self) -> bool:
        pending = self.pending
        return self._is_draining or pending.started or pending.stopped or len(pending) >= self.at_least

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self.pending and self._is_enough():
            await self._wait()
            taken, self.pending = self.pending, Digest()
            is_final = self._is_draining
            try:
                await self.deliver(taken, self.pace.failures >= _SHORT_AFTER)
            except ActionError as error:
                self._failed(taken, error)
                if is_final:
                    return
            except asyncio.CancelledError:
                self._keep(taken)
                raise
            else:
                self._succeeded()
            self._first = loop.time()

    async def _wait(self) -> None:
        """Wait until the pace allows a message, or until `drain` is called."""
        loop = asyncio.get_running_loop()
        while not self._is_draining and (send_time := self.pace.send_time(self._first)) > loop.time():
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(send_time):
                    await self._wake.wait()

    def _keep(self, taken: Digest) -> None:
        taken.merge(self.pending)
        self.pending = taken

    def _succeeded(self) -> None:
        self.pace.sent(asyncio.get_running_loop().time())
        if self.problem:
            logger.warning("[%s] mail is sent again", self.label)
        self.problem = ""

    def _failed(self, taken: Digest, error: ActionError) -> None:
        self._keep(taken)
        pause = self.pace.failed(asyncio.get_running_loop().time())
        problem = f"mail was not sent, retrying: {safe_text(str(error), 500)}"
        if problem != self.problem:
            logger.error("[%s] %s (in %d s)", self.label, problem, pause)
        self.problem = problem
