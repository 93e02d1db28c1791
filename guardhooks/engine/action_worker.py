"""One action of one jail: brings it to what is due, in batches, checks it, and tries again what failed."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Final, TypeAlias

from guardhooks.engine.retries import Retries
from guardhooks.engine.supervisor import Supervisor
from guardhooks.errors import ActionError
from guardhooks.logs import NOTICE
from guardhooks.model import ActionSpec, Ban, Jail, Op, Outcome
from guardhooks.plugins.faults import resource_exhaustion
from guardhooks.text import safe_text

Execute: TypeAlias = Callable[[Jail, ActionSpec, Op, Sequence[Ban]], Awaitable[Outcome | None]]

_BACKOFF: Final = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
_SOONEST_RECHECK: Final = 5.0
"""Seconds between two checks that failures of banned ids ask for."""
_SOONEST_CHECK: Final = 1.0
"""Seconds between two checks that changes by others ask for."""
_SLICE: Final = 500
"""Bans looked at in one turn of the event loop."""
_LAST_CALL: Final = 20.0
"""Seconds that an action has to finish when the guard stops."""

logger = logging.getLogger("guardhooks.actions")


class ActionState(StrEnum):
    """What can be said of an action as a whole."""

    STARTING = "starting"
    ACTIVE = "active"
    FAILING = "failing"
    NO_HANDLER = "unserved"
    """No plugin serves it: the jail runs degraded, and nobody waits for this action."""


class ActionWorker:
    """One action of one jail. Calls never overlap; what is asked meanwhile goes into the next batch.

    `tried` is set when it has been started once, well or not.
    `retries` are the bans that it could not put in force though it is active. `done` is told which bans an op has
    done, `found` which bans the action found that nobody had asked for; it says how many of them become bans.
    """

    def __init__(
        self,
        jail: Jail,
        action: ActionSpec,
        execute: Execute,
        *,
        desired: Callable[[], list[Ban]],
        done: Callable[[ActionWorker, Op, Sequence[Ban]], None],
        found: Callable[[ActionWorker, Sequence[Ban]], int],
        reconcile: float,
        supervisor: Supervisor,
    ) -> None:
        self._supervisor = supervisor
        self.jail, self.action = jail, action
        self.state = ActionState.STARTING
        self.reason = ""
        self.note = ""
        self.warning = ""
        self.repairs = 0
        self.started = False
        self.retries = Retries()
        self._logged = ""
        self._execute, self._desired, self._done, self._found = execute, desired, done, found
        self._reconcile = reconcile
        self._queue: dict[str, tuple[Op, Ban]] = {}
        self._wake = asyncio.Event()
        self._closing = False
        self.tried = asyncio.Event()
        self._first: list[Ban] | None = None
        self._tries = 0
        self._next_check = 0.0
        self._last_check = -math.inf
        self._task: asyncio.Task[None] | None = None

    def start(self, due: list[Ban] | None = None) -> None:
        """Begin; the first thing done is `Op.START` with everything that is due.

        :param due: what is due now, where that is known: making a hundred thousand bans takes its time.
        """
        self._first = due
        self._task = self._supervisor.spawn(self._run(), f"action {self.jail.name}/{self.action.actname}")

    def enqueue(self, op: Op, ban: Ban) -> None:
        """Put a ban or unban into the next batch; the latest word about an id holds."""
        if self.state is ActionState.NO_HANDLER:
            return
        self.retries.forget(ban.id)
        self._queue[ban.id] = (op, ban)
        self._wake.set()

    def check_soon(self) -> None:
        """Compare with the kernel now, unless that has just been done."""
        if self._now() - self._last_check >= _SOONEST_RECHECK:
            self.check_now()

    def check_now(self) -> None:
        """Compare with the kernel now, or a second after the last time; a check under way does not count."""
        self._next_check = min(self._next_check, max(self._now(), self._last_check + _SOONEST_CHECK))
        self._wake.set()

    async def close(self, op: Op) -> None:
        """Finish what is under way, then `Op.STOP` (bans stay) or `Op.FLUSH` (they go).

        :raises ActionError: when the action could not do it in time.
        """
        self._closing = True
        self._wake.set()
        try:
            async with asyncio.timeout(_LAST_CALL):
                if self._task is not None:
                    await self._task
                if self.state is not ActionState.NO_HANDLER:
                    await self._execute(self.jail, self.action, op, self._desired())
        except TimeoutError:
            raise ActionError(f"no answer to {op} within {_LAST_CALL:.0f} s") from None
        finally:
            if self._task is not None:
                self._task.cancel()

    # --- the loop -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                if self.state in (ActionState.STARTING, ActionState.FAILING):
                    await self._start()
                if self.state is ActionState.ACTIVE:
                    await self._work()
                self._tries = 0
                pause = self._until_next()
            except (ActionError, MemoryError) as error:
                pause = self._failed(error)
            self.tried.set()
            if self._closing:
                return
            await self._sleep(pause, until_queued=self.state is not ActionState.FAILING)

    def _until_next(self) -> float | None:
        if self.state is ActionState.NO_HANDLER:
            return None
        return max(0.0, min(self._next_check, self.retries.retry_at) - self._now())

    async def _start(self) -> None:
        # What has changed since the first due bans were looked up has been asked for, and follows.
        bans, self._first = self._desired() if self._first is None else self._first, None
        outcome = await self._compare(Op.START, bans)
        if outcome is None:
            self.state, self.reason = ActionState.NO_HANDLER, self._no_handler()
            logger.error("[%s] %s", self.jail.name, self.reason)
            self._queue.clear()
            self._wake.clear()
            self._done(self, Op.START, bans)
            return
        if self.state is ActionState.FAILING:
            logger.warning("[%s] action %s works again", self.jail.name, self.action.actname)
        self.state, self.reason = ActionState.ACTIVE, ""
        if outcome.note and outcome.note != self.note and self.action.name != "observe":
            logger.info("[%s] action %s: %s", self.jail.name, self.action.actname, safe_text(outcome.note))
        self.retries.clear()
        self._apply_outcome(Op.START, bans, outcome)
        self.started = True
        await self._find(outcome.found)

    async def _work(self) -> None:
        asked, self._queue = self._queue, {}
        self._wake.clear()
        for op in (Op.UNBAN, Op.BAN):
            bans = [ban for wanted, ban in asked.values() if wanted is op]
            if op is Op.BAN:
                bans += [ban for ban in self.retries.due(self._now()) if ban.id not in asked]
            if not bans:
                continue
            try:
                outcome = await self._execute(self.jail, self.action, op, bans)
            except (ActionError, MemoryError):
                # Asked again after the restart of the action; a newer word about an id is not overwritten.
                self._queue = {**asked, **self._queue}
                raise
            self._apply_outcome(op, bans, outcome or Outcome())
        if self._next_check <= self._now():
            await self._check()

    async def _check(self) -> None:
        bans = self._desired()
        outcome = await self._compare(Op.CHECK, bans)
        if outcome is None:
            return
        self._apply_outcome(Op.CHECK, bans, outcome)
        if outcome.added or outcome.removed:
            self.repairs += 1
            logger.warning(
                "[%s] action %s: what the kernel held was not what is due: %d added, %d removed %s",
                self.jail.name, self.action.actname, outcome.added, outcome.removed, safe_text(outcome.note),
            )  # fmt: skip
        await self._find(outcome.found)

    async def _compare(self, op: Op, bans: Sequence[Ban]) -> Outcome | None:
        """Start or check; what is asked for meanwhile stays due, for the kernel may have been read before it."""
        self._next_check = math.inf
        try:
            return await self._execute(self.jail, self.action, op, bans)
        finally:
            self._last_check = self._now()
            self._next_check = min(self._next_check, self._last_check + self._reconcile)

    # --- what came of it ----------------------------------------------------------------------------------------------

    def _apply_outcome(self, op: Op, bans: Sequence[Ban], outcome: Outcome) -> None:
        """Take in how an op went that did not fail as a whole."""
        if op in {Op.START, Op.CHECK}:
            self.note, self.warning = outcome.note or self.note, outcome.warning
        else:
            self.warning = outcome.warning or self.warning
        # What was asked for meanwhile is news to the action: a newer word about an id is not overwritten.
        failed = {id: reason for id, reason in outcome.failed.items() if id not in self._queue}
        mended = self.retries.record(op, bans, failed, self._now())
        self._log_retries()
        if op is Op.CHECK:
            self._done(self, op, mended)
        else:
            self._done(self, op, [ban for ban in bans if ban.id not in outcome.failed])

    def _log_retries(self) -> None:
        reason = safe_text(self.retries.reason())
        if reason and not self._logged:
            logger.error(
                "[%s] action %s: not in force, tried again (%d): %s",
                self.jail.name, self.action.actname, len(self.retries), reason,
            )  # fmt: skip
        elif self._logged and not reason:
            logger.warning("[%s] action %s: all bans are in force again", self.jail.name, self.action.actname)
        self._logged = reason

    async def _find(self, found: Sequence[Ban]) -> None:
        """Hand on what the action found, save what was lifted or banned anew meanwhile; it may be very much."""
        adopted = 0
        for start in range(0, len(found), _SLICE):
            adopted += self._found(self, [ban for ban in found[start : start + _SLICE] if ban.id not in self._queue])
            await asyncio.sleep(0)
        if adopted:
            logger.log(NOTICE, "[%s] found in force and taken into the ledger: %d", self.jail.name, adopted)

    def _failed(self, error: Exception) -> float:
        reason = safe_text(resource_exhaustion(error) or str(error)).replace(f"action {self.action.actname}: ", "", 1)
        if reason != self.reason:
            logger.error("[%s] action %s failed, is tried again: %s", self.jail.name, self.action.actname, reason)
        self.state, self.reason = ActionState.FAILING, reason
        pause = _BACKOFF[min(self._tries, len(_BACKOFF) - 1)]
        self._tries += 1
        return pause

    async def _sleep(self, seconds: float | None, *, until_queued: bool) -> None:
        """Wait for work, or for the time; a failing action waits its time out, unless the guard closes."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
                while not until_queued and not self._closing:
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError:
            return

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _no_handler(self) -> str:
        if self.action.name.endswith(".py"):
            file = "fail2ban's Python actions are not run, a plugin takes their place: see docs/plugins.md"
        elif self.action.file:
            file = f"{self.action.file} needs one"
        else:
            file = "nor is there a file of that name in action.d"
        place = f"{self.action.place}: " if self.action.place else ""
        return f"{place}no plugin serves action {self.action.name!r}; {file}"
