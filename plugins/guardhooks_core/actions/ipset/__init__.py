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

from guardhooks import ActionSpec, Ban, ConfigFinding, Finding, GuardView, Jail, Op, OptionTable, Outcome, hookimpl
from guardhooks_core.actions.firewall import iptables
from guardhooks_core.actions.firewall.change_watch import ChangeSubscriptions
from guardhooks_core.actions.firewall.entries import entries_of, entry_text
from guardhooks_core.actions.firewall.errors import ToolMissingError
from guardhooks_core.actions.firewall.names import kernel_name
from guardhooks_core.actions.firewall.nftables_monitor import (
    CHAIN_ADDED,
    REMOVALS,
    TABLE_REMOVED,
    Change,
    ChangeListener,
)
from guardhooks_core.actions.firewall.ownership import Ownership
from guardhooks_core.actions.firewall.parameters import Parameters, is_native, parse_parameters, parse_policy, table_of
from guardhooks_core.actions.firewall.reconcile import Plan, Result, SetReconciler, outcome, reasons
from guardhooks_core.actions.firewall.requirements import unmet
from guardhooks_core.actions.ipset import diagnosis, kernel, rules
from guardhooks_core.actions.ipset.backend import IpsetBackend
from guardhooks_core.actions.ipset.rule_batches import RuleBatcher
from guardhooks_core.actions.ipset.set_monitor import SetSizeMonitor

NAMES: Final = frozenset({
    "ipset", "iptables-ipset", "iptables-ipset-proto4", "iptables-ipset-proto6", "iptables-ipset-proto6-allports",
    "iptables", "iptables-multiport", "iptables-allports", "iptables-new",
})  # fmt: skip


DEFAULT_MAX_ELEMENTS: Final = 1 << 20
"""A set grows as it fills, so a high limit costs nothing; the kernel's own default of 65,536 is soon reached."""
_FAMILIES: Final = frozenset({2, 10})  # NFPROTO_IPV4, NFPROTO_IPV6
_RULE_CHANGES: Final = REMOVALS | {CHAIN_ADDED}
_TABLE: Final = "filter"


