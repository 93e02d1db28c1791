"""The started families of an action: builds, checks, repairs and removes what `actionstart` builds."""

from __future__ import annotations

import logging
from collections.abc import Callable

from guardhooks_core.actions.shell.invocation import Invoker

logger = logging.getLogger("guardhooks.shell")


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

    async def start(self, family: str) -> bool:
        """Start a family unless it is started; whether it had to be.

        :raises ActionError: if `actionstart` fails.
        """
        if family in self.started:
            return False
        text = self._text(family)
        if text and text not in self.started.values() and not self._shared(text):
            await self.invoker.demand("actionstart", family)
        self.started[family] = text
        return True

    def adopt(self, family: str) -> None:
        """Treat a family as started."""
        self.started[family] = self._text(family)

    def is_shared(self, family: str) -> bool:
        """Whether another action uses the same structure."""
        text = self.started.get(family, self._text(family))
        return bool(text) and self._shared(text)

    async def reload(self, invoker: Invoker) -> None:
        """Switch to changed commands.

        :raises ActionError: if `actionreload` fails.
        """
        self.invoker = invoker
        for family in self.started:
            await invoker.demand("actionreload", family)
            self.started[family] = self._text(family)

    async def is_intact(self, family: str) -> bool | None:
        """What `actioncheck` says; None if there is none."""
        if not self.invoker.has("actioncheck", family):
            return None
        return (await self.invoker.run("actioncheck", family)).ok

    async def broken(self) -> list[str]:
        """The started families that fail their `actioncheck`."""
        return [family for family in self.started if await self.is_intact(family) is False]

    async def rebuild(self, family: str) -> None:
        """Repair a broken family; no ban is in force in it afterwards.

        :raises ActionError: if it is still broken.
        """
        name = self.invoker.action.actname
        logger.error("[%s] %s: Invariant check failed. Trying to restore a sane environment", self.invoker.jail, name)
        if self.invoker.has("actionrepair", family):
            await self.invoker.demand("actionrepair", family)
        else:
            await self.invoker.run("actionstop", family)
            await self.invoker.demand("actionstart", family)
        result = await self.invoker.run("actioncheck", family)
        if not result.ok:
            logger.critical("[%s] %s: Unable to restore environment: %s", self.invoker.jail, name, result)
            raise self.invoker.error("actioncheck", result)

    async def stop(self) -> None:
        """Remove what was built; a command that is the same for two families runs once.

        :raises ActionError: if `actionstop` fails.
        """
        done: set[str] = set()
        for family in [family for family in self.started if not self.is_shared(family)]:
            text = self.invoker.commands.text("actionstop", family)
            if text not in done:
                done.add(text)
                await self._stop(family)
        self.started.clear()

    async def _stop(self, family: str) -> None:
        result = await self.invoker.run("actionstop", family)
        # If someone else has removed it already, there is nothing to remove.
        if not result.ok and await self.is_intact(family) is not False:
            raise self.invoker.error("actionstop", result)

    def _text(self, family: str) -> str:
        return self.invoker.commands.text("actionstart", family)
