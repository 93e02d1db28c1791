"""Bans in ipset's kernel sets, with one iptables rule for each set, chain and protocol.

Serves `ipset`, and fail2ban's `iptables-ipset*` and `iptables*` names with the same parameters: there a rule for each
ban, here a set. Sets are `f2b-NAME` and `f2b-NAME6`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from guardhooks import ActionError, ActionSpec, Ban, Jail, Op, Outcome, hookimpl
from guardhooks_core.firewall.entries import Entries, compare, entries_of
from guardhooks_core.firewall.names import kernel_name
from guardhooks_core.firewall.ownership import Ownership
from guardhooks_core.firewall.parameters import Parameters, is_native, parse_parameters
from guardhooks_core.firewall.problems import ToolMissingError
from guardhooks_core.ipset import rules, sets

NAMES: Final = frozenset({
    "ipset", "iptables-ipset", "iptables-ipset-proto4", "iptables-ipset-proto6", "iptables-ipset-proto6-allports",
    "iptables", "iptables-multiport", "iptables-allports", "iptables-new",
})  # fmt: skip


DEFAULT_MAX_ELEMENTS: Final = 1 << 20
"""A set grows as it fills, so a high limit costs nothing; the kernel's own default (65,536) is soon reached."""


class IpsetAction:
    """The plugin. `clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._owners = Ownership()
        self._lock = threading.Lock()

    @hookimpl(trylast=True)
    def execute_action(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> bool | Outcome | None:
        """See the contract; runs in a worker thread."""
        if action.name not in NAMES or not is_native(action):
            return None
        names = set_names(action.get("name"))
        with self._lock:
            if op is Op.START:
                parameters = _parameters(action)
                self._owners.claim(jail, action, list(names.values()))
                return self._reconcile(parameters, names, bans)
            if op is Op.STOP:
                return True
            if op is Op.FLUSH:
                return self._flush(jail, action, names)
            self._owners.require(jail, action, list(names.values()))
            if op is Op.CHECK:
                return self._reconcile(_parameters(action), names, bans)
            return self._change(action, op, names, bans)

    def _change(self, action: ActionSpec, op: Op, names: dict[int, str], bans: Sequence[Ban]) -> bool:
        if op is Op.UNBAN:
            for version, entries in _all_entries(bans).items():
                if entries:
                    sets.remove(names[version], entries)
            return True
        for version, entries in entries_of(bans, self._clock()).items():
            if entries:
                sets.add(names[version], entries, _parameters(action).max_elements)
        return True

    def _reconcile(self, parameters: Parameters, names: dict[int, str], bans: Sequence[Ban]) -> Outcome:
        added = removed = 0
        problems: list[str] = []
        for version, wanted in entries_of(bans, self._clock()).items():
            try:
                more, less = _reconcile_family(parameters, version, names[version], wanted)
                added, removed = added + more, removed + less
            except ToolMissingError as error:
                if wanted or version == 4:
                    raise
                problems.append(f"IPv6 off: {error}")
        note = f"ipset: sets {', '.join(names.values())}"
        return Outcome(added, removed, "; ".join([note, *problems]))

    def _flush(self, jail: Jail, action: ActionSpec, names: dict[int, str]) -> bool:
        owners = list(names.values())
        if self._owners.others(jail, action, owners):
            return True
        for version, name in names.items():
            if rules.has_tool(version):
                rules.reconcile(version, name, [])
            sets.destroy(name)
        self._owners.release(owners)
        return True


def _parameters(action: ActionSpec) -> Parameters:
    parameters = parse_parameters(action)
    return replace(parameters, max_elements=parameters.max_elements or DEFAULT_MAX_ELEMENTS)


def set_names(name: str) -> dict[int, str]:
    """The sets of an action by IP version."""
    return {4: kernel_name("f2b-", name), 6: kernel_name("f2b-", name, "6")}


def _all_entries(bans: Sequence[Ban]) -> dict[int, Entries]:
    return entries_of(bans, float("-inf"))


def _reconcile_family(parameters: Parameters, version: int, name: str, wanted: Entries) -> tuple[int, int]:
    added, removed = _reconcile_set(parameters, version, name, wanted)
    more, less = rules.reconcile(version, name, rules.wanted_rules(parameters, version, name))
    return added + more, removed + less


def _reconcile_set(parameters: Parameters, version: int, name: str, wanted: Entries) -> tuple[int, int]:
    held = sets.read(name)
    if held is not None and not held.fits(version):
        if held.references:
            raise ActionError(
                f"set {name} is a {held.type} set that is not guardhooks' own and is in use: stop fail2ban, remove its "
                "rules, or give the action another name="
            )
        sets.destroy(name)
        held = None
    if held is None:
        sets.create(name, version, parameters.max_elements)
    elif held.max_elements != parameters.max_elements:
        return _replace(parameters, version, name, wanted, held.entries)
    difference = compare(held.entries if held else {}, wanted, sets.LONGEST)
    if difference.strangers:
        sets.remove(name, difference.strangers)
    if difference.missing or difference.wrong:
        sets.add(name, {**difference.missing, **difference.wrong}, parameters.max_elements)
    return len(difference.missing) + len(difference.wrong), len(difference.strangers)


def _replace(parameters: Parameters, version: int, name: str, wanted: Entries, held: Entries) -> tuple[int, int]:
    """Give the set another size: a new one is filled and takes the old one's place in one moment."""
    new = kernel_name("f2b-", name, ".new")
    sets.destroy(new)
    sets.create(new, version, parameters.max_elements)
    sets.add(new, wanted, parameters.max_elements)
    sets.swap(name, new)
    sets.destroy(new)
    difference = compare(held, wanted, sets.LONGEST)
    return len(difference.missing), len(difference.strangers)


_plugin = IpsetAction()
execute_action = _plugin.execute_action
