"""Enforces decided bans: one worker for each action of each jail, and when a ban counts as in force.

The ledger holds the desired bans; a worker brings its action in line with them. It starts the action with all of them,
hands on later bans and unbans in batches, checks at intervals, and after a failure starts the action again, with
back-off.
A ban is *reported* (log, `on_ban`) when every action of its jail has done it and the ledger has it on disk.
Actions that only notify get a ban after that, or with the reason when it is not in force; no ban waits for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

from guardhooks.engine.action_worker import ANSWER_TIME, Execute
from guardhooks.engine.action_worker import ActionState as ActionState
from guardhooks.engine.action_worker import ActionWorker as ActionWorker
from guardhooks.engine.held_notices import HeldNotices
from guardhooks.engine.outgoing_actions import OutgoingActions
from guardhooks.engine.supervisor import Supervisor
from guardhooks.errors import ActionError
from guardhooks.model import ActionSpec, Ban, Jail, Op
from guardhooks.text import safe_text

Adopt: TypeAlias = Callable[[Jail, Sequence[Ban]], tuple[Sequence[Ban], Sequence[Ban]]]
"""Adds bans found in force to the ledger; returns them as stored there, and those that must not be in force."""

_REPORT: Final = "report"
_NOT_WORKING: Final = frozenset({ActionState.FAILING, ActionState.NO_HANDLER})

NO_ACTION: Final = "the jail has no action that could keep anybody out; set action= or banaction="
_NOBODY: Final = frozenset({""})
"""What bans wait for in a jail without actions."""

logger = logging.getLogger("guardhooks.actions")


class Enforcer:
    """All action workers, and which bans wait for which of them; a ban that waits for none is in force."""

    def __init__(
        self,
        execute: Execute,
        desired: Callable[[str], list[Ban]],
        report: Callable[[list[tuple[Jail, Op, Ban]]], Coroutine[Any, Any, None]],
        reconcile: Callable[[], float],
        supervisor: Supervisor,
        *,
        adopt: Adopt | None = None,
        answer_time: float = ANSWER_TIME,
    ) -> None:
        """
        :param reconcile: seconds between two checks of an action, as the configuration has it now.
        :param adopt: adds bans that an action found in force to the ledger.
        :param answer_time: seconds after which an action that has not answered is failing.
        """
        self._answer_time = answer_time
        self._supervisor = supervisor
        self._execute, self._desired, self._report, self._adopt = execute, desired, report, adopt
        self._reconcile = reconcile
        self._workers: dict[str, list[ActionWorker]] = {}
        self._waiting: defaultdict[str, dict[str, frozenset[str]]] = defaultdict(dict)
        """By jail and id, the names of the actions that have not done a ban yet."""
        self._names: dict[frozenset[str], frozenset[str]] = {}
        """Equal sets are one object: there may be a hundred thousand."""
        self._notices = HeldNotices()
        self._outgoing = OutgoingActions(self._close, supervisor)

    def workers(self, jail: str) -> Sequence[ActionWorker]:
        """The workers of a jail's actions, in configuration order."""
        return self._workers.get(jail, ())

    def open(self, jail: Jail) -> None:
        """Start the actions of a jail with its desired bans."""
        workers = [self._worker(jail, action) for action in jail.actions]
        self._workers[jail.name] = workers
        desired = self._desired(jail.name)
        names = frozenset(action.actname for action in jail.actions) or _NOBODY
        self._waiting[jail.name] = dict.fromkeys((ban.id for ban in desired), self._names.setdefault(names, names))
        for worker in workers:
            worker.start(desired)

    def apply_interval(self) -> None:
        """Make every action use the changed interval between checks now, not only after the next check."""
        for workers in self._workers.values():
            for worker in workers:
                worker.apply_interval()

    async def restored(self, patience: float) -> None:
        """Wait until every action has tried once to put the stored bans in force, at most `patience` seconds."""
        waiting = [worker.tried.wait() for jail, bans in self._waiting.items() if bans for worker in self.workers(jail)]
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await asyncio.gather(*waiting)

    def _worker(self, jail: Jail, action: ActionSpec) -> ActionWorker:
        return ActionWorker(
            jail,
            action,
            self._execute,
            desired=self._desired_by,
            done=self._done,
            found=self._found,
            failed=lambda worker: self._tell_failing(worker.jail.name),
            became_notifier=self._became_notifier,
            reconcile=self._reconcile,
            supervisor=self._supervisor,
            answer_time=self._answer_time,
        )

    async def replace(self, jail: Jail) -> None:
        """Change to the new actions of a jail without a moment in which its bans are not in force."""
        old = self._workers.get(jail.name, [])
        kept = [worker for worker in old if worker.action in jail.actions]
        for worker in kept:
            worker.jail = jail
        self._workers[jail.name] = [
            next((w for w in kept if w.action == action), None) or self._worker(jail, action) for action in jail.actions
        ]
        fresh = [worker for worker in self._workers[jail.name] if worker not in kept]
        self._reset_waiting(jail, {worker.action.actname for worker in fresh})
        for worker in fresh:
            worker.start()
        built = {(action.name, action.get("name")) for action in jail.actions}
        outgoing = [*self._outgoing.take(jail.name), *(worker for worker in old if worker not in kept)]
        # What the new action built under the same name must not be removed with the old one.
        same = [worker for worker in outgoing if (worker.action.name, worker.action.get("name")) in built]
        for worker in same:
            await self._close(worker, Op.STOP)
        await self._outgoing.retire(jail.name, [worker for worker in outgoing if worker not in same], fresh)

    def restart(self, jail: str) -> None:
        """A reload brought other plugins for the actions of a jail: start all of them again."""
        for worker in self._workers.get(jail, ()):
            worker.restart()

    def ban(self, jail: Jail, ban: Ban) -> None:
        """Have a ban enforced by all actions of its jail. In a jail without actions it is never in force."""
        self._expect(ban)
        self._hand_on(ban)
        if not self._workers.get(jail.name):
            logger.warning("[%s] %s is decided, NOT in force: %s", jail.name, safe_text(ban.id), NO_ACTION)

    def unban(self, jail: Jail, ban: Ban) -> None:
        """Have a ban lifted by all actions of its jail. The ledger must no longer hold it."""
        was_reported = self._waiting[ban.jail].pop(ban.id, None) is None
        unknown_to = self._notifiers(ban.jail) if self._notices.drop(ban.jail, ban.id) else ()
        for worker in (*self._workers.get(ban.jail, ()), *self._outgoing.of(ban.jail)):
            if worker not in unknown_to:
                worker.enqueue(Op.UNBAN, ban)
        if was_reported:
            self._announce([(jail, Op.UNBAN, ban)])

    def check_soon(self, jail: str) -> None:
        """A banned id was seen again: have the jail's actions checked."""
        for worker in self._workers.get(jail, ()):
            if worker.state is ActionState.ACTIVE:
                worker.check_soon()

    def check_now(self, jail: str, actname: str = "") -> None:
        """Others may have changed what this action, or all of the jail, put in force: have it compared and repaired."""
        for worker in self._workers.get(jail, ()):
            if actname in {"", worker.action.actname} and worker.state is not ActionState.NO_HANDLER:
                worker.check_now()

    def state(self, jail: str, id: str) -> str:
        """How far a ban that the ledger holds has come: `active`, `pending` or `failing`."""
        if self.reason(jail, id):
            return "failing"
        waiting = self._waiting[jail].get(id)
        if waiting is None:
            return "active"
        states = {worker.state for worker in self._deciding(jail) if worker.action.actname in waiting}
        return "failing" if states & _NOT_WORKING else "pending"

    def reason(self, jail: str, id: str) -> str:
        """Why a working action could not put this ban in force; empty if none does."""
        workers = self._deciding(jail)
        if not workers:
            return NO_ACTION
        return next((worker.retries.reason(id) for worker in workers if id in worker.retries), "")

    def failing(self, jail: str) -> int:
        """How many bans of a jail are failing."""
        if not self._workers.get(jail):
            return len(self._desired(jail))
        deciding = self._deciding(jail)
        ids = {id for worker in deciding for id in worker.retries.ids}
        sick = {worker.action.actname for worker in deciding if worker.state in _NOT_WORKING}
        if sick:
            ids.update(id for id, waiting in self._waiting[jail].items() if waiting & sick)
        return len(ids)

    async def close(self, jails: Iterable[str], op: Op) -> list[str]:
        """Stop (or flush) the actions of these jails, in reverse order; what went wrong, one line each."""
        closing: list[ActionWorker] = []
        for jail in jails:
            closing += reversed([*self._outgoing.take(jail), *self._workers.pop(jail, [])])
            self._notices.drop_jail(jail)
        faults = await asyncio.gather(*(self._close(worker, op) for worker in closing))
        await self._supervisor.wait_for(_REPORT)
        return [fault for fault in faults if fault]

    async def _close(self, worker: ActionWorker, op: Op) -> str:
        try:
            await worker.close(op)
        except ActionError as error:
            fault = f"[{worker.jail.name}] action {worker.action.actname}: {op}: {safe_text(str(error))}"
            logger.error("%s", fault)
            return fault
        return ""

    # --- which actions a ban waits for --------------------------------------------------------------------------------

    def _deciding(self, jail: str) -> list[ActionWorker]:
        """The actions that put a jail's bans in force; those that notify only if there are no others."""
        workers = self._workers.get(jail, [])
        return [worker for worker in workers if not worker.notifies] or workers

    def _notifiers(self, jail: str) -> list[ActionWorker]:
        """The actions of a jail that get a ban after the others."""
        workers = self._workers.get(jail, [])
        notifiers = [worker for worker in workers if worker.notifies]
        return notifiers if len(notifiers) < len(workers) else []

    def _expect(self, ban: Ban) -> None:
        workers = self._deciding(ban.jail)
        served = frozenset(worker.action.actname for worker in workers if worker.state is not ActionState.NO_HANDLER)
        self._wait(ban, served or frozenset(worker.action.actname for worker in workers) or _NOBODY)

    def _wait(self, ban: Ban, names: frozenset[str]) -> None:
        """Have a ban wait for these actions; where there are none, it is in force."""
        if names:
            self._waiting[ban.jail][ban.id] = self._names.setdefault(names, names)
        else:
            del self._waiting[ban.jail][ban.id]

    def _reset_waiting(self, jail: Jail, fresh: set[str]) -> None:
        """Bans that still wait continue to wait for the remaining and the new actions, not for those that are gone."""
        left = {action.actname for action in jail.actions}
        complete = []
        for ban in self._desired(jail.name):
            waiting = self._waiting[jail.name].get(ban.id)
            if waiting is None:
                continue
            names = waiting & left | fresh if jail.actions else _NOBODY
            self._wait(ban, names)
            if not names:
                complete.append(ban)
        self._in_force(jail, complete)

    def _done(self, worker: ActionWorker, op: Op, bans: Sequence[Ban]) -> None:
        """An action has done its part; report the bans that wait for no other."""
        if op is Op.UNBAN or worker not in self._workers.get(worker.jail.name, ()):
            return
        complete = []
        name = worker.action.actname
        deciding = self._deciding(worker.jail.name)
        # Where no plugin serves any of them, a ban must not count as in force.
        unserved = frozenset(each.action.actname for each in deciding)
        if any(each.state is not ActionState.NO_HANDLER for each in deciding):
            unserved = frozenset()
        for ban in bans:
            waiting = self._waiting[ban.jail].get(ban.id)
            if waiting is None or name not in waiting:
                continue
            names = waiting - {name} or unserved
            self._wait(ban, names)
            if not names:
                complete.append(ban)
        self._in_force(worker.jail, complete)

    def _found(self, worker: ActionWorker, found: Sequence[Ban]) -> int:
        """An action holds bans that the ledger does not know; returns how many were adopted."""
        if self._adopt is None:
            return 0
        adopted, refused = self._adopt(worker.jail, found)
        for ban in refused:
            worker.enqueue(Op.UNBAN, ban)
        for ban in adopted:
            self._expect(ban)
            self._hand_on(ban, found_by=worker)
        self._done(worker, Op.BAN, adopted)
        return len(adopted)

    # --- what is told of it -------------------------------------------------------------------------------------------

    def _hand_on(self, ban: Ban, found_by: ActionWorker | None = None) -> None:
        """Have a ban enforced; notifiers get it when that is done, or has failed."""
        notifiers = self._notifiers(ban.jail)
        for worker in self._workers.get(ban.jail, ()):
            if worker is not found_by and worker not in notifiers:
                worker.enqueue(Op.BAN, ban)
        if notifiers:
            self._notices.hold(ban)
            self._tell_failing(ban.jail)

    def _in_force(self, jail: Jail, bans: Sequence[Ban]) -> None:
        notifiers = self._notifiers(jail.name)
        for ban in bans:
            held = self._notices.release(ban.jail, ban.id)
            for worker in notifiers if held is not None else ():
                worker.enqueue(Op.BAN, held or ban)
        self._announce([(jail, Op.BAN, ban) for ban in bans])

    def _tell_failing(self, jail: str) -> None:
        """Tell the notifiers which decided bans are not in force, and why."""
        notifiers = self._notifiers(jail)
        for ban in self._notices.failing(jail, lambda id: self._failure(jail, id)) if notifiers else ():
            for worker in notifiers:
                worker.enqueue(Op.BAN, ban)

    def _failure(self, jail: str, id: str) -> str:
        """Why a decided ban is not in force; empty while that is still to come."""
        if self.state(jail, id) != "failing":
            return ""
        waiting = self._waiting[jail].get(id, frozenset())
        sick = (w for w in self._deciding(jail) if w.action.actname in waiting and w.state in _NOT_WORKING)
        return self.reason(jail, id) or next((f"action {w.action.actname}: {w.reason}" for w in sick), "")

    def _became_notifier(self, worker: ActionWorker, queued: Sequence[Ban]) -> None:
        """An action has said that it only notifies: it waits for the others, and no ban waits for it."""
        held = worker in self._notifiers(worker.jail.name)
        for ban in queued:
            if held and ban.id in self._waiting[ban.jail]:
                self._notices.hold(ban)
            else:
                worker.enqueue(Op.BAN, ban)
        if held:
            self._done(worker, Op.START, queued)
            self._tell_failing(worker.jail.name)

    def _desired_by(self, worker: ActionWorker) -> list[Ban]:
        """What an action starts with: a notifier gets the bans that it has not reported yet only afterwards."""
        bans = self._desired(worker.jail.name)
        if worker not in self._notifiers(worker.jail.name):
            return bans
        return [ban for ban in bans if not self._notices.holds(ban)]

    def _announce(self, news: list[tuple[Jail, Op, Ban]]) -> None:
        if news:
            self._supervisor.spawn(self._report(news), _REPORT)
