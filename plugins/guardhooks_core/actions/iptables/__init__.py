"""Bans as iptables rules: a chain `f2b-NAME` with a rule for each ban, for machines that have no ipset.

Serves `iptables-rules`, and fail2ban's `iptables*` names where `native = rules` asks for it; else these are served
with sets. A batch of bans is one call of iptables-restore. Rules have no timeouts: the daemon removes those of
bans that end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from guardhooks import ActionSpec, Ban, ConfigFinding, Finding, GuardView, Jail, Op, OptionTable, Outcome, hookimpl
from guardhooks_core.actions.common.options import fault, has_commands_like, is_wanted_native, refuse_unknown
from guardhooks_core.actions.firewall import iptables
from guardhooks_core.actions.firewall.entries import entries_of, entry_text
from guardhooks_core.actions.firewall.errors import ToolMissingError
from guardhooks_core.actions.firewall.names import kernel_name
from guardhooks_core.actions.firewall.ownership import Ownership
from guardhooks_core.actions.firewall.parameters import (
    SET_OPTIONS,
    Parameters,
    is_inverted,
    parse_parameters,
    table_of,
    wants_rules,
)
from guardhooks_core.actions.firewall.requirements import unmet
from guardhooks_core.actions.iptables import diagnosis
from guardhooks_core.actions.iptables.backend import Chain

OWN_NAMES: Final = frozenset({
    "iptables-rules", "iptables-rules-multiport", "iptables-rules-allports", "iptables-rules-new",
})  # fmt: skip
STOCK_NAMES: Final = frozenset({"iptables", "iptables-multiport", "iptables-allports", "iptables-new"})
OPTIONS: Final = table_of(OWN_NAMES | STOCK_NAMES, sets=False)
_KNOWN: Final = OPTIONS.option_names | {option.name for option in SET_OPTIONS}
"""Those of sets have no effect here; `auto` may have been given them."""
_LONGEST_NAME: Final = 28
"""Characters that iptables lets a chain's name have."""


class IptablesAction:
    """The plugin. `clock` returns seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._owners = Ownership("chain")
        self._lock = threading.Lock()
        self._without_jumps: dict[tuple[str, int], str] = {}
        """Why no chain leads to ours, by its name and IP version."""

    @hookimpl(trylast=True)
    def execute_action(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> bool | Outcome | None:
        """See the contract; runs in a worker thread."""
        if not _is_served(action):
            return None
        name = chain_name(action)
        with self._lock:
            if op is Op.STOP:
                return True
            if op is Op.FLUSH:
                return self._flush(jail, action, name)
            parameters = _parameters(action)
            if op is Op.START:
                refuse_unknown(action, _KNOWN)
                self._owners.claim(jail, action, [name])
                return self._reconcile(parameters, name, bans)
            self._owners.require(jail, action, [name])
            if op is Op.CHECK:
                return self._reconcile(parameters, name, bans)
            return self._change(parameters, name, op, bans)

    def _change(self, parameters: Parameters, name: str, op: Op, bans: Sequence[Ban]) -> Outcome:
        failed: dict[str, str] = {}
        for version, entries in entries_of(bans, float("-inf") if op is Op.UNBAN else self._clock(), failed).items():
            if entries:
                chain = Chain(parameters, version, name)
                if op is Op.UNBAN:
                    chain.remove(entries)
                else:
                    chain.add(entries)
                    if why := self._without_jumps.get((name, version)):
                        failed |= dict.fromkeys(map(entry_text, entries), why)
        return Outcome(failed=failed)

    def _reconcile(self, parameters: Parameters, name: str, bans: Sequence[Ban]) -> Outcome:
        added = removed = 0
        failed: dict[str, str] = {}
        problems: list[str] = []
        warnings: list[str] = []
        note = f"iptables: chain {name}, a rule for each ban"
        for version, wanted in entries_of(bans, self._clock(), failed).items():
            try:
                more, less, absent = Chain(parameters, version, name).reconcile(wanted)
            except ToolMissingError as error:
                if wanted or version == 4:
                    raise
                note += f"; IPv6 off: {error}"
                continue
            added, removed = added + more, removed + less
            why = iptables.no_chain(version, absent) if absent else ""
            is_unused = bool(absent) and len(absent) == len(set(parameters.chains))
            self._without_jumps[name, version] = why if is_unused else ""
            failed |= dict.fromkeys(map(entry_text, wanted if is_unused else ()), why)
            if why and (version == 4 or not is_unused):
                problems.append(why)
            elif why and not wanted:  # Docker without IPv6 has no chain in ip6tables, and may never have one
                warnings.append(why)
        return Outcome(added, removed, note, failed=failed, warning="; ".join(warnings), problem="; ".join(problems))

    def _flush(self, jail: Jail, action: ActionSpec, name: str) -> bool:
        if not self._owners.others(jail, action, [name]):
            for version in (4, 6):
                if iptables.has_tool(version):
                    Chain(_parameters(action), version, name).destroy()
            self._owners.release([name])
        return True


@hookimpl(trylast=True)
def diagnose(guard: GuardView, action: ActionSpec, bans: Sequence[Ban], address: str) -> list[Finding] | None:
    """See the contract; runs in a worker thread."""
    if not _is_served(action):
        return None
    parameters, name = _parameters(action), chain_name(action)
    if address:
        return list(diagnosis.examine_address(parameters, name, bans, address))
    return list(diagnosis.examine_action(parameters, name, bans, guard.clock()))


def chain_name(action: ActionSpec) -> str:
    """The chain that holds the action's rules."""
    return kernel_name("f2b-", action.get("name"), limit=_LONGEST_NAME)


def _is_served(action: ActionSpec) -> bool:
    if action.name in OWN_NAMES:
        return is_wanted_native(action) and has_commands_like(action)
    return action.name in STOCK_NAMES and wants_rules(action)


def _parameters(action: ActionSpec) -> Parameters:
    if is_inverted(action):
        raise fault(action, "blocktype and returntype must block the banned; native = no runs the file")
    return parse_parameters(action)


@hookimpl
def check_jail(jail: Jail) -> list[ConfigFinding]:
    """See the contract."""
    return unmet(jail, _is_served, _require)


def _require() -> None:
    """Look at the rules."""
    iptables.read_rules(4)


@hookimpl
def declare_options() -> list[OptionTable]:
    """See the contract."""
    return [OPTIONS]


_plugin = IptablesAction()
execute_action = _plugin.execute_action
