"""What the doctor finds in sets and rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from guardhooks import Ban, Finding, Level
from guardhooks_core.actions.firewall import iptables
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
from guardhooks_core.actions.firewall.rule_order import Inspection
from guardhooks_core.actions.ipset import kernel, rules


def examine_action(
    parameters: Parameters, policy: Policy, names: Mapping[int, str], bans: Sequence[Ban], now: float
) -> Iterator[Finding]:
    """Do the sets and rules exist, how full are they, do they hold the desired bans."""
    everything: Entries = {}
    for version, name in names.items():
        if version == 6 and not iptables.has_tool(version):
            yield Finding("ip6tables is not installed: IPv6 is not banned", Level.NOTE, "install it")
            continue
        current = kernel.read(name)
        if current is None:
            yield missing(f"set {name} is not in the kernel")
        elif not current.fits(version):
            yield missing(f"set {name} is a {current.type} set that is not guardhooks' own")
        else:
            everything |= current.entries
            yield fill(name, len(current.entries), current.max_elements)
        inspection = _inspection(parameters, version, name)
        if defects := list(inspection.defects()):
            yield from defects
        else:
            yield Finding(f"rules for {name} exist: {inspection.packets} packets matched them", Level.GOOD)
            yield from inspection.accepting_before(parameters, "")
    yield from differences(bans, everything, now, policy)


def examine_address(  # noqa: PLR0917 -- what is asked about, and how it is judged
    parameters: Parameters, policy: Policy, names: Mapping[int, str], bans: Sequence[Ban], now: float, address: str
) -> Iterator[Finding]:
    """Is the address in the set, does the rule exist, which rules come before it; the last finding decides."""
    version = 6 if ":" in address else 4
    name = names[version]
    current = kernel.read(name)
    if current is None:
        yield Finding(f"set {name} is not in the kernel", Level.BAD, missing("").remedy, False)
        return
    found = covering(current.entries, address)
    if not found:
        yield absent(address, [name], bans)
        return
    for entry, left in found.items():
        yield element(name, entry, left, bans, now, policy, kernel.LONGEST)
    inspection = _inspection(parameters, version, name)
    if defects := list(inspection.defects()):
        yield from defects
        yield Finding(f"{address} is in set {name}, but a rule for that set is missing", Level.BAD, "", False)
        return
    accepting = list(inspection.accepting_before(parameters, address))
    yield from accepting
    if not any(finding.blocks is False for finding in accepting):
        text = f"{traffic(parameters)} from {address} are {verb(parameters, version)} by set {name}"
        chains = ", ".join(parameters.chains)
        yield Finding(f"{text} in chain {chains} (its rules matched {inspection.packets} packets so far)",
                      Level.GOOD if bans else Level.BAD, blocks=True)  # fmt: skip


def _inspection(parameters: Parameters, version: int, name: str) -> Inspection:
    wanted = rules.wanted_rules(parameters, version, name)
    return Inspection(version, [(rule.chain, rule.comment) for rule in wanted], iptables.read_rules(version))
