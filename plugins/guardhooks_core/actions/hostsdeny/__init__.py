"""The action `hostsdeny`: the hosts.deny file of TCP wrappers, under fail2ban's name with its parameters.

Each action has a block of lines between two marker lines; no other line is changed. A batch is one edit.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from guardhooks import (
    ActionSpec,
    Ban,
    Finding,
    GuardView,
    Jail,
    Level,
    Op,
    Option,
    OptionTable,
    Outcome,
    hookimpl,
    option_types,
    safe_text,
)
from guardhooks_core.actions.common.options import fault, for_family, is_stand_in, refuse_unknown, value
from guardhooks_core.actions.firewall.entries import entries_of
from guardhooks_core.actions.firewall.findings import missing
from guardhooks_core.actions.firewall.names import kernel_name
from guardhooks_core.actions.firewall.ownership import Ownership
from guardhooks_core.actions.hostsdeny.block import Block
from guardhooks_core.actions.hostsdeny.edit import edit, read
from guardhooks_core.actions.hostsdeny.lines import line_for

NAME: Final = "hostsdeny"
_FILE: Final = Option("file", option_types.TEXT, "/etc/hosts.deny", "the file; a link is followed")
_DAEMON_LIST: Final = Option("daemon_list", option_types.TEXT, "ALL", "programs: `sshd, vsftpd`")
_IP_VALUE: Final = Option(
    "ip_value", option_types.TEXT, "<ip>", "what stands for the address", default_text="`<ip>`, `[<ip>]` for IPv6"
)
OPTIONS: Final = OptionTable("action", (_FILE, _DAEMON_LIST, _IP_VALUE), names=(NAME,), title="Action `hostsdeny`")
_DAEMONS: Final = re.compile(r"[A-Za-z0-9_.@*?-][A-Za-z0-9_.@*?, \t-]{0,500}")
_VALUE: Final = re.compile(r"[^<>#\\\x00-\x1f\x7f]*<ip>[^<>#\\\x00-\x1f\x7f]*")


@dataclass(frozen=True, slots=True)
class Parameters:
    """`values` are the text for an address by IP version; `<ip>` in it is the address."""

    file: Path
    daemons: str
    values: dict[int, str]
    block: Block

    @classmethod
    def of(cls, action: ActionSpec) -> Parameters:
        """Read the action's options.

        :raises ConfigError: if one is invalid.
        """
        file = Path(value(action, _FILE))
        daemons = value(action, _DAEMON_LIST)
        values = {4: for_family(action, "ip_value", 4) or "<ip>", 6: for_family(action, "ip_value", 6) or "[<ip>]"}
        if not file.is_absolute() or "\0" in str(file):
            raise fault(action, f"file = {safe_text(str(file), 100)!r} is not an absolute path")
        if not _DAEMONS.fullmatch(daemons):
            raise fault(
                action, f"daemon_list = {safe_text(daemons, 100)!r} is not a list of programs such as sshd, vsftpd"
            )
        for text in values.values():
            if not _VALUE.fullmatch(text):
                raise fault(action, f"ip_value = {safe_text(text, 100)!r} must be one line that contains <ip> once")
        return cls(file, daemons, values, Block(kernel_name("", action.get("name"), limit=60)))

    def lines(self, bans: Sequence[Ban], now: float, failed: dict[str, str] | None = None) -> list[str]:
        """One line for each address and prefix."""
        found = entries_of(bans, now, failed)
        return [
            line_for(self.daemons, self.values[version], entry)
            for version, entries in found.items()
            for entry in entries
        ]


class HostsDenyAction:
    """The plugin. `clock` returns seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._owners = Ownership("block")

    @hookimpl(trylast=True)
    def execute_action(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> bool | Outcome | None:
        """See the contract; runs in a worker thread."""
        if not _is_served(action):
            return None
        if op is Op.STOP:
            return True
        parameters = Parameters.of(action)
        owned = [f"{parameters.block.name} of {parameters.file.resolve()}"]
        if op is Op.START:
            refuse_unknown(action, OPTIONS.option_names)
            self._owners.claim(jail, action, owned)
            return self._reconcile(parameters, bans)
        if op is Op.FLUSH:
            if not self._owners.others(jail, action, owned):
                edit(parameters.file, lambda data: parameters.block.write(data, []))
                self._owners.release(owned)
            return True
        self._owners.require(jail, action, owned)
        if op is Op.CHECK:
            return self._reconcile(parameters, bans)
        return self._change(parameters, op, bans)

    def _change(self, parameters: Parameters, op: Op, bans: Sequence[Ban]) -> Outcome:
        failed: dict[str, str] = {}
        now = float("-inf") if op is Op.UNBAN else self._clock()
        given = dict.fromkeys(parameters.lines(bans, now, failed))

        def changed(data: bytes) -> bytes:
            held = parameters.block.read(data)
            left = [line for line in held if line not in given]
            wanted = left if op is Op.UNBAN else dict.fromkeys([*held, *given])
            return parameters.block.write(data, wanted)

        edit(parameters.file, changed)
        return Outcome(failed=failed)

    def _reconcile(self, parameters: Parameters, bans: Sequence[Ban]) -> Outcome:
        failed: dict[str, str] = {}
        wanted = parameters.lines(bans, self._clock(), failed)
        added = removed = 0

        def changed(data: bytes) -> bytes:
            nonlocal added, removed
            held = parameters.block.read(data)
            added, removed = len(set(wanted).difference(held)), len(set(held).difference(wanted))
            return parameters.block.write(data, wanted) if added or removed else data

        edit(parameters.file, changed)
        return Outcome(added, removed, f"lines in {parameters.file}", failed=failed)


@hookimpl(trylast=True)
def diagnose(guard: GuardView, action: ActionSpec, bans: Sequence[Ban], address: str) -> list[Finding] | None:
    """See the contract; runs in a worker thread. With an address, `bans` are those that cover it."""
    if not _is_served(action):
        return None
    parameters = Parameters.of(action)
    held = parameters.block.read(read(parameters.file))
    absent = [line for line in parameters.lines(bans, guard.clock()) if line not in held]
    if address and not bans:
        return [
            Finding(
                f"no active ban covers {address}, and {parameters.file} has no line of ours for it",
                Level.GOOD,
                "",
                False,
            )
        ]
    if absent:
        text = f"{parameters.file} is missing {len(absent)} of our lines: {safe_text(absent[0], 100)}"
        return [replace(missing(text), blocks=False if address else None)]
    text = f"{parameters.file} has our lines; servers without TCP wrappers do not read it"
    return [Finding(text, Level.GOOD, "", True if address else None)]


def _is_served(action: ActionSpec) -> bool:
    daemons, file = re.escape(action.get("daemon_list")), re.escape(action.get("file"))
    value = re.escape(action.get("ip_value"))
    return action.name == NAME and is_stand_in(
        action,
        OPTIONS.option_names,
        actionban=rf'(?:printf %b|echo) "{daemons}: (?:<ip_value>|{value})(?:\\n)?" >> {file}',
        actionunban=r"(?:IP=.* && )?sed -i .*",
    )


@hookimpl
def declare_options() -> list[OptionTable]:
    """See the contract."""
    return [OPTIONS]


_plugin = HostsDenyAction()
execute_action = _plugin.execute_action
