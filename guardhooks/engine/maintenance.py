"""What a guard does at intervals: bans and pauses end, the clock is watched, the ledger is written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from guardhooks.engine.ban_guard import BanGuard
from guardhooks.engine.bans import Bans
from guardhooks.engine.configuration import LiveConfiguration
from guardhooks.engine.enforcer import Enforcer
from guardhooks.engine.ledger_writer import LedgerWriter
from guardhooks.engine.runtime_changes import RuntimeChanges
from guardhooks.engine.sources import Sources, SourceStateLogger
from guardhooks.ledger import Ledger
from guardhooks.plugins.faults import resource_exhaustion
from guardhooks.text import safe_text

_TICK: Final = 0.5
"""Seconds between two rounds."""
_CLOCK_STEP: Final = 60.0
"""A round that comes so many seconds late, or early, means that the clock was set or the machine slept."""

logger = logging.getLogger("guardhooks.actions")


class Maintenance:
    """The maintenance loop of one guard."""

    def __init__(  # noqa: PLR0917 -- its collaborators
        self,
        configuration: LiveConfiguration,
        ledger: Ledger,
        writer: LedgerWriter,
        bans: Bans,
        enforcer: Enforcer,
        ban_guard: BanGuard,
        sources: Sources,
        changes: RuntimeChanges,
        clock: Callable[[], float],
    ) -> None:
        self._configuration = configuration
        self._ledger, self._writer, self._bans = ledger, writer, bans
        self._enforcer, self._ban_guard, self._sources = enforcer, ban_guard, sources
        self._changes = changes
        self._clock = clock
        self._last_round = clock()
        self._problem = ""
        self._source_states = SourceStateLogger()

    async def run(self) -> None:
        """Work until cancelled."""
        self._last_round = self._clock()
        while True:
            await asyncio.sleep(_TICK)
            problem = ""
            for step in (self._round, self._writer.write):
                try:
                    await step()
                except Exception as error:  # noqa: BLE001 -- whatever it is, ending would not help
                    problem = resource_exhaustion(error) or f"{type(error).__name__}: {error}"
            self._tell(problem)

    def _tell(self, problem: str) -> None:
        """Log what keeps a round from being complete when it begins and when it is over."""
        if problem and problem != self._problem:
            logger.error("ending bans, or watching the clock, failed and is retried: %s", safe_text(problem))
        elif self._problem and not problem:
            logger.warning("ending bans and watching the clock works again")
        self._problem = problem

    async def _round(self) -> None:
        now = self._clock()
        if abs(now - self._last_round) > _CLOCK_STEP:
            self._follow_clock(now)
        self._last_round = now
        self._bans.expire(now)
        if self._configuration.plugins.retry():
            await self._sources.refresh()
        await self._changes.end_due(now)
        if await self._ban_guard.refresh():
            await self._bans.lift_unsafe()
        self._source_states.look(self._sources.states(), now)

    def _follow_clock(self, now: float) -> None:
        """The clock was set, or the machine slept: bans end by the clock, timeouts in the kernel are corrected."""
        moved = now - self._last_round
        number = self._ledger.set_back(now) if moved < 0 else 0
        logger.warning(
            "the clock jumped %s by %.0f s: %s now instead of later, expired ones end, others are checked",
            "back" if moved < 0 else "forward", abs(moved), "1 ban starts" if number == 1 else f"{number} bans start",
        )  # fmt: skip
        for name in self._configuration.jails:
            self._enforcer.check_now(name)
