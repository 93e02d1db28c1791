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
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from guardhooks.engine import changes
from guardhooks.engine.adoption import adopt
from guardhooks.engine.announcements import announce
from guardhooks.engine.ban_guard import BanGuard
from guardhooks.engine.bans import Bans
from guardhooks.engine.configuration import LiveConfiguration
from guardhooks.engine.enforcer import Enforcer
from guardhooks.engine.leaks import Leaks
from guardhooks.engine.ledger_writer import LedgerWriter
from guardhooks.engine.maintenance import Maintenance
from guardhooks.engine.pipeline import Pipeline
from guardhooks.engine.pools import Pools
from guardhooks.engine.resolver import Resolver
from guardhooks.engine.runtime_changes import RuntimeChanges
from guardhooks.engine.sources import Sources
from guardhooks.engine.status import StatusBuilder
from guardhooks.engine.supervisor import Supervisor
from guardhooks.errors import ActionError, ConfigError
from guardhooks.ledger import Ledger
from guardhooks.model import ActionSpec, Ban, Failure, Fields, Finding, Jail, Op, Outcome, Problem
from guardhooks.net.addresses import canonical
from guardhooks.plugins import Plugins
from guardhooks.plugins.faults import resource_exhaustion
from guardhooks.plugins.values import defect
from guardhooks.settings.model import Settings
from guardhooks.status import GuardStatus, JailDetails, ReloadReport, to_dict
from guardhooks.text import safe_text

_RESTORE_PATIENCE: Final = 2.0
"""Seconds that reading the logs waits at a start until the stored bans are in force again."""

_ANSWERS_TIME: Final = 2.0
"""Seconds that the stop waits for what plugins have to say of the last failures."""

logger = logging.getLogger("guardhooks.actions")


