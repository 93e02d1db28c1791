"""One action of one jail: brings it to the desired bans, in batches, checks it, and retries what failed."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from functools import partial
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
"""Seconds between two checks because a banned id was seen again."""
_SOONEST_CHECK: Final = 1.0
"""Seconds between two checks because others changed the firewall."""
_RECHECK_PROBLEM: Final = 10.0
"""Seconds between two checks of an action of which a part does not work."""
_SLICE: Final = 500
"""Bans looked at in one turn of the event loop."""
_CLOSING_TIME: Final = {Op.STOP: 6.0, Op.FLUSH: 20.0}
"""Seconds that an action has to finish when the guard stops; SIGTERM leaves 15 for everything."""
ANSWER_TIME: Final = 60.0
"""Seconds after which an action that has not answered is failing; a tenth of a second more for each ban."""

logger = logging.getLogger("guardhooks.actions")


class ActionState(StrEnum):
    """What can be said of an action as a whole."""

    STARTING = "starting"
    ACTIVE = "active"
    FAILING = "failing"
    NO_HANDLER = "unserved"
    """No plugin handles it: the jail runs degraded, and no ban waits for this action."""


class ActionWorker:
    """One action of one jail. Calls never overlap; what is queued meanwhile goes into the next batch.

    `tried` is set after the first start, whether it succeeded or failed. `started` is True after one succeeded.
    `retries` are the bans that it could not put in force though it is active. `notifies` is True once the action has
    said that it only reports. `done` is called with the bans that an op has done, `found` with bans that the action
    found and nobody had asked for; it returns how many become bans. `failed` is called when bans could not be put in
    force, `became_notifier` with the bans that were queued before the action said that it only reports.
    """

    def __init__(
        self,
        jail: Jail,
        action: ActionSpec,
        execute: Execute,
        *,
        desired: Callable[[ActionWorker], list[Ban]],
        done: Callable[[ActionWorker, Op, Sequence[Ban]], None],
        found: Callable[[ActionWorker, Sequence[Ban]], int],
        failed: Callable[[ActionWorker], None],
        became_notifier: Callable[[ActionWorker, Sequence[Ban]], None],
        reconcile: Callable[[], float],
        supervisor: Supervisor,
        answer_time: float = ANSWER_TIME,
    ) -> None:
        self._answer_time = answer_time
        self._supervisor = supervisor
        self.jail, self.action = jail, action
        self.state = ActionState.STARTING
        self.reason = ""
        self.note = ""
        self.warning = ""
        self.problem = ""
        self.repairs = 0
        self.started = self.notifies = False
        self.retries = Retries()
        self._logged = ""
        self._execute, self._done, self._found = execute, done, found
        self._desired = partial(desired, self)
        self._on_failed, self._became_notifier = failed, became_notifier
        self._reconcile = reconcile
        self._queue: dict[str, tuple[Op, Ban]] = {}
        self._wake = asyncio.Event()
        self._closing = self._restart = False
        self.tried = asyncio.Event()
        self._first: list[Ban] | None = None
        self._tries = 0
        self._next_check = 0.0
        self._last_check = -math.inf
        self._task: asyncio.Task[None] | None = None

    def start(self, desired: list[Ban] | None = None) -> None:
        """Begin with `Op.START` and all desired bans.

        :param desired: these bans, if the caller has them already: making a hundred thousand takes its time.
        """
        self._first = desired
        self._task = self._supervisor.spawn(self._run(), f"action {self.jail.name}/{self.action.actname}")

    def restart(self) -> None:
        """Start the action again with everything that is desired: another plugin may handle it now."""
        self._restart, self._tries = True, 0
        self._wake.set()

    def enqueue(self, op: Op, ban: Ban) -> None:
        """Put a ban or unban into the next batch; the latest request for an id wins."""
        if self.state is ActionState.NO_HANDLER:
            return
        self.retries.forget(ban.id)
        self._queue[ban.id] = (op, ban)
        self._wake.set()

    def apply_interval(self) -> None:
        """Move the next check to where the interval, which has changed, puts it."""
        self._next_check = min(self._next_check, self._last_check + self._reconcile())
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
            async with asyncio.timeout(_CLOSING_TIME[op]):
                if self._task is not None:
                    await self._task
                if self.state is not ActionState.NO_HANDLER:
                    outcome = await self._execute(self.jail, self.action, op, self._desired())
                    if outcome is None and op is Op.FLUSH and self.started:
                        raise ActionError("no plugin handles it any more; what it built is left in place")
        except TimeoutError:
            raise ActionError(f"no answer to {op} within {_CLOSING_TIME[op]:.0f} s") from None
        finally:
            if self._task is not None:
                self._task.cancel()

    # --- the loop -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                if self._restart or self.state in (ActionState.STARTING, ActionState.FAILING):
                    self._restart = False
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
        # What changed since the first desired bans were read is in the queue, and follows.
        bans, self._first = self._desired() if self._first is None else self._first, None
        outcome = await self._compare(Op.START, bans)
        if outcome is None:
            self._lose_handler(bans)
            return
        if self.state is ActionState.FAILING and not (outcome.failed or outcome.problem):
            logger.warning("[%s] action %s works again", self.jail.name, self.action.actname)
        self.state, self.reason = ActionState.ACTIVE, ""
        if outcome.note and outcome.note != self.note and self.action.name != "observe":
            logger.info("[%s] action %s: %s", self.jail.name, self.action.actname, safe_text(outcome.note))
        self.retries.clear()
        self._note_kind(outcome)
        self._apply_outcome(Op.START, bans, outcome)
        self.started = True
        await self._find(outcome.found)

    def _note_kind(self, outcome: Outcome) -> None:
        """The action has said whether it only notifies."""
        was_notifier, self.notifies = self.notifies, outcome.notifies
        if self.notifies and not was_notifier:
            queued = [ban for op, ban in self._queue.values() if op is Op.BAN]
            self._queue = {id: each for id, each in self._queue.items() if each[0] is not Op.BAN}
            self._became_notifier(self, queued)
        elif was_notifier and not self.notifies:
            self.check_now()  # It was started without the bans that were held back from it.

    def _lose_handler(self, bans: Sequence[Ban]) -> None:
        """No plugin handles the action; `bans` are those that it should put in force."""
        self.state, self.reason = ActionState.NO_HANDLER, self._no_handler()
        logger.error("[%s] %s", self.jail.name, self.reason)
        self._queue.clear()
        self.retries.clear()
        self._wake.clear()
        self._done(self, Op.START, bans)
        self._on_failed(self)

    async def _work(self) -> None:
        batch, self._queue = self._queue, {}
        self._wake.clear()
        for op in (Op.UNBAN, Op.BAN):
            bans = [ban for wanted, ban in batch.values() if wanted is op]
            if op is Op.BAN:
                bans += [ban for ban in self.retries.due(self._now()) if ban.id not in batch]
            if not bans:
                continue
            try:
                outcome = await self._answer(op, bans)
            except (ActionError, MemoryError):
                # Done after the restart of the action; a newer request for an id is not overwritten.
                self._queue = {**batch, **self._queue}
                raise
            if outcome is None:
                self._lose_handler(self._desired())
                return
            self._apply_outcome(op, bans, outcome)
        if self._next_check <= self._now():
            await self._check()

    async def _check(self) -> None:
        bans = self._desired()
        outcome = await self._compare(Op.CHECK, bans)
        if outcome is None:
            self._lose_handler(bans)
            return
        self._apply_outcome(Op.CHECK, bans, outcome)
        if outcome.added or outcome.removed:
            self.repairs += 1
            logger.warning(
                "[%s] action %s: kernel state differed from desired bans; repaired: %d added, %d removed %s",
                self.jail.name, self.action.actname, outcome.added, outcome.removed, safe_text(outcome.note),
            )  # fmt: skip
        await self._find(outcome.found)

    async def _compare(self, op: Op, bans: Sequence[Ban]) -> Outcome | None:
        """Start or check. A check requested meanwhile is made as well: the kernel may have been read before that."""
        self._next_check = math.inf
        try:
            return await self._answer(op, bans)
        finally:
            self._last_check = self._now()
            self._next_check = min(self._next_check, self._last_check + self._reconcile())

    async def _answer(self, op: Op, bans: Sequence[Ban]) -> Outcome | None:
        """Have an op done. An action that hangs is failing meanwhile; its next call still waits for this one to end."""
        seconds = self._answer_time + 0.1 * len(bans)
        call = asyncio.ensure_future(self._execute(self.jail, self.action, op, bans))
        try:
            done, _ = await asyncio.wait({call}, timeout=seconds)
            if done:
                return call.result()
            state, self.state = self.state, ActionState.FAILING
            self.reason = f"no answer to {op} for {seconds:.0f} s; still waiting for it"
            logger.error("[%s] action %s: %s", self.jail.name, self.action.actname, self.reason)
            outcome = await call
        except asyncio.CancelledError:
            call.cancel()
            raise
        if state is ActionState.ACTIVE:
            self.state, self.reason = state, ""
            logger.warning("[%s] action %s answers again", self.jail.name, self.action.actname)
        return outcome

    # --- what came of it ----------------------------------------------------------------------------------------------

    def _apply_outcome(self, op: Op, bans: Sequence[Ban], outcome: Outcome) -> None:
        """Apply the outcome of an op that did not fail as a whole."""
        if op in {Op.START, Op.CHECK}:
            self.note, self.warning = outcome.note or self.note, outcome.warning
            self._note_problem(safe_text(outcome.problem))
        else:
            self.warning = outcome.warning or self.warning
            if outcome.problem:
                self._note_problem(safe_text(outcome.problem))
        # What was queued meanwhile is newer than this outcome, and is not overwritten by it.
        failed = {id: reason for id, reason in outcome.failed.items() if id not in self._queue}
        recovered = self.retries.record(op, bans, failed, self._now())
        self._log_retries()
        if op is Op.CHECK:
            self._done(self, op, recovered)
        else:
            self._done(self, op, [ban for ban in bans if ban.id not in outcome.failed])
        if failed:
            self._on_failed(self)

    def _note_problem(self, problem: str) -> None:
        """A part of the action does not work yet; it is checked again soon."""
        if problem and problem != self.problem:
            logger.error("[%s] action %s: %s", self.jail.name, self.action.actname, problem)
        elif self.problem and not problem:
            logger.warning("[%s] action %s is complete again", self.jail.name, self.action.actname)
        self.problem = problem
        if problem:
            self._next_check = min(self._next_check, self._now() + _RECHECK_PROBLEM)

    def _log_retries(self) -> None:
        reason = safe_text(self.retries.reason())
        if reason and not self._logged:
            logger.error(
                "[%s] action %s: not in force, retrying (%d): %s",
                self.jail.name, self.action.actname, len(self.retries), reason,
            )  # fmt: skip
        elif self._logged and not reason:
            logger.warning("[%s] action %s: all bans are in force again", self.jail.name, self.action.actname)
        self._logged = reason

    async def _find(self, found: Sequence[Ban]) -> None:
        """Hand on what the action found, except what was unbanned or banned again meanwhile; it may be very much."""
        adopted = 0
        for start in range(0, len(found), _SLICE):
            adopted += self._found(self, [ban for ban in found[start : start + _SLICE] if ban.id not in self._queue])
            await asyncio.sleep(0)
        if adopted:
            logger.log(NOTICE, "[%s] found in the firewall and added to the ledger: %d", self.jail.name, adopted)

    def _failed(self, error: Exception) -> float:
        reason = safe_text(resource_exhaustion(error) or str(error)).replace(f"action {self.action.actname}: ", "", 1)
        if reason != self.reason:
            logger.error("[%s] action %s failed, retrying: %s", self.jail.name, self.action.actname, reason)
        self.state, self.reason = ActionState.FAILING, reason
        self._on_failed(self)
        pause = _BACKOFF[min(self._tries, len(_BACKOFF) - 1)]
        self._tries += 1
        return pause

    async def _sleep(self, seconds: float | None, *, until_queued: bool) -> None:
        """Wait for work, or for the time; a failing action waits its time out, unless the guard closes or reloads."""
        if self._restart:
            return  # asked for while the loop was at work, which clears the event
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
                while not (until_queued or self._closing or self._restart):
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
            near = f"; did you mean {self.action.nearest!r}?" if self.action.nearest else ""
            file = f"nor is there a file of that name in action.d{near}"
        place = f"{self.action.place}: " if self.action.place else ""
        return f"{place}no plugin serves action {self.action.name!r}; {file}"