class IpsetAction:
    """The plugin. `clock` returns seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._owners = Ownership()
        self._reconciler = SetReconciler(clock)
        self._subscriptions = ChangeSubscriptions()
        self._listener = ChangeListener(self._rules_changed)
        self._rules = RuleBatcher(self._listener.own_work)
        self._lock = threading.Lock()
        self._without_rules: dict[str, str] = {}
        """By set, why no rule matches it: none of its chains exists."""
        self._size_monitor = SetSizeMonitor(clock, self._lock, self._subscriptions.request_checks)

    @hookimpl
    def on_start(self, guard: GuardView) -> None:
        """Keep the guard, which checks an action when others change our sets and rules."""
        self._subscriptions.connect(guard)

    @hookimpl
    def on_stop(self) -> None:
        """Stop listening and counting."""
        self._listener.close()
        self._size_monitor.stop()
        self._subscriptions.disconnect()

    @hookimpl(trylast=True)
    def execute_action(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> bool | Outcome | None:
        """See the contract; runs in a worker thread."""
        if action.name not in NAMES or not is_native(action):
            return None
        names = set_names(action.get("name"))
        if op is Op.STOP:
            return True
        if op is Op.FLUSH:
            with self._lock:
                return self._flush(jail, action, names)
        parameters = _parameters(action)
        backends = {v: IpsetBackend(jail.name, name, v, parameters.max_elements) for v, name in names.items()}
        with self._lock:
            if op is Op.START:
                self._owners.claim(jail, action, list(names.values()))
                self._watch(jail, action, parameters, names)
            else:
                self._owners.require(jail, action, list(names.values()))
            if op in {Op.BAN, Op.UNBAN}:
                return self._change(jail, action, op, backends, bans)
            filled, existing = self._fill(jail, action, backends, bans, first=op is Op.START)
        return self._add_rules(filled, parameters, existing, bans)

    def _watch(self, jail: Jail, action: ActionSpec, parameters: Parameters, names: dict[int, str]) -> None:
        self._subscriptions.subscribe(jail, action, [*names.values(), *map(_chain_key, parameters.chains)])
        if self._subscriptions.loop is not None:
            self._listener.open(self._subscriptions.loop)
            self._size_monitor.start()

    def _change(
        self, jail: Jail, action: ActionSpec, op: Op, backends: dict[int, IpsetBackend], bans: Sequence[Ban]
    ) -> Outcome:
        merging, key = self._subscriptions.merging(jail, parse_policy(action)), backends[4].name
        failed: dict[str, str] = {}
        now = self._clock()
        for version, entries in entries_of(bans, now if op is Op.BAN else float("-inf"), failed).items():
            if not entries:
                continue
            backend = backends[version]
            if op is Op.UNBAN:
                with self._size_monitor.own_change(backend.name, removed=len(entries)):
                    self._reconciler.unban((key, version), backend, entries, merging)
                continue
            with self._size_monitor.own_change(backend.name, (now + left for left in entries.values())):
                left_out = self._reconciler.ban((key, version), backend, entries, merging)
            failed |= reasons(left_out, backend)
            if why := self._without_rules.get(backend.name):
                failed |= dict.fromkeys(map(entry_text, entries), why)
        return Outcome(failed=failed, warning=self._reconciler.warning(key))

    def _fill(
        self, jail: Jail, action: ActionSpec, backends: dict[int, IpsetBackend], bans: Sequence[Ban], *, first: bool
    ) -> tuple[Outcome, list[IpsetBackend]]:
        """Make the sets exist and hold the desired bans; returns those that do, without IPv6 where there is none."""
        policy, key, now = parse_policy(action), backends[4].name, self._clock()
        merging = self._subscriptions.merging(jail, policy)
        adopt = policy.adopt or (first and self._subscriptions.adopts(jail, action))
        results: list[Result] = []
        unfit: dict[str, str] = {}
        existing: list[IpsetBackend] = []
        note = f"ipset: sets {', '.join(backend.name for backend in backends.values())}"
        for version, wanted in entries_of(bans, now, unfit).items():
            try:
                plan = self._reconciler.plan((key, version), backends[version], wanted, merging, at=now, adopt=adopt)
                results.append(self._carry_out((key, version), backends[version], plan))
                existing.append(backends[version])
            except ToolMissingError as error:
                note += _without_ipv6(error, version, bans)
        warning = self._reconciler.warning(key)
        return outcome(results, jail.name, now, note=note, warning=warning, failed=unfit), existing

    def _carry_out(self, key: tuple[str, int], backend: IpsetBackend, plan: Plan) -> Result:
        resized = backend.ensure(plan.fit.entries)
        result = self._reconciler.carry_out(key, plan)
        now = self._clock()
        self._size_monitor.reconciled(backend.name, (now + left for left in plan.fit.entries.values()))
        result.added += resized
        return result

    def _add_rules(
        self, filled: Outcome, parameters: Parameters, existing: Sequence[IpsetBackend], bans: Sequence[Ban]
    ) -> Outcome:
        """Make the rules exist that match the sets, which exist by now."""
        added, removed, note = filled.added, filled.removed, filled.note
        problems: list[str] = []
        failed, warnings = dict(filled.failed), [filled.warning] if filled.warning else []
        for backend in existing:
            wanted = rules.wanted_rules(parameters, backend.version, backend.name)
            try:
                more, less, absent = self._rules.reconcile(backend.version, backend.name, wanted)
            except ToolMissingError as error:
                note += _without_ipv6(error, backend.version, bans)
            else:
                added, removed = added + more, removed + less
                why = iptables.no_chain(backend.version, absent) if absent else ""
                has_rules = len(absent) < len(parameters.chains)
                self._without_rules[backend.name] = "" if has_rules else why
                affected = [ban.id for ban in bans if not has_rules and _version_of(ban) == backend.version]
                failed |= dict.fromkeys(affected, why)
                if why and (has_rules or backend.version == 4):
                    problems.append(why)
                elif why and not affected:  # Docker without IPv6 has no chain in ip6tables, and may never have one
                    warnings.append(why)
        return replace(
            filled, added=added, removed=removed, note=note, failed=failed, warning="; ".join(warnings),
            problem="; ".join(problems),
        )  # fmt: skip

    def _flush(self, jail: Jail, action: ActionSpec, names: dict[int, str]) -> bool:
        owners = list(names.values())
        if self._owners.others(jail, action, owners):
            return True
        self._subscriptions.unsubscribe(jail, action, names[4])
        for version, name in names.items():
            self._size_monitor.forget(name)
            if iptables.has_tool(version):
                self._rules.reconcile(version, name, [])
            if (current := kernel.read(name)) is not None and current.fits(version):
                kernel.destroy(name)
        self._reconciler.forget(names[4])
        self._owners.release(owners)
        return True

    def _rules_changed(self, change: Change | None) -> None:
        """Others changed iptables' rules, if iptables is nftables underneath: one of ours is gone, a chain is new."""
        if change is None:
            self._subscriptions.request_checks()
        elif change.kind in _RULE_CHANGES and change.table == _TABLE and change.family in _FAMILIES:
            key = _chain_key(change.name)
            if change.kind == TABLE_REMOVED or self._subscriptions.has_subscriber(key):
                self._subscriptions.request_checks("" if change.kind == TABLE_REMOVED else key)


def _without_ipv6(error: ToolMissingError, version: int, bans: Sequence[Ban]) -> str:
    """The note about a machine that cannot ban IPv6 addresses; raises the error where it has to."""
    if version == 4 or any(":" in ban.id for ban in bans):
        raise error
    return f"; IPv6 off: {error}"


def _version_of(ban: Ban) -> int:
    return 6 if ":" in ban.id else 4


def _chain_key(chain: str) -> str:
    """The name to which an action subscribes for a chain; no set has such a name."""
    return f"chain {chain}"


def _parameters(action: ActionSpec) -> Parameters:
    parameters = parse_parameters(action)
    return replace(parameters, max_elements=parameters.max_elements or DEFAULT_MAX_ELEMENTS)


def set_names(name: str) -> dict[int, str]:
    """The sets of an action by IP version."""
    return {4: kernel_name("f2b-", name), 6: kernel_name("f2b-", name, "6")}


@hookimpl(trylast=True)
def diagnose(guard: GuardView, action: ActionSpec, bans: Sequence[Ban], address: str) -> list[Finding] | None:
    """See the contract; runs in a worker thread."""
    if action.name not in NAMES or not is_native(action):
        return None
    parameters, policy, names = _parameters(action), parse_policy(action), set_names(action.get("name"))
    now = guard.clock()
    if address:
        return list(diagnosis.examine_address(parameters, policy, names, bans, now, address))
    return list(diagnosis.examine_action(parameters, policy, names, bans, now))


@hookimpl
def check_jail(jail: Jail) -> list[ConfigFinding]:
    """See the contract."""
    return unmet(jail, lambda action: action.name in NAMES and is_native(action), _require)


def _require() -> None:
    """Look for a set that is not there, and at the rules."""
    kernel.read("guardhooks-check")
    iptables.read_rules(4)


@hookimpl
def declare_options() -> list[OptionTable]:
    """See the contract."""
    return [table_of(NAMES, sets=True)]


_plugin = IpsetAction()
on_start = _plugin.on_start
on_stop = _plugin.on_stop
execute_action = _plugin.execute_action