class Guard:
    """One guard over one configuration. All methods belong to the event loop that `start` ran in."""

    def __init__(
        self,
        settings: Settings,
        plugins: Plugins,
        *,
        ledger_file: Path | None = None,
        ledger: Ledger | None = None,
        observe: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        :param ledger_file: the SQLite file that keeps windows, bans and positions; None keeps them in memory only.
        :param ledger: what was read from that file, for a guard that is never started; None opens the file.
        :param observe: every action only says what it would do.
        :raises StateError: when the file cannot be used.
        """
        self.configuration = LiveConfiguration(settings, plugins, observe=observe)
        self.changes = RuntimeChanges(self.configuration, self._use_changed, clock)
        self.observing = observe
        self.ledger_file = ledger_file
        self.started = 0.0
        self.configured = 0.0
        self.clock = clock
        history_age = self.configuration.history_age
        self.ledger = ledger or Ledger.open(
            ledger_file, clock=clock, history_age=history_age, windows=plugins.failure_windows
        )
        self.ledger.sync_bans(settings.sync_bans)
        self._pools = Pools()
        self._resolver = Resolver(clock=clock)
        self.supervisor = Supervisor()
        self.ban_guard = BanGuard(clock, self._allowlist_reason)
        self.enforcer = Enforcer(
            self._execute,
            self.ledger.desired,
            self._report,
            lambda: self.configuration.settings.reconcile,
            self.supervisor,
            adopt=partial(adopt, self.ban_guard, self.ledger),
        )
        self._assemble()
        self._maintenance_task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def _assemble(self) -> None:
        """The parts that stand on the ledger and on the enforcer."""
        live, ledger, enforcer, ban_guard, clock = (
            self.configuration, self.ledger, self.enforcer, self.ban_guard, self.clock,
        )  # fmt: skip
        self._writer = LedgerWriter(ledger)
        self._leaks = Leaks(
            lambda jail, id: enforcer.state(jail, id) == "active", lambda: self.started, clock, self.supervisor
        )
        self._bans = Bans(live, ledger, self._writer, enforcer, ban_guard, clock)
        self.pipeline = Pipeline(
            configuration=live,
            ledger=ledger,
            resolver=self._resolver,
            clock=clock,
            executor=self._pools.matching,
            apply=self._bans.apply,
            seen_again=self._seen_again,
            narrow_to_address=ban_guard.narrow_to_address,
        )
        self.sources = Sources(live, self.pipeline, self.supervisor)
        self._maintenance = Maintenance(
            live, ledger, self._writer, self._bans, enforcer, ban_guard, self.sources, self.changes, clock
        )
        self._status = StatusBuilder(live, ledger, enforcer, self.sources, self._leaks, self.changes, clock)

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Put in force what the ledger holds, then read the sources."""
        self.started = self.configured = self.clock()
        self._loop = asyncio.get_running_loop()
        await self.ban_guard.open()
        self.plugins.on_start(self)
        self._writer.log("")
        self.ledger.expire(self.clock())
        await self._bans.lift_unsafe()
        await self._bans.lift_allowlisted()
        self._log_unknown_switches()
        for jail in self.jails.values():
            self.enforcer.open(jail)
        # Compiling the filters now would take the processor from the actions that put the stored bans in force.
        await self.enforcer.restored(_RESTORE_PATIENCE)
        await self.sources.sync()
        self._maintenance_task = self.supervisor.spawn(self._maintenance.run(), "maintenance")

    async def stop(self, *, flush: bool = False) -> None:
        """End. Bans stay in force; with `flush` all are lifted and what the actions built is removed.

        :raises ActionError: when a flush could not lift everything.
        """
        if self._maintenance_task is not None:
            self._maintenance_task.cancel()
        await self.sources.close()
        await self.pipeline.questions.close(_ANSWERS_TIME)
        self._resolver.close()
        faults = await self.enforcer.close(list(self.jails), Op.FLUSH if flush else Op.STOP)
        if flush:
            for ban in self.ledger.active():
                self.ledger.remove(ban.jail, ban.id)
        try:
            await self.ledger.close()
        finally:
            self.plugins.on_stop(self)
            self._pools.close()
        if flush and faults:
            raise ActionError("; ".join(faults))

    async def reload(self, settings: Settings, plugins: Plugins) -> ReloadReport:
        """Go over to a new configuration, applying only what differs, and say what that was.

        Every ban is kept, except those of jails that are gone. A jail that is broken in the new configuration continues
        as it was, and says so. What was changed in the running guard is taken back.
        """
        async with self.changes.lock:
            self.configured = self.clock()
            taken_back = self.changes.take_all_back(settings)
            return replace(await self._use(settings, plugins), taken_back=taken_back)

    async def _use_changed(self, settings: Settings) -> None:
        await self._use(settings, self.plugins)

    async def _use(self, settings: Settings, plugins: Plugins) -> ReloadReport:
        restarted, bans = list[str](), dict[str, int]()
        with self.configuration.replaced(settings, plugins) as former:
            self.ledger.remember(self.configuration.history_age)
            if settings.reconcile != former.settings.reconcile:
                self.enforcer.apply_interval()
            plugins.on_start(self)
            self._log_unknown_switches()
            changed = [jail for name, jail in self.jails.items() if name in former.jails and jail != former.jails[name]]
            await asyncio.gather(*map(self.enforcer.replace, changed))
            for name, jail in self.jails.items():
                if name not in former.jails:
                    self.enforcer.open(jail)
                if plugins.asked("execute_action", jail) != former.plugins.asked("execute_action", jail):
                    self.enforcer.restart(name)
                    restarted += [f"{name}/{action.actname}" for action in jail.actions if name in former.jails]
            await self.sources.sync()
            gone = [name for name in former.jails if name not in self.jails]
            faults = await self.enforcer.close(gone, Op.FLUSH)
            for name in gone:
                bans[name] = len(self.ledger.active(name))
                self._bans.drop_jail(name)
            former.plugins.on_stop(self, still_loaded=plugins)
        await self._bans.lift_allowlisted()
        return changes.report(former, self.configuration.now, bans, restarted, faults)

    def _log_unknown_switches(self) -> None:
        for jail in self.jails.values():
            for problem in self.plugins.unknown_switches(jail):
                logger.warning("%s", safe_text(str(problem)))

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
        """Report that somebody failed, from inside a server: the flow continues with `on_failure`.

        :param id: the offender: an address, or any text.
        :param time: when, epoch seconds; now if left out.
        :param text: what happened, as one line for people.
        :return: the bans that follow from it.
        :raises ConfigError: when there is no such jail, or an argument is of a wrong kind.
        """
        known = canonical(id)
        failure = Failure(
            jail=self.configuration.jail(jail).name,
            id=known or id,
            address=known if "/" not in known else "",
            time=self.clock() if time is None else time,
            matches=(text,) if text else (),
            fields=fields or {},
        )
        if wrong := defect(failure, Failure):
            raise ConfigError(f"[{jail}] this is no failure: {wrong}")
        return await self.pipeline.process([failure])

    async def ban(
        self,
        jail: str,
        id: str,
        *,
        length: float | None = None,
        reason: str = "",
        force: bool = False,
        replace: bool = False,
        protected: Collection[str] = (),
        asker: str = "",
    ) -> Ban:
        """Ban an address, a network or another id by hand.

        Where a ban of it is there, a longer one prolongs it, and its evidence is kept. Without a length, one that lasts
        longer than the jail's bantime stays as it is.

        :param length: seconds, the jail's bantime if left out.
        :param reason: what is shown; "by hand", or that of the present ban, if empty.
        :param force: ban even what this machine needs and what `ignoreip` allowlists.
        :param replace: a present ban that lasts longer is made shorter.
        :param protected: further addresses that the ban must not hit, such as the one that asks for it.
        :param asker: who asks, for the log: `uid 0 alice`.
        :raises ConfigError: when there is no such jail.
        :raises ActionError: when it would hit this machine, who controls it, an allowlisted address, or everybody; when
            a present ban lasts longer than `length`.
        """
        return await self._bans.ban(
            jail, id, length=length, reason=reason, force=force, replacing=replace, protected=protected, asker=asker
        )

    async def take_over(self, bans: Sequence[Ban]) -> list[str]:
        """Take bans over from another program, each with the start and length that it has there.

        Those that are over go into the history, so that escalation counts them; those in force are enforced until their
        end. Past bans of an id must come before its present one.

        :return: for each ban why it was not taken, empty if it was.
        """
        return await self._bans.take_over(bans)

    async def unban(self, id: str, jail: str | None = None, *, asker: str = "hand") -> list[Ban]:
        """Lift the bans of an id, or of all inside a network, in one jail or in all; returns those that were lifted.

        :param asker: who asks, for the log: `uid 0 alice`.
        """
        if jail is not None:
            self.configuration.jail(jail)
        return await self._bans.lift(self.ledger.find(canonical(id) or id, jail), asker)

    async def unban_all(self, jail: str | None = None, *, asker: str = "hand") -> int:
        """Lift every ban, of one jail or of all; returns how many there were. `asker` as for `unban`."""
        if jail is not None:
            self.configuration.jail(jail)
        return len(await self._bans.lift(self.ledger.active(jail), asker))

    def is_banned(self, address: str, jail: str | None = None) -> bool:
        """Whether a ban of this address, or of a prefix that holds it, is decided and not over. Takes microseconds."""
        return self.ledger.is_banned(canonical(address) or address, jail)

    def restart_actions(self, jail: str) -> None:
        """Start the actions of a jail again: afterwards exactly its bans are in force.

        :raises ConfigError: when there is no such jail.
        """
        self.enforcer.restart(self.configuration.jail(jail).name)

    def ban_state(self, jail: str, id: str) -> str:
        """How far a ban that the ledger holds has come: `active`, `pending` or `failing`."""
        return self.enforcer.state(jail, id)

    def refusal(self, jail: Jail, id: str) -> str:
        """Why an address or prefix must not be banned in a jail, as the end of a sentence; empty if it may be.

        For plugins that merge narrow bans into wider ones. May be called from any thread.
        """
        return self.ban_guard.refusal(jail, id)

    def _seen_again(self, jail: Jail, ban: Ban, failure: Failure) -> None:
        self.enforcer.check_soon(jail.name)
        self._leaks.failed(jail, ban, failure)

    def _allowlist_reason(self, jail: Jail, id: str) -> str:
        """Why plugins allowlist an id; asked of the jail as it is now: an action may know it from before a reload."""
        now = self.configuration.now
        return now.plugins.refuse_ban(now.jails.get(jail.name, jail), id)

    # --- actions ------------------------------------------------------------------------------------------------------

    async def execute(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> Outcome:
        """Have an action done by the plugin that handles it; for plugins that build on other actions.

        :raises ActionError: when it could not be done, or no plugin handles it.
        """
        outcome = await self._execute(jail, action, op, bans)
        if outcome is None:
            raise ActionError(f"no plugin serves action {action.name!r}")
        return outcome

    def check_actions(self, jail: str, actname: str = "") -> None:
        """Have what an action (or all of a jail) put in force compared with the ledger and repaired: others may have
        changed it.

        At once, or a second after the last time; however many calls there are, the last is followed by a check that
        began after it. May be called from any thread.
        """
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self.enforcer.check_now, jail, actname)

    def adopts(self, jail: str, actname: str) -> bool:
        """Whether an action that starts must not remove bans it finds but report them (`Outcome.found`).

        True until its first start has succeeded, if the ledger was lost: then only the firewall still knows them. May
        be called from any thread.
        """
        workers = self.enforcer.workers(jail)
        return self.ledger.rebuilt and any(w.action.actname == actname and not w.started for w in workers)

    async def diagnose(self, jail: Jail, action: ActionSpec, bans: Sequence[Ban], address: str) -> list[Finding] | None:
        """What the plugin that handles an action finds; None if no plugin can look. See the hook of this name."""
        return await self.plugins.diagnose(self, jail, action, bans, address, self._pools.doctor)

    async def _execute(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> Outcome | None:
        return await self.configuration.execute(jail, action, op, bans, self._pools.of_action(action.name))

    async def _report(self, news: list[tuple[Jail, Op, Ban]]) -> None:
        """Report that bans are in force or over, once the ledger has them on disk."""
        try:
            await self._writer.write()
            announce(self.plugins, news, style=self.settings.log_style, observing=self.observing)
        except (OSError, MemoryError) as error:  # the bans are in force, and the ledger is written at the next tick
            cause = resource_exhaustion(error) or error
            logger.error("%s; some of the bans and unbans (%d) were not reported to the plugins", cause, len(news))

    # --- what can be seen ---------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        return self.configuration.settings

    @property
    def plugins(self) -> Plugins:
        """The plugins in use."""
        return self.configuration.plugins

    @property
    def jails(self) -> Mapping[str, Jail]:
        """The jails that run, by name."""
        return self.configuration.jails

    @property
    def state_problem(self) -> str:
        """What keeps the ledger from being written; empty if nothing does."""
        return self._writer.problem

    def problems(self, jail: Jail) -> list[Problem]:
        """Everything that keeps a jail from running whole."""
        return self._status.problems(jail)

    def status(self) -> GuardStatus:
        """State of the whole guard."""
        return self._status.guard(
            started=self.started,
            configured=self.configured,
            observing=self.observing,
            ledger_file=self.ledger_file,
            state_problem=self.state_problem,
        )

    def jail_status(self, jail: str) -> JailDetails:
        """State of one jail with its bans. :raises ConfigError: when there is no such jail."""
        return self._status.jail_with_bans(self.configuration.jail(jail))

    def plugins_report(self) -> list[dict[str, object]]:
        """Which plugins are asked, per jail and hook, in order; then (no hook) those that are not, or have failed."""
        asked = self.plugins.report(self.jails.values())
        return [*asked, *({"hook": "", "plugins": [], **to_dict(each)} for each in self.plugins.reports())]
