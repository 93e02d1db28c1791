"""Bans in nftables: a table `inet guardhooks` of our own, a chain and sets for each action.

Serves `nftables`, `nftables-multiport` and `nftables-allports` with fail2ban's parameters; `chain`, `table` and the
hook are not taken from them, since the table is our own. libnftables builds table, chains,
sets and rules; elements go through netlink.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from guardhooks import ActionSpec, Ban, ConfigFinding, Finding, GuardView, Jail, Op, OptionTable, Outcome, hookimpl
from guardhooks_core.actions.firewall.change_watch import ChangeSubscriptions
from guardhooks_core.actions.firewall.entries import Entries, entries_of
from guardhooks_core.actions.firewall.nftables_monitor import Change, ChangeListener
from guardhooks_core.actions.firewall.ownership import Ownership
from guardhooks_core.actions.firewall.parameters import (
    Parameters,
    Policy,
    is_native,
    parse_parameters,
    parse_policy,
    table_of,
)
from guardhooks_core.actions.firewall.reconcile import SetReconciler, outcome, reasons
from guardhooks_core.actions.firewall.requirements import unmet
from guardhooks_core.actions.nftables import diagnosis, libnftables, ruleset
from guardhooks_core.actions.nftables.backend import NftablesBackend, group_by_shape
from guardhooks_core.actions.nftables.builder import TableBuilder
from guardhooks_core.actions.nftables.reading import INET
from guardhooks_core.actions.nftables.ruleset import Shape

NAMES: Final = frozenset({"nftables", "nftables-multiport", "nftables-allports"})


class NftablesAction:
    """The plugin. `clock` returns seconds since the epoch; `reject_hooks` are the chain hooks that are tried first."""

    def __init__(
        self, clock: Callable[[], float] = time.time, reject_hooks: tuple[str, ...] = ruleset.PREROUTING
    ) -> None:
        self._clock = clock
        self._owners = Ownership()
        self._builder = TableBuilder(reject_hooks)
        self._reconciler = SetReconciler(clock)
        self._subscriptions = ChangeSubscriptions()
        self._listener = ChangeListener(self._changed)
        self._lock = threading.Lock()

    @hookimpl
    def on_start(self, guard: GuardView) -> None:
        """Keep the guard, which checks an action when others change our table."""
        self._subscriptions.connect(guard)

    @hookimpl
    def on_stop(self) -> None:
        """Stop listening."""
        self._listener.close()
        self._subscriptions.disconnect()

    @hookimpl(trylast=True)
    def execute_action(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> bool | Outcome | None:
        """See the contract; runs in a worker thread."""
        if action.name not in NAMES or not is_native(action):
            return None
        chain = ruleset.chain_name(action.get("name"))
        with self._lock:
            if op is Op.START and self._subscriptions.loop is not None:
                self._listener.open(self._subscriptions.loop)
            with self._listener.own_work():
                return self._perform(jail, action, op, chain, bans)

    def _perform(self, jail: Jail, action: ActionSpec, op: Op, chain: str, bans: Sequence[Ban]) -> bool | Outcome:
        if op is Op.STOP:
            return True
        if op is Op.FLUSH:
            return self._flush(jail, action, chain)
        if op is Op.START:
            self._owners.claim(jail, action, [chain])
            self._subscriptions.subscribe(jail, action, [chain])
        else:
            self._owners.require(jail, action, [chain])
        if op in {Op.START, Op.CHECK}:
            return self._reconcile(jail, action, chain, bans, first=op is Op.START)
        return self._change(jail, action, op, chain, bans)

    def _change(self, jail: Jail, action: ActionSpec, op: Op, chain: str, bans: Sequence[Ban]) -> Outcome:
        backends, policy = self._holders(jail, chain, parse_parameters(action)), parse_policy(action)
        merging = self._subscriptions.merging(jail, policy)
        failed: dict[str, str] = {}
        for version, entries in entries_of(bans, self._clock() if op is Op.BAN else float("-inf"), failed).items():
            if not entries:
                continue
            backend = backends[version]
            if op is Op.UNBAN:
                self._reconciler.unban((chain, version), backend, entries, merging)
                continue
            left_out = self._reconciler.ban((chain, version), backend, entries, merging)
            failed |= reasons(left_out, backend)
        return Outcome(failed=failed, warning=self._reconciler.warning(chain))

    def _reconcile(self, jail: Jail, action: ActionSpec, chain: str, bans: Sequence[Ban], *, first: bool) -> Outcome:
        parameters, policy = parse_parameters(action), parse_policy(action)
        merging, adopt = self._subscriptions.merging(jail, policy), self._adopts(jail, action, policy, first=first)
        backends, now = self._holders(jail, chain, parameters), self._clock()
        unfit: dict[str, str] = {}
        if first and adopt:
            self._builder.learn(chain)
        plans = {
            version: self._reconciler.plan((chain, version), backends[version], wanted, merging, at=now, adopt=adopt)
            for version, wanted in entries_of(bans, now, unfit).items()
        }
        shapes: dict[Shape, Entries] = {Shape(4, jail.ipv4prefix or 32): {}, Shape(6, jail.ipv6prefix or 128): {}}
        for plan in plans.values():
            shapes |= group_by_shape(plan.fit.entries)
        built = self._builder.build(parameters, chain, shapes)
        results = [self._reconciler.carry_out((chain, version), plan) for version, plan in plans.items()]
        note = f"nftables: table {ruleset.FAMILY} {ruleset.TABLE}, chain {chain}"
        warning = self._reconciler.warning(chain)
        return outcome(results, jail.name, now, note=note, built=built, warning=warning, failed=unfit)

    def _adopts(self, jail: Jail, action: ActionSpec, policy: Policy, *, first: bool) -> bool:
        return policy.adopt or (first and self._subscriptions.adopts(jail, action))

    def _holders(self, jail: Jail, chain: str, parameters: Parameters) -> dict[int, NftablesBackend]:
        return {version: NftablesBackend(jail.name, chain, version, parameters, self._builder) for version in (4, 6)}

    def _flush(self, jail: Jail, action: ActionSpec, chain: str) -> bool:
        if not self._owners.others(jail, action, [chain]):
            self._subscriptions.unsubscribe(jail, action, chain)
            self._builder.remove(chain)
            self._owners.release([chain])
            self._reconciler.forget(chain)
        return True

    def _changed(self, change: Change | None) -> None:
        """Others changed something: in our table it concerns an action, or all of them."""
        if change is None:
            self._subscriptions.request_checks()
        elif change.family == INET and change.table == ruleset.TABLE:
            chain = ruleset.chain_of(change.name)
            if self._subscriptions.has_subscriber(chain):
                self._subscriptions.request_checks(chain)
            elif not chain.startswith(ruleset.CHAIN_PREFIX):  # a chain of ours is another daemon's
                self._subscriptions.request_checks()


@hookimpl(trylast=True)
def diagnose(guard: GuardView, action: ActionSpec, bans: Sequence[Ban], address: str) -> list[Finding] | None:
    """See the contract; runs in a worker thread."""
    if action.name not in NAMES or not is_native(action):
        return None
    parameters, policy, chain = parse_parameters(action), parse_policy(action), ruleset.chain_name(action.get("name"))
    now = guard.clock()
    if address:
        return list(diagnosis.examine_address(parameters, policy, chain, bans, now, address))
    return list(diagnosis.examine_action(parameters, policy, chain, bans, now))


@hookimpl
def check_jail(jail: Jail) -> list[ConfigFinding]:
    """See the contract."""
    return unmet(jail, lambda action: action.name in NAMES and is_native(action), libnftables.require)


@hookimpl
def declare_options() -> list[OptionTable]:
    """See the contract."""
    return [table_of(NAMES, sets=True)]


_plugin = NftablesAction()
on_start = _plugin.on_start
on_stop = _plugin.on_stop
execute_action = _plugin.execute_action
