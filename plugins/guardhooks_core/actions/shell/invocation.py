"""Runs one command of an action: fills in its tags, checks that it has its address, logs the result."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from guardhooks import ActionError, ActionSpec, Ban, Jail, LedgerView, ShellScript, safe_text, shell_script
from guardhooks_core.actions.common.hostnames import Hostnames
from guardhooks_core.actions.common.offender import address_of
from guardhooks_core.actions.shell.commands import Commands
from guardhooks_core.actions.shell.process import Result, Runner
from guardhooks_core.actions.shell.tags import TagContext

logger = logging.getLogger("guardhooks.shell")

_HOST_TAG: Final = "<ip-host>"


class Invoker:
    """Runs the commands of one action of one jail. `bantime` is the ban time of the jail, in seconds."""

    def __init__(
        self,
        jail: Jail,
        commands: Commands,
        runner: Runner,
        hostnames: Hostnames,
        *,
        ledger: LedgerView | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.jail, self.bantime, self.commands = jail.name, jail.bantime, commands
        self._runner, self._hostnames, self._ledger, self._clock = runner, hostnames, ledger, clock

    @property
    def action(self) -> ActionSpec:
        """The action as configured."""
        return self.commands.action

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock()

    def has(self, command: str, family: str) -> bool:
        """Whether the command is defined."""
        return bool(self.commands.text(command, family))

    async def run(self, command: str, family: str, ban: Ban | None = None) -> Result:
        """Run a command once; one that is not defined succeeds.

        :raises ActionError: if its tags cannot be resolved.
        """
        text = self.commands.text(command, family)
        if not text:
            return Result(0)
        host = ""
        if ban is not None and _HOST_TAG in text:
            host = await self._hostnames.of_address(address_of(ban))
        context = self._context(family, ban, host)
        result = await self._runner.run(
            shell_script(text, context.value), self.commands.timeout, self.action.file or self.action.name
        )
        if logger.isEnabledFor(logging.DEBUG):
            about = f" {safe_text(ban.id, 100)}" if ban else ""
            logger.debug("[%s] %s %s%s: %s", self.jail, self.action.actname, command, about, result)
        return result

    def script(self, command: str, family: str, ban: Ban) -> ShellScript:
        """A command for a ban as it would run, without the reverse name of its address."""
        return shell_script(self.commands.text(command, family), self._context(family, ban).value)

    def _context(self, family: str, ban: Ban | None, host: str = "") -> TagContext:
        return TagContext(self.jail, family, self._clock(), ban, host, self._ledger, self.bantime)

    async def demand(self, command: str, family: str, ban: Ban | None = None) -> None:
        """Run a command that must succeed.

        :raises ActionError: if it fails, with its exit status and output.
        """
        result = await self.run(command, family, ban)
        if not result.ok:
            raise self.error(command, result, ban)

    def error(self, command: str, result: Result, ban: Ban | None = None) -> ActionError:
        """The error for a failed command."""
        about = f" of {safe_text(ban.id, 100)}" if ban else ""
        hint = "; if the action takes no networks, set ipv6prefix = 128" if ban and "/" in ban.id else ""
        return ActionError(f"{self.action.actname}: {command}{about}: {result}{hint}")

    def can_name(self, command: str, family: str, ban: Ban) -> bool:
        """Whether the ban has an address, or the command can be run without one."""
        return bool(address_of(ban)) or self.commands.can_name(command, family, ban.id)
