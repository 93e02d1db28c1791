"""The started families of an action: builds, checks, repairs and removes what `actionstart` builds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from guardhooks_core.actions.shell.invocation import Invoker
from guardhooks_core.actions.shell.process import Result

logger = logging.getLogger("guardhooks.shell")

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 3600.0
"""Seconds between two attempts at an `actionstart` that fails; each pause is three times as long as the one before."""


@dataclass(frozen=True, slots=True)
class FailedStart:
    """An `actionstart` that failed: why, when it is run again, and the pause before that, in seconds."""

    reason: str
    retry_at: float
    pause: float


class Families:
    """The families of one action.

    :param shared: whether another action of this daemon runs the same `actionstart`: then it is not run again, and what
        it built is not removed with this action.
    """

    def __init__(self, invoker: Invoker, shared: Callable[[str], bool]) -> None:
        self.invoker = invoker
        self._shared = shared
        self.started: dict[str, str] = {}
        """Family → its `actionstart`, in the order in which they were started."""
        self.failed: dict[str, FailedStart] = {}
        """The families whose `actionstart` failed: their bans are tried all the same."""
        self.doubted: dict[str, str] = {}
        """The families whose `actioncheck` fails though they have just been started, and how: it proves nothing."""

    async def start(self, family: str) -> bool:
        """Start a family unless it is started or waits for its next attempt; whether `actionstart` was attempted.

        It never raises: what an `actionstart` built before it failed is often all that the bans need.
        """
        failed = self.failed.get(family)
        if family in self.started or (failed is not None and self.invoker.now < failed.retry_at):
            return False
        text = self.text(family)
        is_built = text in self.started.values() or self._shared(text)
        if text and not is_built:
            result = await self._build(family, is_first=failed is None)
            if not result.ok:
                self._failed(family, result)
                return True
        self.failed.pop(family, None)
        self.started[family] = text
        if not is_built:
            await self._try_check(family)
        return True

    async def _try_check(self, family: str) -> None:
        """Find out whether the check can tell something that is broken from what has just been built."""
        result = await self.invoker.run("actioncheck", family)
        if result.ok:
            self.doubted.pop(family, None)
        else:
            self.doubted[family] = str(self.invoker.error("actioncheck", result))

    async def _build(self, family: str, *, is_first: bool) -> Result:
        """Run `actionstart`; if the first one fails and the check finds leftovers, clear those and run it once more."""
        result = await self.invoker.run("actionstart", family)
        if result.ok or not is_first or not await self.is_intact(family) or not await self.clear(family):
            return result
        return await self.invoker.run("actionstart", family)

    def _failed(self, family: str, result: Result) -> None:
        former = self.failed.get(family)
        pause = min(_LONGEST_PAUSE, former.pause * 3) if former else _FIRST_PAUSE
        reason = str(self.invoker.error("actionstart", result))
        self.failed[family] = FailedStart(reason, self.invoker.now + pause, pause)

    @property
    def problem(self) -> str:
        """What keeps a family from being started; empty if nothing does."""
        starts = dict.fromkeys(failed.reason for failed in self.failed.values())
        reasons = [f"{reason}; bans are tried all the same, actionstart is retried" for reason in starts]
        checks = dict.fromkeys(self.doubted.values())
        reasons += [
            f"{reason}, though started just before; nobody notices if its bans are removed" for reason in checks
        ]
        return "; ".join(reasons)

    async def clear(self, family: str) -> bool:
        """Run what removes bans, and what removes everything that was built; whether any of it succeeded."""
        cleared = False
        for command in ("actionflush", "actionstop"):
            if self.invoker.has(command, family):
                cleared = (await self.invoker.run(command, family)).ok or cleared
        return cleared

    def adopt(self, family: str) -> None:
        """Treat a family as started."""
        self.started[family] = self.text(family)

    def is_shared(self, family: str) -> bool:
        """Whether another action uses the same structure."""
        text = self.started.get(family, self.text(family))
        return bool(text) and self._shared(text)

    async def reload(self, invoker: Invoker) -> None:
        """Switch to changed commands.

        :raises ActionError: if `actionreload` fails.
        """
        self.invoker = invoker
        for family in self.started:
            await invoker.demand("actionreload", family)
            self.started[family] = self.text(family)
        self.failed.clear()  # The changed commands may do better.
        self.doubted.clear()

    async def is_intact(self, family: str) -> bool | None:
        """What `actioncheck` says; None if there is none that can be believed."""
        if not self.invoker.has("actioncheck", family):
            return None
        if (await self.invoker.run("actioncheck", family)).ok:
            self.doubted.pop(family, None)
            return True
        return None if family in self.doubted else False

    async def broken(self) -> list[str]:
        """The started families that fail their `actioncheck`."""
        return [family for family in self.started if await self.is_intact(family) is False]

    async def rebuild(self, family: str) -> None:
        """Repair a broken family; no ban is in force in it afterwards."""
        name = self.invoker.action.actname
        logger.error("[%s] %s: Invariant check failed. Trying to restore a sane environment", self.invoker.jail, name)
        if self.invoker.has("actionrepair", family):
            await self.invoker.run("actionrepair", family)
            await self._try_check(family)
        else:
            await self.invoker.run("actionstop", family)
            result = await self._build(family, is_first=False)
            if result.ok:
                await self._try_check(family)
            else:
                del self.started[family]
                self._failed(family, result)
        if family in self.doubted:
            logger.critical("[%s] %s: Unable to restore environment: %s", self.invoker.jail, name, self.doubted[family])

    async def stop(self) -> None:
        """Remove what was built; a command that is the same for two families runs once.

        :raises ActionError: if `actionstop` fails.
        """
        done: set[str] = set()
        for family in [family for family in self.started if not self.is_shared(family)]:
            text = self.text(family, "actionstop")
            if text not in done:
                done.add(text)
                await self._stop(family)
        for family in self.failed:
            text = self.text(family, "actionstop")
            if text not in done:
                done.add(text)
                await self.invoker.run("actionstop", family)  # may well fail: not everything was built
        self.started.clear()
        self.failed.clear()
        self.doubted.clear()

    async def _stop(self, family: str) -> None:
        result = await self.invoker.run("actionstop", family)
        # If someone else has removed it already, there is nothing to remove.
        if not result.ok and await self.is_intact(family) is not False:
            raise self.invoker.error("actionstop", result)

    def text(self, family: str, command: str = "actionstart") -> str:
        """A command as far as two families, or two jails, can share what it does."""
        return self.invoker.commands.text(command, family).replace("<family>", family)
