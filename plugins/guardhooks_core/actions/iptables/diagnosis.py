"""What the doctor finds in a chain of rules, and in front of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from guardhooks import Ban, Finding, Level
from guardhooks_core.actions.firewall import iptables
from guardhooks_core.actions.firewall.entries import Entries, entry_text
from guardhooks_core.actions.firewall.findings import absent, covering, differences, missing, traffic, verb
from guardhooks_core.actions.firewall.parameters import Parameters, Policy
from guardhooks_core.actions.firewall.rule_order import Inspection, chains_of
from guardhooks_core.actions.iptables.chain import Chain


def examine_action(parameters: Parameters, name: str, bans: Sequence[Ban], now: float) -> Iterator[Finding]:
    """Are the chain and the jumps to it there, does it hold what is due."""
    everything: Entries = {}
    for version, tool in iptables.TOOLS.items():
        if version == 6 and not iptables.has_tool(version):
            yield Finding(f"{tool} is not installed: IPv6 is not banned", Level.NOTE, "install it")
            continue
        chain = Chain(parameters, version, name)
        held = chain.read()
        if not held.exists:
            yield missing(f"{tool}: chain {name} is not there")
            continue
        everything |= dict.fromkeys(held.rules, math.inf)
        inspection = _inspection(chain, version)
        if defects := list(inspection.defects()):
            yield from defects
        else:
            text = f"{tool}: chain {name} holds {len(held.rules)} bans, {inspection.packets} packets came to it"
            yield Finding(text, Level.GOOD)
            yield from inspection.in_front(parameters, "")
    yield from differences(bans, everything, now, Policy())


def examine_address(parameters: Parameters, name: str, bans: Sequence[Ban], address: str) -> Iterator[Finding]:
    """Is there a rule for the address, is the jump there, what stands in front of it; the last finding decides."""
    version = 6 if ":" in address else 4
    chain = Chain(parameters, version, name)
    found = covering(dict.fromkeys(chain.read().rules, math.inf), address)
    if not found:
        yield absent(address, [f"chain {name}"], bans)
        return
    inspection = _inspection(chain, version)
    if defects := list(inspection.defects()):
        yield from defects
        yield Finding(f"{address} has a rule in chain {name}, to which nothing leads", Level.BAD, "", False)
        return
    in_front = list(inspection.in_front(parameters, address))
    yield from in_front
    if not any(finding.blocks is False for finding in in_front):
        rules = ", ".join(map(entry_text, found))
        text = f"{traffic(parameters)} from {address} are {verb(parameters, version)} by the rule for {rules} in {name}"
        yield Finding(text, Level.GOOD if bans else Level.BAD, blocks=True)


def _inspection(chain: Chain, version: int) -> Inspection:
    marks = [(place, comment) for place, comment, _ in chain.jumps]
    return Inspection(version, marks, chains_of(iptables.counted_listing(version)))
