"""Runs the commands of `action.d` files: every action that has commands and that no other plugin serves.

It is deliberately asked last: before it, the native firewall plugins serve `iptables*`, `nftables*` and `ipset*`,
unless the brackets say `native = no`. The commands are the administrator's; text from attackers reaches them only as
environment variables.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from guardhooks import (
    ActionError,
    ActionSpec,
    Ban,
    Finding,
    GuardView,
    Jail,
    LedgerView,
    Op,
    OptionTable,
    Outcome,
    ShellScript,
    hookimpl,
)
from guardhooks_core.actions.common.hostnames import Hostnames
from guardhooks_core.actions.common.offender import address_of
from guardhooks_core.actions.shell.ban_commands import BanCommands
from guardhooks_core.actions.shell.commands import OPTIONS, Commands, has_commands
from guardhooks_core.actions.shell.diagnosis import examine
from guardhooks_core.actions.shell.invocation import Invoker
from guardhooks_core.actions.shell.journal import ActionJournal, boot_id
from guardhooks_core.actions.shell.notify_commands import Notifications
from guardhooks_core.actions.shell.process import Runner
from guardhooks_core.actions.shell.twins import Twins

logger = logging.getLogger("guardhooks.shell")

_IPV6_OFF: Final = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
_JOURNALS: Final = "shell"
"""Name of the folder of the journals, beside the ledger."""


class ShellAction:
    """The plugin. `clock` returns seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._ledger: LedgerView | None = None
        self._jails: Callable[[], Iterable[Jail]] = tuple
        self._folder: Path | None = None
        self._running: dict[tuple[str, str], BanCommands | Notifications] = {}
        self._hostnames = Hostnames()
        self._twins = Twins(self._lifting)
        self._runner: tuple[asyncio.AbstractEventLoop, Runner] | None = None

    @hookimpl
    def on_start(self, guard: GuardView) -> None:
        """Remember where the tags take their values from, and where the journals go."""
        self._ledger = guard.ledger
        self._jails = lambda: guard.jails.values()  # noqa: PLW0108 -- a reload replaces the mapping
        self._folder = _folder_of(guard)

    @hookimpl(trylast=True)
    async def execute_action(
        self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]
    ) -> bool | Outcome | None:
        """See the contract."""
        if not has_commands(action):
            return None
        key = (jail.name, action.actname)
        if op is Op.START:
            return await (await self._running_action(jail, action)).start(bans)
        running = self._running.get(key)
        if running is not None:
            running.invoker.bantime = jail.bantime  # It may have changed while the action did not.
        if op in (Op.STOP, Op.FLUSH):
            if running is not None and running.action == action:
                await self._end(key, running, op)
            return True  # Otherwise the action that replaced it has done so.
        if running is None or running.action != action:
            raise ActionError(f"action {action.actname}: not started")
        if op is Op.CHECK:
            return await running.check(bans)
        if op is Op.UNBAN:
            await running.unban(bans)
            return True
        await running.ban(bans)
        if isinstance(running, Notifications):
            return True
        return Outcome(failed=running.failed(bans), problem=running.problem)

    async def _running_action(self, jail: Jail, action: ActionSpec) -> BanCommands | Notifications:
        """The running action; replaces what ran under this name before, if that has changed."""
        key = (jail.name, action.actname)
        running = self._running.get(key)
        if running is not None and running.action == action:
            running.invoker.bantime = jail.bantime
            return running
        commands = await self._commands(action)
        invoker = Invoker(
            jail, commands, self._shared_runner(), self._hostnames, ledger=self._ledger, clock=self._clock
        )
        journal = ActionJournal(self._folder, key[0], action, boot_id())
        if running is not None:
            if await _continues(running, invoker, journal):
                return running
            await running.flush()
            del self._running[key]
        new: BanCommands | Notifications
        if commands.is_notification:
            new = Notifications(invoker)
        else:
            new = BanCommands(invoker, journal, self._shared(key), self._twins)
        if running is not None and isinstance(new, Notifications):
            new.silence()
        self._running[key] = new
        return new

    async def _end(self, key: tuple[str, str], running: BanCommands | Notifications, op: Op) -> None:
        if op is Op.FLUSH:
            await running.flush()
        elif isinstance(running, Notifications):
            await running.drain()
        del self._running[key]

    async def _commands(self, action: ActionSpec) -> Commands:
        asks = any("-hostname>" in text for text in (*action.properties.values(), *action.options.values()))
        return Commands(action, await self._hostnames.own() if asks else {}, ipv6=_has_ipv6())

    def _lifting(self, id: str) -> Iterator[tuple[object, ShellScript]]:
        for running in self._running.values():
            if isinstance(running, BanCommands) and (script := running.lifting(id)) is not None:
                yield running, script
        yield from self._lifting_once_started(id)

    def _lifting_once_started(self, id: str) -> Iterator[tuple[object, ShellScript]]:
        """Bans of actions that have not started yet, after a restart: what they share must not be lifted before."""
        ledger = self._ledger
        for jail in self._jails() if ledger is not None else ():
            waiting = [each for each in jail.actions if (jail.name, each.actname) not in self._running]
            for action in filter(has_commands, waiting):
                for ban in ledger.find(id, jail.name) if ledger is not None else ():
                    invoker = Invoker(
                        jail, Commands(action, {}, ipv6=_has_ipv6()), self._shared_runner(), self._hostnames,
                        ledger=ledger, clock=self._clock,
                    )  # fmt: skip
                    yield action, invoker.script("actionunban", invoker.commands.family_of(address_of(ban)), ban)

    def _shared(self, key: tuple[str, str]) -> Callable[[str], bool]:
        return lambda text: any(text in other.start_texts for name, other in self._running.items() if name != key)

    def _shared_runner(self) -> Runner:
        loop = asyncio.get_running_loop()
        if self._runner is None or self._runner[0] is not loop:
            self._runner = loop, Runner()
        return self._runner[1]


async def _continues(running: BanCommands | Notifications, invoker: Invoker, journal: ActionJournal) -> bool:
    """Switch a running action to changed commands without removing anything; whether that is possible."""
    commands = invoker.commands
    if isinstance(running, Notifications):
        if commands.is_notification:
            running.invoker = invoker
        return commands.is_notification
    same = commands.same(running.invoker.commands)
    if commands.is_notification or not (
        same or any(invoker.has("actionreload", family) for family in commands.families)
    ):
        return False
    await running.reload(invoker, journal)
    return True


@hookimpl(trylast=True)
def diagnose(
    guard: GuardView, jail: Jail, action: ActionSpec, bans: Sequence[Ban], address: str
) -> list[Finding] | None:
    """See the contract; runs in a worker thread."""
    if not has_commands(action):
        return None
    return examine(_folder_of(guard), jail, action, bans, address)


def _folder_of(guard: GuardView) -> Path | None:
    return guard.ledger_file.parent / _JOURNALS if guard.ledger_file else None


def _has_ipv6() -> bool:
    try:
        return _IPV6_OFF.read_text().strip() != "1"
    except OSError:
        return False


@hookimpl
def declare_options() -> list[OptionTable]:
    """See the contract."""
    return [OPTIONS]


_plugin = ShellAction()
on_start = _plugin.on_start
execute_action = _plugin.execute_action
