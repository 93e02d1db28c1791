"""Bans in nftables: a table `inet guardhooks` of our own, a chain and sets for each action.

Serves `nftables`, `nftables-multiport` and `nftables-allports` with fail2ban's parameters; `chain`, `table` and the
hook are not taken from them, since the table is our own. Structure goes through libnftables, elements through netlink.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from guardhooks import ActionSpec, Ban, Jail, Op, Outcome, hookimpl
from guardhooks_core.firewall.entries import Entries, compare, entries_of
from guardhooks_core.firewall.ownership import Ownership
from guardhooks_core.firewall.parameters import is_native, parse_parameters
from guardhooks_core.nftables import ruleset
from guardhooks_core.nftables.elements import ElementSet
from guardhooks_core.nftables.ruleset import Shape
from guardhooks_core.nftables.structure import Structure

NAMES: Final = frozenset({"nftables", "nftables-multiport", "nftables-allports"})


class NftablesAction:
    """The plugin. `clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._owners = Ownership()
        self._structure = Structure()
        self._lock = threading.Lock()

    @hookimpl(trylast=True)
    def execute_action(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> bool | Outcome | None:
        """See the contract; runs in a worker thread."""
        if action.name not in NAMES or not is_native(action):
            return None
        chain = ruleset.chain_name(action.get("name"))
        with self._lock:
            if op is Op.START:
                self._owners.claim(jail, action, [chain])
                return self._reconcile(jail, action, chain, bans)
            if op is Op.STOP:
                return True
            if op is Op.FLUSH:
                return self._flush(jail, action, chain)
            self._owners.require(jail, action, [chain])
            if op is Op.CHECK:
                return self._reconcile(jail, action, chain, bans)
            if op is Op.BAN:
                return self._ban(action, chain, _by_shape(bans, self._clock()))
            for shape, entries in _by_shape(bans, float("-inf")).items():
                _elements(chain, shape).remove(entries)
            return True

    def _ban(self, action: ActionSpec, chain: str, wanted: dict[Shape, Entries]) -> bool:
        self._structure.require(parse_parameters(action), chain, wanted)
        for shape, entries in wanted.items():
            _elements(chain, shape).put(entries)
        return True

    def _reconcile(self, jail: Jail, action: ActionSpec, chain: str, bans: Sequence[Ban]) -> Outcome:
        wanted: dict[Shape, Entries] = {Shape(4, jail.ipv4prefix or 32): {}, Shape(6, jail.ipv6prefix or 128): {}}
        wanted.update(_by_shape(bans, self._clock()))
        built, shapes = self._structure.build(parse_parameters(action), chain, wanted)
        added, removed = built, 0
        for shape in shapes:
            more, less = _reconcile_elements(_elements(chain, shape), wanted.get(shape, {}))
            added, removed = added + more, removed + less
        return Outcome(added, removed, f"nftables: table {ruleset.FAMILY} {ruleset.TABLE}, chain {chain}")

    def _flush(self, jail: Jail, action: ActionSpec, chain: str) -> bool:
        if not self._owners.others(jail, action, [chain]):
            self._structure.remove(chain)
            self._owners.release([chain])
        return True


def _elements(chain: str, shape: Shape) -> ElementSet:
    return ElementSet(ruleset.TABLE, ruleset.set_name(chain, shape), shape.prefix)


def _by_shape(bans: Sequence[Ban], now: float) -> dict[Shape, Entries]:
    shapes: dict[Shape, Entries] = {}
    for version, entries in entries_of(bans, now).items():
        for entry, left in entries.items():
            shapes.setdefault(Shape(version, entry.prefix), {})[entry] = left
    return shapes


def _reconcile_elements(held: ElementSet, wanted: Entries) -> tuple[int, int]:
    difference = compare(held.read(), wanted)
    held.replace(difference.wrong)
    if difference.missing:
        held.put(difference.missing)
    held.remove(difference.strangers)
    return len(difference.missing) + len(difference.wrong), len(difference.strangers)


_plugin = NftablesAction()
execute_action = _plugin.execute_action
