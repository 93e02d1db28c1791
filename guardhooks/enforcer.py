"""Sees to it that decided bans are true: one worker for each action of each jail, and when a ban counts as in force.

What is due stands in the ledger; a worker brings its action there. It starts the action with all bans that are due,
hands on what comes after in batches, checks at intervals, and after a failure starts the action afresh, with back-off.
A ban is *reported* (log, `on_ban`) when every action of its jail has done it and the ledger has it on disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from enum import StrEnum
from typing import Any, Final, TypeAlias

from guardhooks.errors import ActionError
from guardhooks.model import ActionSpec, Ban, Jail, Op, Outcome
from guardhooks.supervision import Supervisor
from guardhooks.text import safe_text

Execute: TypeAlias = Callable[[Jail, ActionSpec, Op, Sequence[Ban]], Awaitable[Outcome | None]]

_BACKOFF: Final = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
_SOONEST_RECHECK: Final = 5.0
"""Seconds between two checks that failures of banned ids ask for."""
_LAST_CALL: Final = 20.0
"""Seconds that an action has to finish when the guard stops."""

_REPORT: Final = "report"

logger = logging.getLogger("guardhooks.actions")


class ActionState(StrEnum):
    """What can be said of an action as a whole."""

    STARTING = "starting"
    ACTIVE = "active"
    FAILING = "failing"
    UNSERVED = "unserved"
    """No plugin serves it: the jail runs degraded, and nobody waits for this action."""


class ActionWorker:
    """One action of one jail. Calls never overlap; what is asked meanwhile goes into the next batch."""

    def __init__(
        self,
        jail: Jail,
        action: ActionSpec,
        execute: Execute,
        *,
        due: Callable[[], list[Ban]],
        done: Callable[[ActionWorker, Op, Sequence[Ban]], None],
        reconcile: float,
        supervisor: Supervisor,
    ) -> None:
        self._supervisor = supervisor
        self.jail, self.action = jail, action
        self.state = ActionState.STARTING
        self.reason = ""
        self.note = ""
        self.repairs = 0
        self._execute, self._due, self._done = execute, due, done
        self._reconcile = reconcile
        self._asked: dict[str, tuple[Op, Ban]] = {}
        self._wake = asyncio.Event()
        self._closing = False
        self._tries = 0
        self._next_check = 0.0
        self._last_check = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the first thing done is `Op.START` with everything that is due."""
        self._task = self._supervisor.spawn(self._run(), f"action {self.jail.name}/{self.action.actname}")

    def ask(self, op: Op, ban: Ban) -> None:
        """Put a ban or unban into the next batch; the latest word about an id holds."""
        if self.state is ActionState.UNSERVED:
            return
        self._asked[ban.id] = (op, ban)
        self._wake.set()

    def check_soon(self) -> None:
        """Compare with the kernel now, unless that has just been done."""
        now = asyncio.get_running_loop().time()
        if now - self._last_check >= _SOONEST_RECHECK:
            self._next_check = now
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
                if self.state is not ActionState.UNSERVED:
                    await self._execute(self.jail, self.action, op, self._due())
        except TimeoutError:
            raise ActionError(f"no answer to {op} within {_LAST_CALL:.0f} s") from None
        finally:
            if self._task is not None:
                self._task.cancel()

    async def _run(self) -> None:
        while True:
            try:
                if self.state in (ActionState.STARTING, ActionState.FAILING):
                    await self._start()
                if self.state is ActionState.ACTIVE:
                    await self._work()
                self._tries = 0
                pause = self._until_check()
            except ActionError as error:
                pause = self._failed(error)
            if self._closing:
                return
            await self._sleep(pause, until_asked=self.state is not ActionState.FAILING)

    def _until_check(self) -> float | None:
        if self.state is ActionState.UNSERVED:
            return None
        return max(0.0, self._next_check - asyncio.get_running_loop().time())

    async def _start(self) -> None:
        bans = self._due()
        outcome = await self._execute(self.jail, self.action, Op.START, bans)
        if outcome is None:
            self.state, self.reason = ActionState.UNSERVED, self._unserved()
            logger.error("[%s] %s", self.jail.name, self.reason)
        else:
            if self.state is ActionState.FAILING:
                logger.warning("[%s] action %s works again", self.jail.name, self.action.actname)
            self.state, self.reason = ActionState.ACTIVE, ""
            if outcome.note and outcome.note != self.note and self.action.name != "observe":
                logger.info("[%s] action %s: %s", self.jail.name, self.action.actname, safe_text(outcome.note))
            self.note = outcome.note or self.note
            self._checked()
        self._done(self, Op.START, bans)

    async def _work(self) -> None:
        asked, self._asked = self._asked, {}
        self._wake.clear()
        for op in (Op.UNBAN, Op.BAN):
            bans = [ban for wanted, ban in asked.values() if wanted is op]
            if not bans:
                continue
            try:
                await self._execute(self.jail, self.action, op, bans)
            except ActionError:
                # Asked again after the restart of the action; a newer word about an id is not overwritten.
                self._asked = {**asked, **self._asked}
                raise
            self._done(self, op, bans)
        if self._next_check <= asyncio.get_running_loop().time():
            await self._check()

    async def _check(self) -> None:
        outcome = await self._execute(self.jail, self.action, Op.CHECK, self._due())
        self._checked()
        if outcome and (outcome.added or outcome.removed):
            self.repairs += 1
            logger.warning(
                "[%s] action %s: what the kernel held was not what is due: %d added, %d removed %s",
                self.jail.name, self.action.actname, outcome.added, outcome.removed, safe_text(outcome.note),
            )  # fmt: skip

    def _checked(self) -> None:
        self._last_check = asyncio.get_running_loop().time()
        self._next_check = self._last_check + self._reconcile

    def _failed(self, error: ActionError) -> float:
        reason = safe_text(str(error)).replace(f"action {self.action.actname}: ", "", 1)
        if reason != self.reason:
            logger.error("[%s] action %s failed, is tried again: %s", self.jail.name, self.action.actname, reason)
        self.state, self.reason = ActionState.FAILING, reason
        pause = _BACKOFF[min(self._tries, len(_BACKOFF) - 1)]
        self._tries += 1
        return pause

    async def _sleep(self, seconds: float | None, *, until_asked: bool) -> None:
        """Wait for work, or for the time; a failing action waits its time out, unless the guard closes."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
                while not until_asked and not self._closing:
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError:
            return

    def _unserved(self) -> str:
        if self.action.name.endswith(".py"):
            file = "fail2ban's Python actions are not run, a plugin takes their place: see docs/plugins.md"
        elif self.action.file:
            file = f"{self.action.file} needs one"
        else:
            file = "nor is there a file of that name in action.d"
        place = f"{self.action.place}: " if self.action.place else ""
        return f"{place}no plugin serves action {self.action.name!r}; {file}"


class Enforcer:
    """All action workers, and which bans wait for which of them."""

    def __init__(
        self,
        execute: Execute,
        due: Callable[[str], list[Ban]],
        report: Callable[[list[tuple[Jail, Op, Ban]]], Coroutine[Any, Any, None]],
        reconcile: float,
        supervisor: Supervisor,
    ) -> None:
        self._supervisor = supervisor
        self._execute, self._due, self._report = execute, due, report
        self._reconcile = reconcile
        self._workers: dict[str, list[ActionWorker]] = {}
        self._waiting: dict[tuple[str, str], set[str]] = {}
        self._in_force: set[tuple[str, str]] = set()

    def workers(self, jail: str) -> Sequence[ActionWorker]:
        """The workers of a jail's actions, in configuration order."""
        return self._workers.get(jail, ())

    def open(self, jail: Jail) -> None:
        """Start the actions of a jail with everything that is due there."""
        workers = [self._worker(jail, action) for action in jail.actions]
        self._workers[jail.name] = workers
        for ban in self._due(jail.name):
            self._expect(ban)
        for worker in workers:
            worker.start()

    def _worker(self, jail: Jail, action: ActionSpec) -> ActionWorker:
        return ActionWorker(
            jail,
            action,
            self._execute,
            due=lambda: self._due(jail.name),
            done=self._done,
            reconcile=self._reconcile,
            supervisor=self._supervisor,
        )

    async def replace(self, jail: Jail) -> None:
        """Go over to the changed actions of a jail without a moment in which its bans are not in force."""
        old = self._workers.get(jail.name, [])
        kept = [worker for worker in old if worker.action in jail.actions]
        for worker in kept:
            worker.jail = jail
        self._workers[jail.name] = [
            next((w for w in kept if w.action == action), None) or self._worker(jail, action) for action in jail.actions
        ]
        fresh = [worker for worker in self._workers[jail.name] if worker not in kept]
        self._wait_anew(jail, {worker.action.actname for worker in fresh})
        for worker in fresh:
            worker.start()
        built = {(action.name, action.get("name")) for action in jail.actions}
        for worker in old:
            if worker not in kept:
                # What the new action built under the same name must not be torn down with the old one.
                same = (worker.action.name, worker.action.get("name")) in built
                await self._close(worker, Op.STOP if same else Op.FLUSH)

    def ban(self, jail: Jail, ban: Ban) -> None:
        """Have a ban enforced by all actions of its jail. In a jail without actions it holds at once."""
        self._expect(ban)
        workers = self._workers.get(jail.name, ())
        for worker in workers:
            worker.ask(Op.BAN, ban)
        if not workers:
            self._in_force.add((ban.jail, ban.id))
            self._tell([(jail, Op.BAN, ban)])

    def unban(self, jail: Jail, ban: Ban) -> None:
        """Have a ban lifted by all actions of its jail. The ledger must no longer hold it."""
        self._waiting.pop((ban.jail, ban.id), None)
        was_reported = (ban.jail, ban.id) in self._in_force
        self._in_force.discard((ban.jail, ban.id))
        for worker in self._workers.get(ban.jail, ()):
            worker.ask(Op.UNBAN, ban)
        if was_reported:
            self._tell([(jail, Op.UNBAN, ban)])

    def check_soon(self, jail: str) -> None:
        """A banned id was seen again: let the jail's actions look whether they still hold."""
        for worker in self._workers.get(jail, ()):
            if worker.state is ActionState.ACTIVE:
                worker.check_soon()

    def state(self, jail: str, id: str) -> str:
        """`active`, `pending` or `failing`: what can be said of a ban that the ledger holds."""
        waiting = self._waiting.get((jail, id))
        if not waiting:
            return "active" if (jail, id) in self._in_force else "pending"
        states = {worker.state for worker in self._workers.get(jail, ()) if worker.action.actname in waiting}
        return "failing" if states & {ActionState.FAILING, ActionState.UNSERVED} else "pending"

    async def close(self, jails: Iterable[str], op: Op) -> list[str]:
        """Stop (or flush) the actions of these jails, in reverse order; what went wrong, one line each."""
        closing = [worker for jail in jails for worker in reversed(self._workers.pop(jail, []))]
        faults = await asyncio.gather(*(self._close(worker, op) for worker in closing))
        await self._supervisor.settle(_REPORT)
        return [fault for fault in faults if fault]

    async def _close(self, worker: ActionWorker, op: Op) -> str:
        try:
            await worker.close(op)
        except ActionError as error:
            fault = f"[{worker.jail.name}] action {worker.action.actname}: {op}: {safe_text(str(error))}"
            logger.error("%s", fault)
            return fault
        return ""

    def _expect(self, ban: Ban) -> None:
        workers = self._workers.get(ban.jail, ())
        waiting = {worker.action.actname for worker in workers if worker.state is not ActionState.UNSERVED}
        self._in_force.discard((ban.jail, ban.id))
        if workers:
            self._waiting[ban.jail, ban.id] = waiting or {worker.action.actname for worker in workers}

    def _wait_anew(self, jail: Jail, fresh: set[str]) -> None:
        """Bans that still wait go on waiting for the actions left and the fresh ones, not for those that are gone."""
        left = {action.actname for action in jail.actions}
        complete = []
        for ban in self._due(jail.name):
            key = (ban.jail, ban.id)
            if key not in self._waiting:
                continue
            self._waiting[key] = self._waiting[key] & left | fresh
            if not self._waiting[key]:
                del self._waiting[key]
                self._in_force.add(key)
                complete.append((jail, Op.BAN, ban))
        self._tell(complete)

    def _done(self, worker: ActionWorker, op: Op, bans: Sequence[Ban]) -> None:
        """An action has done its part; report the bans that wait for no other."""
        if op is Op.UNBAN:
            return
        complete = []
        for ban in bans:
            key = (ban.jail, ban.id)
            waiting = self._waiting.get(key)
            if waiting is None:
                continue
            alone = waiting == {worker.action.actname}
            if worker.state is ActionState.UNSERVED and alone:
                continue  # nobody else enforces it: it must not pass for a ban in force
            waiting.discard(worker.action.actname)
            if not waiting:
                del self._waiting[key]
                self._in_force.add(key)
                complete.append((worker.jail, Op.BAN, ban))
        self._tell(complete)

    def _tell(self, news: list[tuple[Jail, Op, Ban]]) -> None:
        if news:
            self._supervisor.spawn(self._report(news), _REPORT)
