"""Actions that a reload takes away: what they built stays until their replacement works; nobody slips through."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from guardhooks.engine.action_worker import ActionState, ActionWorker
from guardhooks.engine.supervisor import Supervisor
from guardhooks.model import Op

Close: TypeAlias = Callable[[ActionWorker, Op], Awaitable[str]]

_TAKEOVER: Final = 15.0
"""Seconds that a reload waits until the new actions of a jail have tried to put its bans in force."""
_LOOK: Final = 1.0
"""Seconds between two looks whether a replacement works by now."""

logger = logging.getLogger("guardhooks.actions")


class OutgoingActions:
    """The workers that are closed when others have taken over from them."""

    def __init__(self, close: Close, supervisor: Supervisor) -> None:
        self._close, self._supervisor = close, supervisor
        self._waiting: defaultdict[str, list[ActionWorker]] = defaultdict(list)

    def of(self, jail: str) -> Sequence[ActionWorker]:
        """Those of a jail that still hold bans."""
        return self._waiting.get(jail, ())

    def take(self, jail: str) -> list[ActionWorker]:
        """Those of a jail, to be closed now."""
        return self._waiting.pop(jail, [])

    async def retire(self, jail: str, workers: Sequence[ActionWorker], replacements: Sequence[ActionWorker]) -> None:
        """Flush workers when the replacements work; returns when that is done, or when it will take longer."""
        self._waiting[jail] += workers
        with suppress(TimeoutError):
            async with asyncio.timeout(_TAKEOVER):
                await asyncio.gather(*(each.tried.wait() for each in replacements))
        if all(map(_works, replacements)):
            await self._flush(jail, workers)
        elif workers:
            names = ", ".join(worker.action.actname for worker in workers)
            logger.warning("[%s] what action %s built stays until its replacement works", jail, names)
            self._supervisor.spawn(self._flush_later(jail, workers, replacements), f"outgoing actions of {jail}")

    async def _flush_later(
        self, jail: str, workers: Sequence[ActionWorker], replacements: Sequence[ActionWorker]
    ) -> None:
        # A replacement has no event for "works by now", and another reload may take over its workers.
        while not all(map(_works, replacements)) and any(each in self._waiting[jail] for each in workers):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)
        await self._flush(jail, workers)

    async def _flush(self, jail: str, workers: Sequence[ActionWorker]) -> None:
        for worker in workers:
            if worker in self._waiting[jail]:
                self._waiting[jail].remove(worker)
                await self._close(worker, Op.FLUSH)


def _works(worker: ActionWorker) -> bool:
    return worker.state is ActionState.ACTIVE and worker.started
