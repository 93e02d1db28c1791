"""What the doctor finds in a chain of rules, and in the rules before it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from guardhooks import Ban, Finding, Level
from guardhooks_core.actions.firewall import iptables
from guardhooks_core.actions.firewall.entries import Entries, entry_text
from guardhooks_core.actions.firewall.findings import absent, covering, differences, missing, traffic, verb
from guardhooks_core.actions.firewall.iptables import Chains
from guardhooks_core.actions.firewall.parameters import Parameters, Policy
from guardhooks_core.actions.firewall.rule_order import Inspection
from guardhooks_core.actions.iptables.backend import Chain


def examine_action(parameters: Parameters, name: str, bans: Sequence[Ban], now: float) -> Iterator[Finding]:
    """Do the chain and the jumps to it exist, does it hold the desired bans."""
    everything: Entries = {}
    for version, tool in iptables.TOOLS.items():
        if version == 6 and not iptables.has_tool(version):
            yield Finding(f"{tool} is not installed: IPv6 is not banned", Level.NOTE, "install it")
            continue
        chain = Chain(parameters, version, name)
        current = chain.read()
        if not current.exists:
            yield missing(f"{tool}: chain {name} does not exist")
            continue
        everything |= dict.fromkeys(current.targets, math.inf)
        inspection = _inspection(chain, version, current.chains)
        if defects := list(inspection.defects()):
            yield from defects
        else:
            text = f"{tool}: chain {name} holds {_bans(len(current.targets))}, {inspection.packets} packets reached it"
            yield Finding(text, Level.GOOD)
            yield from inspection.accepting_before(parameters, "")
    yield from differences(bans, everything, now, Policy())


def examine_address(parameters: Parameters, name: str, bans: Sequence[Ban], address: str) -> Iterator[Finding]:
    """Do a rule for the address and the jump exist, which rules come before it; the last finding decides."""
    version = 6 if ":" in address else 4
    chain = Chain(parameters, version, name)
    current = chain.read()
    found = covering(dict.fromkeys(current.targets, math.inf), address)
    if not found:
        yield absent(address, [f"chain {name}"], bans)
        return
    inspection = _inspection(chain, version, current.chains)
    if defects := list(inspection.defects()):
        yield from defects
        yield Finding(f"{address} has a rule in chain {name}, which no rule jumps to", Level.BAD, "", False)
        return
    accepting = list(inspection.accepting_before(parameters, address))
    yield from accepting
    if not any(finding.blocks is False for finding in accepting):
        rules = ", ".join(map(entry_text, found))
        text = f"{traffic(parameters)} from {address} are {verb(parameters, version)} by the rule for {rules} in {name}"
        yield Finding(text, Level.GOOD if bans else Level.BAD, blocks=True)


def _inspection(chain: Chain, version: int, chains: Chains) -> Inspection:
    return Inspection(version, [(rule.chain, rule.comment) for rule in chain.jumps], chains)


def _bans(number: int) -> str:
    return "1 ban" if number == 1 else f"{number} bans"
