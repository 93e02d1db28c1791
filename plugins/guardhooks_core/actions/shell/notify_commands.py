"""An action that only tells somebody (mail, report): told once, in the background, so that no ban waits for it."""

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

_WAITING: Final = 1000
"""Bans that may wait to be told; in a greater storm the rest is counted only."""
_LAST_CALL: Final = 15.0
"""Seconds that are given to what still waits when the action stops."""


class Notices:
    """One such action of one jail.

    Bans that were put back, or that were in force before the action began, are not told. A command that fails is
    logged and not repeated: it may have told already.
    """

    def __init__(self, invoker: Invoker) -> None:
        self.invoker = invoker
        self._begun = False
        self._told: dict[str, float] = {}
        self._waiting: deque[Ban] = deque()
        self._task: asyncio.Task[None] | None = None
        self._problem = ""
        self._failed = self._dropped = 0

    @property
    def action(self) -> ActionSpec:
        """The action that is being executed."""
        return self.invoker.action

    @property
    def start_texts(self) -> set[str]:
        """Nothing is built, so nothing is shared."""
        return set()

    @property
    def note(self) -> str:
        """What `status` says."""
        parts = [f"commands of {self.action.file or 'the jail'}"]
        if self._dropped:
            parts.append(f"{self._dropped} not told: too many at a time")
        if self._failed:
            parts.append(f"{self._failed} failed, last: {self._problem}")
        return "; ".join(parts)

    def silence(self) -> None:
        """Do not say again that the jail runs."""
        self._begun = True

    async def start(self, bans: Sequence[Ban]) -> Outcome:
        """Say that the jail runs."""
        self._told.update((ban.id, ban.end) for ban in bans)
        if not self._begun:
            self._begun = True
            families = self.invoker.commands.families
            texts = {self.invoker.commands.text("actionstart", family): family for family in reversed(families)}
            for family in reversed(texts.values()):
                self._ended(await self.invoker.run("actionstart", family), "actionstart")
        return Outcome(note=self.note)

    async def check(self, bans: Sequence[Ban]) -> Outcome:
        """Forget who is no longer banned."""
        due = {ban.id for ban in bans}
        self._told = {id: end for id, end in self._told.items() if id in due}
        return Outcome(note=self.note)

    async def ban(self, bans: Iterable[Ban]) -> None:
        """Tell of new bans, soon."""
        for ban in bans:
            if ban.id in self._told:
                continue
            self._told[ban.id] = ban.end
            if ban.restored:
                continue
            if len(self._waiting) >= _WAITING:
                self._dropped += 1
                continue
            self._waiting.append(ban)
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._tell(), name=f"tell {self.action.actname}")

    async def unban(self, bans: Iterable[Ban]) -> None:
        """The next ban of these is news again."""
        for ban in bans:
            self._told.pop(ban.id, None)

    async def drain(self) -> None:
        """Give what still waits a moment, then give it up."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._task, _LAST_CALL)
        if self._waiting:
            logger.error("[%s] %s: %d bans not told", self.invoker.jail, self.action.actname, len(self._waiting))
        self._waiting.clear()

    async def flush(self) -> None:
        """Say that the jail stops."""
        await self.drain()
        families = self.invoker.commands.families
        texts = {self.invoker.commands.text("actionstop", family): family for family in families}
        for family in texts.values():
            self._ended(await self.invoker.run("actionstop", family), "actionstop")
        self._begun = False

    async def _tell(self) -> None:
        while self._waiting:
            ban = self._waiting.popleft()
            family = self.invoker.commands.family_of(address_of(ban))
            if self.invoker.can_name("actionban", family, ban):
                result = await self.invoker.run("actionban", family, ban)
                self._ended(result, "actionban", ban)

    def _ended(self, result: Result, command: str, ban: Ban | None = None) -> None:
        if not result.ok:
            self._failed += 1
            self._problem = str(self.invoker.error(command, result, ban))
            logger.error("[%s] %s", self.invoker.jail, self._problem)
