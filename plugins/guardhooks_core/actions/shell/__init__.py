"""Runs the commands of `action.d` files: every action that has commands and that no other plugin serves.

Being asked last is the point: the native firewall plugins serve `iptables*`, `nftables*` and `ipset*` before, unless
the brackets say `native = no`. The commands are the administrator's; what attackers wrote reaches them as environment
variables only.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
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
    hookimpl,
)
from guardhooks_core.actions.common.hostnames import Hostnames
from guardhooks_core.actions.shell.ban_commands import Enforcement
from guardhooks_core.actions.shell.commands import OPTIONS, Commands, is_served
from guardhooks_core.actions.shell.diagnosis import examine
from guardhooks_core.actions.shell.invocation import Invoker
from guardhooks_core.actions.shell.journal import Receipts, boot_id
from guardhooks_core.actions.shell.notify_commands import Notices
from guardhooks_core.actions.shell.process import Runner

logger = logging.getLogger("guardhooks.shell")

_IPV6_OFF: Final = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
_RECEIPTS: Final = "shell"


class ShellAction:
    """The plugin. `clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._ledger: LedgerView | None = None
        self._folder: Path | None = None
        self._running: dict[tuple[str, str], Enforcement | Notices] = {}
        self._hostnames = Hostnames()
        self._runner: tuple[asyncio.AbstractEventLoop, Runner] | None = None

    @hookimpl
    def on_start(self, guard: GuardView) -> None:
        """Keep what tags are made of, and where receipts go."""
        self._ledger = guard.ledger
        self._folder = _folder_of(guard)

    @hookimpl(trylast=True)
    async def execute_action(
        self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]
    ) -> bool | Outcome | None:
        """See the contract."""
        if not is_served(action):
            return None
        key = (jail.name, action.actname)
        if op is Op.START:
            return await (await self._begin(key, action)).start(bans)
        running = self._running.get(key)
        if op in (Op.STOP, Op.FLUSH):
            if running is not None and running.action == action:
                await self._end(key, running, op)
            return True  # else the action that took its place has seen to it
        if running is None or running.action != action:
            raise ActionError(f"action {action.actname}: not started")
        if op is Op.CHECK:
            return await running.check(bans)
        if op is Op.UNBAN:
            await running.unban(bans)
            return True
        await running.ban(bans)
        return Outcome(failed=running.failed(bans)) if isinstance(running, Enforcement) else True

    async def _begin(self, key: tuple[str, str], action: ActionSpec) -> Enforcement | Notices:
        """The action as it runs, taken over from what ran under this name before."""
        running = self._running.get(key)
        if running is not None and running.action == action:
            return running
        commands = await self._commands(action)
        invoker = Invoker(key[0], commands, self._places(), self._hostnames, ledger=self._ledger, clock=self._clock)
        receipts = Receipts(self._folder, key[0], action, boot_id())
        if running is not None:
            if await _goes_on(running, invoker, receipts):
                return running
            await running.flush()
            del self._running[key]
        new = Notices(invoker) if commands.is_notice else Enforcement(invoker, receipts, self._shared(key))
        if running is not None and isinstance(new, Notices):
            new.silence()
        self._running[key] = new
        return new

    async def _end(self, key: tuple[str, str], running: Enforcement | Notices, op: Op) -> None:
        if op is Op.FLUSH:
            await running.flush()
        elif isinstance(running, Notices):
            await running.drain()
        del self._running[key]

    async def _commands(self, action: ActionSpec) -> Commands:
        asks = any("-hostname>" in text for text in (*action.properties.values(), *action.options.values()))
        return Commands(action, await self._hostnames.own() if asks else {}, ipv6=_has_ipv6())

    def _shared(self, key: tuple[str, str]) -> Callable[[str], bool]:
        return lambda text: any(text in other.start_texts for name, other in self._running.items() if name != key)

    def _places(self) -> Runner:
        loop = asyncio.get_running_loop()
        if self._runner is None or self._runner[0] is not loop:
            self._runner = loop, Runner()
        return self._runner[1]


async def _goes_on(running: Enforcement | Notices, invoker: Invoker, receipts: Receipts) -> bool:
    """Whether a changed action can go on from where the former stands, without tearing anything down."""
    commands = invoker.commands
    if isinstance(running, Notices):
        if commands.is_notice:
            running.invoker = invoker
        return commands.is_notice
    same = commands.same(running.invoker.commands)
    if commands.is_notice or not (same or any(invoker.has("actionreload", family) for family in commands.families)):
        return False
    await running.reload(invoker, receipts)
    return True


@hookimpl(trylast=True)
def diagnose(
    guard: GuardView, jail: Jail, action: ActionSpec, bans: Sequence[Ban], address: str
) -> list[Finding] | None:
    """See the contract; runs in a worker thread."""
    if not is_served(action):
        return None
    return examine(_folder_of(guard), jail, action, bans, address)


def _folder_of(guard: GuardView) -> Path | None:
    return guard.ledger_file.parent / _RECEIPTS if guard.ledger_file else None


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
