"""Which families of an action are started: building, checking, repairing and removing what `actionstart` builds."""

from __future__ import annotations

import logging
from collections.abc import Callable

from guardhooks_core.actions.shell.invocation import Invoker

logger = logging.getLogger("guardhooks.shell")


class Families:
    """The families of one action.

    :param shared: whether another action of this daemon runs this very `actionstart` too: then it is not run again,
        and what it built is not torn down with this action.
    """

    def __init__(self, invoker: Invoker, shared: Callable[[str], bool]) -> None:
        self.invoker = invoker
        self._shared = shared
        self.started: dict[str, str] = {}
        """Family → its `actionstart`, in the order of their starts."""

    async def start(self, family: str) -> bool:
        """Start a family unless it is; whether it had to be. Raises ActionError."""
        if family in self.started:
            return False
        text = self._text(family)
        if text and text not in self.started.values() and not self._shared(text):
            await self.invoker.demand("actionstart", family)
        self.started[family] = text
        return True

    def adopt(self, family: str) -> None:
        """Take a family for started."""
        self.started[family] = self._text(family)

    def is_shared(self, family: str) -> bool:
        """Whether another action has built on the same."""
        text = self.started.get(family, self._text(family))
        return bool(text) and self._shared(text)

    async def reload(self, invoker: Invoker) -> None:
        """Go on with changed commands. Raises ActionError."""
        self.invoker = invoker
        for family in self.started:
            await invoker.demand("actionreload", family)
            self.started[family] = self._text(family)

    async def stands(self, family: str) -> bool | None:
        """What `actioncheck` says; None where there is none."""
        if not self.invoker.has("actioncheck", family):
            return None
        return (await self.invoker.run("actioncheck", family)).ok

    async def broken(self) -> list[str]:
        """The started families that do not stand."""
        return [family for family in self.started if await self.stands(family) is False]

    async def rebuild(self, family: str) -> None:
        """Repair a broken family; no ban is in force in it afterwards. Raises ActionError."""
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
        """Remove what was built; one text that serves two families is run once. Raises ActionError."""
        done: set[str] = set()
        for family in [family for family in self.started if not self.is_shared(family)]:
            text = self.invoker.commands.text("actionstop", family)
            if text not in done:
                done.add(text)
                await self._stop(family)
        self.started.clear()

    async def _stop(self, family: str) -> None:
        result = await self.invoker.run("actionstop", family)
        # Where somebody else has cleared it away there is nothing to remove.
        if not result.ok and await self.stands(family) is not False:
            raise self.invoker.error("actionstop", result)

    def _text(self, family: str) -> str:
        return self.invoker.commands.text("actionstart", family)
