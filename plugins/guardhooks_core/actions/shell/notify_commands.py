"""An action that only notifies (mail, report): its command runs once per ban, in the background."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from guardhooks import ActionSpec, Ban, Outcome
from guardhooks_core.actions.common.offender import address_of
from guardhooks_core.actions.shell.invocation import Invoker
from guardhooks_core.actions.shell.process import Result

logger = logging.getLogger("guardhooks.shell")

_QUEUE_LIMIT: Final = 1000
"""Bans that may wait; further ones are only counted."""
_DRAIN_TIME: Final = 15.0
"""Seconds that waiting notifications get when the action stops."""


class Notifications:
    """One such action of one jail.

    Restored bans, and bans that were in force before the action started, are not reported. A command that fails is
    logged and not repeated: it may have delivered its message.
    """

    def __init__(self, invoker: Invoker) -> None:
        self.invoker = invoker
        self._started = False
        self._reported: dict[str, float] = {}
        self._waiting: deque[Ban] = deque()
        self._task: asyncio.Task[None] | None = None
        self._problem = ""
        self._failed = self._dropped = 0

    @property
    def action(self) -> ActionSpec:
        """The action being executed."""
        return self.invoker.action

    @property
    def start_texts(self) -> set[str]:
        """Nothing is built, so nothing is shared."""
        return set()

    @property
    def note(self) -> str:
        """The note for `status`."""
        parts = [f"commands of {self.action.file or 'the jail'}"]
        if self._dropped:
            parts.append(f"{self._dropped} not reported: too many at once")
        if self._failed:
            parts.append(f"{self._failed} failed, last: {self._problem}")
        return "; ".join(parts)

    def silence(self) -> None:
        """Do not report the start of the jail again."""
        self._started = True

    async def start(self, bans: Sequence[Ban]) -> Outcome:
        """Report the start of the jail."""
        self._reported.update((ban.id, ban.end) for ban in bans)
        if not self._started:
            self._started = True
            families = self.invoker.commands.families
            texts = {self.invoker.commands.text("actionstart", family): family for family in reversed(families)}
            for family in reversed(texts.values()):
                self._log_failure(await self.invoker.run("actionstart", family), "actionstart")
        return Outcome(note=self.note)

    async def check(self, bans: Sequence[Ban]) -> Outcome:
        """Drop the ids that are no longer banned."""
        active = {ban.id for ban in bans}
        self._reported = {id: end for id, end in self._reported.items() if id in active}
        return Outcome(note=self.note)

    async def ban(self, bans: Iterable[Ban]) -> None:
        """Queue new bans for their notification."""
        for ban in bans:
            if ban.id in self._reported:
                continue
            self._reported[ban.id] = ban.end
            if ban.restored:
                continue
            if len(self._waiting) >= _QUEUE_LIMIT:
                self._dropped += 1
                continue
            self._waiting.append(ban)
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._notify(), name=f"notify {self.action.actname}")

    async def unban(self, bans: Iterable[Ban]) -> None:
        """The next ban of these ids is reported again."""
        for ban in bans:
            self._reported.pop(ban.id, None)

    async def drain(self) -> None:
        """Wait a while for queued notifications, then drop them."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._task, _DRAIN_TIME)
        if self._waiting:
            logger.error("[%s] %s: %d bans not reported", self.invoker.jail, self.action.actname, len(self._waiting))
        self._waiting.clear()

    async def flush(self) -> None:
        """Report the stop of the jail."""
        await self.drain()
        families = self.invoker.commands.families
        texts = {self.invoker.commands.text("actionstop", family): family for family in families}
        for family in texts.values():
            self._log_failure(await self.invoker.run("actionstop", family), "actionstop")
        self._started = False

    async def _notify(self) -> None:
        while self._waiting:
            ban = self._waiting.popleft()
            family = self.invoker.commands.family_of(address_of(ban))
            if self.invoker.can_name("actionban", family, ban):
                result = await self.invoker.run("actionban", family, ban)
                self._log_failure(result, "actionban", ban)

    def _log_failure(self, result: Result, command: str, ban: Ban | None = None) -> None:
        if not result.ok:
            self._failed += 1
            self._problem = str(self.invoker.error(command, result, ban))
            logger.error("[%s] %s", self.invoker.jail, self._problem)
