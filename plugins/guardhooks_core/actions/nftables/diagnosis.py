"""What the doctor finds in our table.

Chains of other tables cannot admit anybody: in nftables, accepting a packet ends only the chain that does it, and the
packet still reaches ours. Rules within our table, a dormant table, and flowtables can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from guardhooks import Ban, Finding, Level
from guardhooks_core.actions.firewall.entries import Entries
from guardhooks_core.actions.firewall.findings import (
    absent,
    covering,
    differences,
    element,
    fill,
    missing,
    traffic,
    verb,
)
from guardhooks_core.actions.firewall.parameters import Parameters, Policy
from guardhooks_core.actions.nftables import ruleset
from guardhooks_core.actions.nftables.elements import ElementSet
from guardhooks_core.actions.nftables.reading import (
    CurrentRule,
    CurrentState,
    current_rules,
    flowtables,
    is_dormant,
    read,
)
from guardhooks_core.actions.nftables.ruleset import Shape

_TABLE: Final = f"table {ruleset.FAMILY} {ruleset.TABLE}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the kernel has of one action, read once."""

    chain: str
    state: CurrentState
    rules: Sequence[CurrentRule]
    sets: Mapping[Shape, Entries]

    @classmethod
    def of(cls, chain: str, version: int = 0) -> Snapshot:
        """Read it; of the sets only those of one IP version, if one is named."""
        state = read(chain)
        shapes = [shape for shape in state.sets if version in (0, shape.version)]
        return cls(chain, state, current_rules(), {shape: _read(chain, shape) for shape in shapes})

    def set_of(self, shape: Shape) -> str:
        """The name of a set."""
        return ruleset.set_name(self.chain, shape)

    def rule_of(self, parameters: Parameters, shape: Shape) -> CurrentRule | None:
        """The rule that matches the set of one shape; None where it is missing."""
        (mark,) = ruleset.wanted_rules(parameters, self.chain, [shape])
        return next((rule for rule in self.rules if rule.chain == self.chain and rule.comment == mark), None)

    def defects(self, parameters: Parameters, shapes: Sequence[Shape]) -> Iterator[Finding]:
        """What must exist and does not."""
        if not self.state.bases and not self.state.chain:
            yield missing(f"{_TABLE} is not in the kernel")
            return
        if is_dormant():
            remedy = f"nft 'add {_TABLE} {{ flags ; }}', or restart the daemon after deleting the table"
            yield Finding(f"{_TABLE} is switched off (flags dormant)", Level.BAD, remedy)
        if not self.state.chain:
            yield missing(f"chain {self.chain} is not in the kernel")
        elif not self.state.jumps:
            yield missing(f"no rule leads to chain {self.chain}")
        for shape in shapes:
            if self.rule_of(parameters, shape) is None:
                yield missing(f"the rule for set {self.set_of(shape)} is missing")

    def accepting_before(self, address: str) -> Iterator[Finding]:
        """Rules of others in our table that accept packets before ours see them."""
        for rule in self._before():
            match = rule.matches(address)
            if not rule.accepts or match is False:
                continue
            what = f"the rule with handle {rule.handle} in chain {rule.chain} comes before our rule and"
            remedy = f"nft delete rule {ruleset.FAMILY} {ruleset.TABLE} {rule.chain} handle {rule.handle}"
            if not match:
                yield Finding(f"{what} may accept some packets", Level.NOTE, remedy)
            elif address:
                yield Finding(f"{what} accepts the packets of {address}", Level.BAD, remedy, False)
            else:
                yield Finding(f"{what} accepts everybody's packets", Level.BAD, remedy)

    def _before(self) -> Iterator[CurrentRule]:
        for place, ours in ((name, ruleset.jump_mark(self.chain)) for name in self.state.jumps):
            for rule in (rule for rule in self.rules if rule.chain == place):
                if rule.comment == ours:
                    break
                yield rule
        yield from (rule for rule in self.rules if rule.chain == self.chain)


def examine_action(
    parameters: Parameters, policy: Policy, chain: str, bans: Sequence[Ban], now: float
) -> Iterator[Finding]:
    """Do table, chain, rules and sets exist, how full are they, do they hold the desired bans."""
    snapshot = Snapshot.of(chain)
    if defects := list(snapshot.defects(parameters, sorted(snapshot.sets))):
        yield from defects
    else:
        packets = sum(rule.packets for rule in snapshot.rules if rule.chain == chain)
        yield Finding(f"chain {chain} and its rules exist: {packets} packets matched them", Level.GOOD)
    yield from snapshot.accepting_before("")
    everything: Entries = {}
    for shape, entries in sorted(snapshot.sets.items()):
        everything |= entries
        yield fill(snapshot.set_of(shape), len(entries), snapshot.state.sets[shape])
    yield from differences(bans, everything, now, policy)
    if found := flowtables():
        yield Finding(f"forwarded connections in flowtable {', '.join(found)} reach no rule until they end", Level.NOTE)


def examine_address(  # noqa: PLR0917 -- what is asked about, and how it is judged
    parameters: Parameters, policy: Policy, chain: str, bans: Sequence[Ban], now: float, address: str
) -> Iterator[Finding]:
    """Is the address in a set, does its rule exist, which rules come before it; the last finding decides."""
    version = 6 if ":" in address else 4
    snapshot = Snapshot.of(chain, version)
    found = {shape: covered for shape, entries in snapshot.sets.items() if (covered := covering(entries, address))}
    for shape, covered in found.items():
        for entry, left in covered.items():
            yield element(snapshot.set_of(shape), entry, left, bans, now, policy)
    if defects := list(snapshot.defects(parameters, sorted(found))):
        yield from defects
        text = f"packets of {address} reach no rule of {_TABLE}"
        yield Finding(text, Level.BAD if bans else Level.NOTE, "", False)
        return
    if not found:
        yield absent(address, map(snapshot.set_of, snapshot.sets), bans)
        return
    accepting = list(snapshot.accepting_before(address))
    yield from accepting
    if not any(finding.blocks is False for finding in accepting):
        packets = sum(rule.packets for shape in found if (rule := snapshot.rule_of(parameters, shape)))
        where = f"chain {chain} of {_TABLE} (its rule matched {packets} packets so far)"
        text = f"{traffic(parameters)} from {address} are {verb(parameters, version)} by {where}"
        yield Finding(text, Level.GOOD if bans else Level.BAD, blocks=True)


def _read(chain: str, shape: Shape) -> Entries:
    return ElementSet(ruleset.TABLE, ruleset.set_name(chain, shape), shape.prefix).read()
