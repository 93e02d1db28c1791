"""Bans in nftables: a table `inet guardhooks` of our own, a chain and sets for each action.

Serves `nftables`, `nftables-multiport` and `nftables-allports` with fail2ban's parameters; `chain`, `table` and the
hook are not taken from them, since the table is our own. Structure goes through libnftables, elements through netlink.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from guardhooks import ActionSpec, Ban, Finding, GuardView, Jail, Op, OptionTable, Outcome, hookimpl
from guardhooks_core.actions.firewall.change_watch import Vigil
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
from guardhooks_core.actions.firewall.reconcile import Upkeep, outcome, reasons
from guardhooks_core.actions.nftables import diagnosis, ruleset
from guardhooks_core.actions.nftables.builder import Structure
from guardhooks_core.actions.nftables.reading import INET
from guardhooks_core.actions.nftables.ruleset import Shape
from guardhooks_core.actions.nftables.sets import ChainSets, group_by_shape

NAMES: Final = frozenset({"nftables", "nftables-multiport", "nftables-allports"})


class NftablesAction:
    """The plugin. `clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._owners = Ownership()
        self._structure = Structure()
        self._upkeep = Upkeep(clock)
        self._vigil = Vigil()
        self._listener = ChangeListener(self._changed)
        self._lock = threading.Lock()

    @hookimpl
    def on_start(self, guard: GuardView) -> None:
        """Keep the guard, which is asked for a check when others change our table."""
        self._vigil.serve(guard)

    @hookimpl
    def on_stop(self) -> None:
        """Listen no more."""
        self._listener.close()
        self._vigil.end()

    @hookimpl(trylast=True)
    def execute_action(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> bool | Outcome | None:
        """See the contract; runs in a worker thread."""
        if action.name not in NAMES or not is_native(action):
            return None
        chain = ruleset.chain_name(action.get("name"))
        with self._lock:
            if op is Op.START and self._vigil.loop is not None:
                self._listener.open(self._vigil.loop)
            with self._listener.own_work():
                return self._do(jail, action, op, chain, bans)

    def _do(self, jail: Jail, action: ActionSpec, op: Op, chain: str, bans: Sequence[Ban]) -> bool | Outcome:
        if op is Op.STOP:
            return True
        if op is Op.FLUSH:
            return self._flush(jail, action, chain)
        if op is Op.START:
            self._owners.claim(jail, action, [chain])
            self._vigil.watch(jail, action, [chain])
        else:
            self._owners.require(jail, action, [chain])
        if op in {Op.START, Op.CHECK}:
            return self._reconcile(jail, action, chain, bans, first=op is Op.START)
        return self._change(jail, action, op, chain, bans)

    def _change(self, jail: Jail, action: ActionSpec, op: Op, chain: str, bans: Sequence[Ban]) -> Outcome:
        holders, policy = self._holders(jail, chain, parse_parameters(action)), parse_policy(action)
        merging = self._vigil.merging(jail, policy)
        failed: dict[str, str] = {}
        for version, entries in entries_of(bans, self._clock() if op is Op.BAN else float("-inf")).items():
            if not entries:
                continue
            holder = holders[version]
            if op is Op.UNBAN:
                self._upkeep.unban((chain, version), holder, entries, merging)
                continue
            left_out = self._upkeep.ban((chain, version), holder, entries, merging)
            failed |= reasons(left_out, holder)
        return Outcome(failed=failed, warning=self._upkeep.warning(chain))

    def _reconcile(self, jail: Jail, action: ActionSpec, chain: str, bans: Sequence[Ban], *, first: bool) -> Outcome:
        parameters, policy = parse_parameters(action), parse_policy(action)
        merging, adopt = self._vigil.merging(jail, policy), self._adopts(jail, action, policy, first=first)
        holders, now = self._holders(jail, chain, parameters), self._clock()
        if first and adopt:
            self._structure.look(chain)
        plans = {
            version: self._upkeep.plan((chain, version), holders[version], wanted, merging, at=now, adopt=adopt)
            for version, wanted in entries_of(bans, now).items()
        }
        shapes: dict[Shape, Entries] = {Shape(4, jail.ipv4prefix or 32): {}, Shape(6, jail.ipv6prefix or 128): {}}
        for plan in plans.values():
            shapes |= group_by_shape(plan.fit.entries)
        built = self._structure.build(parameters, chain, shapes)
        results = [self._upkeep.carry_out((chain, version), plan) for version, plan in plans.items()]
        note = f"nftables: table {ruleset.FAMILY} {ruleset.TABLE}, chain {chain}"
        return outcome(results, jail.name, now, note=note, built=built, warning=self._upkeep.warning(chain))

    def _adopts(self, jail: Jail, action: ActionSpec, policy: Policy, *, first: bool) -> bool:
        return policy.adopt or (first and self._vigil.adopts(jail, action))

    def _holders(self, jail: Jail, chain: str, parameters: Parameters) -> dict[int, ChainSets]:
        return {version: ChainSets(jail.name, chain, version, parameters, self._structure) for version in (4, 6)}

    def _flush(self, jail: Jail, action: ActionSpec, chain: str) -> bool:
        if not self._owners.others(jail, action, [chain]):
            self._vigil.unwatch(jail, action, chain)
            self._structure.remove(chain)
            self._owners.release([chain])
            self._upkeep.forget(chain)
        return True

    def _changed(self, change: Change | None) -> None:
        """Others changed something: in our table it concerns an action, or all of them."""
        if change is None:
            self._vigil.ask()
        elif change.family == INET and change.table == ruleset.TABLE:
            chain = ruleset.chain_of(change.name)
            self._vigil.ask(chain if self._vigil.knows(chain) else "")


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
def declare_options() -> list[OptionTable]:
    """See the contract."""
    return [table_of(NAMES, sets=True)]


_plugin = NftablesAction()
on_start = _plugin.on_start
on_stop = _plugin.on_stop
execute_action = _plugin.execute_action
