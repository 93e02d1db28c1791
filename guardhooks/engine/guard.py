"""The guard: the public object that holds one running whole, for the daemon and for servers that embed it.

::

    guard = Guard(load(directory), plugins, ledger_file=Path("ledger.sqlite3"))
    await guard.start()
    await guard.failure("sshd", "192.0.2.1")
    guard.is_banned("192.0.2.1")
    await guard.stop()
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from guardhooks.engine import status
from guardhooks.engine.adoption import adopt
from guardhooks.engine.announcements import announce
from guardhooks.engine.ban_guard import FORCED, BanGuard
from guardhooks.engine.enforcer import Enforcer
from guardhooks.engine.pipeline import Pipeline
from guardhooks.engine.resolver import Resolver
from guardhooks.engine.sources import Sources, SourceStateLogger
from guardhooks.engine.supervisor import Supervisor
from guardhooks.errors import ActionError, ConfigError, StateError
from guardhooks.ledger import Ledger
from guardhooks.model import NO_OPTIONS, ActionSpec, Ban, Failure, Fields, Finding, Jail, Op, Outcome, Problem
from guardhooks.net.addresses import canonical
from guardhooks.plugins import Plugins
from guardhooks.plugins.faults import resource_exhaustion
from guardhooks.settings.model import Settings, jails_of
from guardhooks.text import safe_text

_TICK: Final = 0.5
"""Seconds between two looks for bans that are over and for state that is to be written."""
_CLOCK_STEP: Final = 60.0
"""Seconds between two looks that the clock, not the work, must have made."""
_RESTORE_PATIENCE: Final = 2.0
"""Seconds that reading the logs waits at a start for the bans to be put back in force."""

logger = logging.getLogger("guardhooks.actions")


class Guard:
    """One guard over one configuration. All methods belong to the event loop that `start` ran in."""

    def __init__(
        self,
        settings: Settings,
        plugins: Plugins,
        *,
        ledger_file: Path | None = None,
        observe: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        :param ledger_file: the SQLite file that keeps windows, bans and positions; None keeps them in memory only.
        :param observe: every action only says what it would do.
        :raises StateError: when the file cannot be used.
        """
        self.settings = settings
        self.plugins = plugins
        self.observing = observe
        self.ledger_file = ledger_file
        self.started = self._looked = 0.0
        self.clock = clock
        self.jails: Mapping[str, Jail] = jails_of(settings, observe=self.observing)
        self.ledger = Ledger.open(ledger_file, clock=clock, history_age=self._history_age())
        self._executor = ThreadPoolExecutor(16, thread_name_prefix="guardhooks")
        self.supervisor = Supervisor()
        self.ban_guard = BanGuard(clock, self._allowlist_reason)
        adopting = partial(adopt, self.ban_guard, self.ledger)
        self.enforcer = Enforcer(
            self._execute, self.ledger.desired, self._report, settings.reconcile, self.supervisor, adopt=adopting
        )
        self._resolver = Resolver(clock=clock)
        self._pipeline = Pipeline(
            plugins=plugins,
            ledger=self.ledger,
            resolver=self._resolver,
            clock=clock,
            executor=self._executor,
            apply=self._apply,
            seen_again=self.enforcer.check_soon,
            narrow_to_address=self.ban_guard.narrow_to_address,
        )
        self.sources = Sources(plugins, self._pipeline, self.supervisor)
        self._source_states = SourceStateLogger()
        self.state_problem = ""
        self._notes_logged = 0
        self._maintenance: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def _history_age(self) -> float:
        return max([self.settings.history_age, *(jail.findtime for jail in self.jails.values())])

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Put in force what the ledger holds, then read the sources."""
        self.started = self._looked = self.clock()
        self._loop = asyncio.get_running_loop()
        await self.ban_guard.open()
        self.plugins.on_start(self)
        self._log_state_problem("")
        self.ledger.expire(self.clock())
        await self._lift_unsafe_bans()
        self._log_unknown_switches()
        for jail in self.jails.values():
            self.enforcer.open(jail)
        # The filters, which are compiled now, would take the processor from the bans that are put back.
        await self.enforcer.restored(_RESTORE_PATIENCE)
        await self.sources.sync(self.jails.values())
        self._maintenance = self.supervisor.spawn(self._maintenance_loop(), "maintenance")

    async def stop(self, *, flush: bool = False) -> None:
        """End. Bans stay in force; with `flush` all are lifted and what the actions built is removed.

        :raises ActionError: when a flush could not lift everything.
        """
        if self._maintenance is not None:
            self._maintenance.cancel()
        await self.sources.close()
        self._resolver.close()
        faults = await self.enforcer.close(list(self.jails), Op.FLUSH if flush else Op.STOP)
        if flush:
            for ban in self.ledger.active():
                self.ledger.remove(ban.jail, ban.id)
        try:
            await self.ledger.close()
        finally:
            self.plugins.on_stop(self)
            self._executor.shutdown(wait=False, cancel_futures=True)
        if flush and faults:
            raise ActionError("; ".join(faults))

    async def reload(self, settings: Settings, plugins: Plugins) -> None:
        """Go over to a new configuration, applying only what differs.

        Every ban is kept, save those of jails that are gone. A jail that is broken in the new configuration goes on
        as it was, and says so.
        """
        old = self.jails
        self.settings, self.plugins = settings, plugins
        self._pipeline.plugins = self.sources.plugins = plugins
        kept = {name: replace(old[name], problems=why) for name, why in settings.broken.items() if name in old}
        self.jails = {**jails_of(settings, observe=self.observing), **kept}
        self.ledger.remember(self._history_age())
        plugins.on_start(self)
        self._log_unknown_switches()
        gone = [name for name in old if name not in self.jails]
        for name, jail in self.jails.items():
            if name not in old:
                self.enforcer.open(jail)
            elif jail != old[name]:
                await self.enforcer.replace(jail)
        await self.sources.sync(self.jails.values())
        await self.enforcer.close(gone, Op.FLUSH)
        for name in gone:
            for ban in self.ledger.active(name):
                self.ledger.remove(name, ban.id)
            self.ledger.drop_jail(name)

    def _log_unknown_switches(self) -> None:
        for jail in self.jails.values():
            for problem in self.plugins.unknown_switches(jail):
                logger.warning("%s", safe_text(str(problem)))

    async def _maintenance_loop(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            try:
                await self._maintain()
            except (OSError, MemoryError) as error:  # want of files or memory passes; to end would help nobody
                self._log_state_problem(f"{resource_exhaustion(error) or error}; it is tried again")

    async def _maintain(self) -> None:
        now = self.clock()
        if abs(now - self._looked) > _CLOCK_STEP:
            self._follow_clock(now)
        self._looked = now
        for ban in self.ledger.expire(now):
            if ban.jail in self.jails:
                self.enforcer.unban(self.jails[ban.jail], ban)
        if await self.ban_guard.refresh():
            await self._lift_unsafe_bans()
        self._source_states.look(self.sources.states(), now)
        await self._write_ledger()

    def _follow_clock(self, now: float) -> None:
        """The clock was set, or the machine slept: bans end by the clock, what the kernel counts down is put right."""
        moved = now - self._looked
        number = self.ledger.set_back(now) if moved < 0 else 0
        logger.warning(
            "the clock went %s by %.0f s: %d bans begin anew, those that are over by it end, the others are compared",
            "back" if moved < 0 else "on", abs(moved), number,
        )  # fmt: skip
        for name in self.jails:
            self.enforcer.check_now(name)

    async def _write_ledger(self) -> None:
        try:
            await self.ledger.flush()
        except StateError as error:
            self._log_state_problem(f"{error}; it is tried again, and nothing is lost while guardhooks runs")
        else:
            self._log_state_problem("")

    def _log_state_problem(self, problem: str) -> None:
        """Log what keeps the state from being written when it begins and when it is over; `status` shows it."""
        problem = safe_text(problem)
        if problem and not self.state_problem:
            logger.error("%s", problem)
        elif self.state_problem and not problem:
            logger.warning("the ledger is written again")
        self.state_problem = problem
        for note in self.ledger.notes[self._notes_logged :]:
            logger.error("%s", safe_text(note))
        self._notes_logged = len(self.ledger.notes)

    # --- bans ---------------------------------------------------------------------------------------------------------

    async def failure(
        self,
        jail: str,
        id: str,
        *,
        time: float | None = None,
        fields: Fields | None = None,
        text: str = "",
    ) -> list[Ban]:
        """Report that somebody failed, from inside a server: the flow goes on from `on_failure`.

        :param id: the offender: an address, or any text.
        :param time: when, epoch seconds; now if left out.
        :param text: what happened, as one line for people.
        :return: the bans that follow from it.
        :raises ConfigError: when there is no such jail.
        """
        known = canonical(id)
        failure = Failure(
            jail=self._jail(jail).name,
            id=known or id,
            address=known if "/" not in known else "",
            time=self.clock() if time is None else time,
            matches=(text,) if text else (),
            fields=fields or {},
        )
        return await self._pipeline.process(self.jails, [failure])

    async def ban(
        self,
        jail: str,
        id: str,
        *,
        length: float | None = None,
        reason: str = "by hand",
        force: bool = False,
        protected: Collection[str] = (),
    ) -> Ban:
        """Ban an address, a network or another id by hand.

        :param length: seconds, the jail's bantime if left out.
        :param force: ban even what this machine needs and what `ignoreip` spares.
        :param protected: further addresses that it must not hit: where the person who asks comes from.
        :raises ConfigError: when there is no such jail.
        :raises ActionError: when it would shut out this machine, who controls it or who is protected, or everybody.
        """
        of = self._jail(jail)
        id = canonical(id) or id
        self.ban_guard.check(of, id, force=force, protected=protected)
        notes = FORCED if force else NO_OPTIONS
        ban = Ban(id, jail, self.clock(), of.bantime if length is None else length, reason=reason, notes=notes)
        stored = self.ledger.add(ban)
        if stored is None:
            return next(iter(self.ledger.find(id, jail)), ban)
        self.enforcer.ban(of, stored)
        await self._write_ledger()
        return stored

    async def unban(self, id: str, jail: str | None = None) -> list[Ban]:
        """Lift the bans of an id, or of all inside a network, in one jail or in all; returns those that were lifted."""
        if jail is not None:
            self._jail(jail)
        return await self._lift(self.ledger.find(canonical(id) or id, jail))

    async def unban_all(self, jail: str | None = None) -> int:
        """Lift every ban, of one jail or of all; how many there were."""
        if jail is not None:
            self._jail(jail)
        return len(await self._lift(self.ledger.active(jail)))

    async def _lift(self, bans: Sequence[Ban]) -> list[Ban]:
        lifted = [ban for each in bans if (ban := self.ledger.remove(each.jail, each.id)) is not None]
        for ban in lifted:
            self.ledger.forget(ban.jail, ban.id)
            if ban.jail in self.jails:
                self.enforcer.unban(self.jails[ban.jail], ban)
        await self._write_ledger()
        return lifted

    def is_banned(self, address: str, jail: str | None = None) -> bool:
        """Whether a ban of this address, or of a prefix that holds it, is decided and not over. Takes microseconds."""
        return self.ledger.is_banned(canonical(address) or address, jail)

    def _jail(self, name: str) -> Jail:
        if name not in self.jails:
            raise ConfigError(f"there is no jail {name!r}; there are: {', '.join(self.jails) or 'none'}")
        return self.jails[name]

    def _apply(self, ban: Ban) -> Ban | None:
        """Enforce a decision, unless it is over already, meets nobody or would shut this machine out."""
        jail = self.jails.get(ban.jail)
        if jail is None:
            logger.error("[%s] a plugin decided a ban of %s, but there is no such jail", ban.jail, safe_text(ban.id))
            return None
        self.ledger.forget(ban.jail, ban.id)
        if ban.end <= self.clock():
            logger.info("[%s] Ignore %s, expired bantime", ban.jail, safe_text(ban.id))
            return None
        if not self.ban_guard.allows(jail, ban):
            return None
        stored = self.ledger.add(ban)
        if stored is not None:
            self.enforcer.ban(jail, stored)
        return stored

    def _allowlist_reason(self, jail: Jail, id: str) -> str:
        """Why plugins spare an id; asked of the jail as it is now, which an action may know from before a reload."""
        return self.plugins.refuse_ban(self.jails.get(jail.name, jail), id)

    async def _lift_unsafe_bans(self) -> None:
        if bans := self.ban_guard.unsafe_active_bans(self.ledger.find):
            await self._lift(bans)

    # --- actions ------------------------------------------------------------------------------------------------------

    async def execute(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> Outcome:
        """Have an action done by the plugin that serves it; for plugins that build on other actions.

        :raises ActionError: when it could not be done, or no plugin serves it.
        """
        outcome = await self._execute(jail, action, op, bans)
        if outcome is None:
            raise ActionError(f"no plugin serves action {action.name!r}")
        return outcome

    def check_actions(self, jail: str, actname: str = "") -> None:
        """Have what an action (or all of a jail) put in force compared with the ledger, and repaired: others may have
        changed it.

        At once, or a second after the last time; however many calls there are, the last is followed by a check that
        began after it. May be called from any thread.
        """
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self.enforcer.check_now, jail, actname)

    def adopts(self, jail: str, actname: str) -> bool:
        """Whether an action that starts must not remove bans it finds but report them (`Outcome.found`).

        So it is until its first start has succeeded, when the ledger had to be begun anew: then the firewall is all
        that still knows them. May be called from any thread.
        """
        workers = self.enforcer.workers(jail)
        return self.ledger.rebuilt and any(w.action.actname == actname and not w.started for w in workers)

    def refusal(self, jail: Jail, id: str) -> str:
        """Why an address or prefix must not be banned in a jail, as the end of a sentence; empty where nothing speaks
        against it. For plugins that make wider bans of narrow ones. May be called from any thread.
        """
        return self.ban_guard.refusal(jail, id)

    async def _execute(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> Outcome | None:
        return await self.plugins.execute_action(jail, action, op, bans, self._executor)

    async def diagnose(self, jail: Jail, action: ActionSpec, bans: Sequence[Ban], address: str) -> list[Finding] | None:
        """What the plugin that serves an action finds; None if no plugin can look. See the hook of this name."""
        return await self.plugins.diagnose(self, jail, action, bans, address, self._executor)

    async def _report(self, news: list[tuple[Jail, Op, Ban]]) -> None:
        """Tell the world that bans are in force or over, once the ledger has them on disk."""
        try:
            await self._write_ledger()
            announce(self.plugins, news)
        except (OSError, MemoryError) as error:  # the bans are in force, and the ledger is written at the next tick
            logger.error("%s; of %d bans and unbans not all were told", resource_exhaustion(error) or error, len(news))

    # --- what can be seen ---------------------------------------------------------------------------------------------

    def problems(self, jail: Jail) -> list[Problem]:
        """Everything that keeps a jail from running whole."""
        off = [
            Problem(f"plugin {name} is switched off: {why}")
            for name, why in self.plugins.faults.switched_off(jail.name).items()
        ]
        return [*jail.problems, *self.plugins.unknown_switches(jail), *self.sources.problems(jail.name), *off]

    def status(self) -> dict[str, object]:
        """State of the whole, as JSON-able values."""
        return status.guard_status(self)

    def jail_status(self, jail: str) -> dict[str, object]:
        """State of one jail with its bans, as JSON-able values. :raises ConfigError: when there is no such jail."""
        return status.jail_status(self, self._jail(jail))

    def plugins_report(self) -> list[dict[str, object]]:
        """Who is asked, per jail and hook, in which order."""
        return self.plugins.report(self.jails.values())
