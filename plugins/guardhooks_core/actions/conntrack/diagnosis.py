"""What the doctor finds in the kernel's table of connections. Open connections decide nothing, but tell much."""

from __future__ import annotations

from guardhooks import Finding, Level
from guardhooks_core.actions.conntrack import kernel
from guardhooks_core.actions.conntrack.parameters import Traffic
from guardhooks_core.actions.firewall.entries import parse_entry


def examine_action() -> Finding:
    """Can the table be read.

    :raises ActionError: when it cannot.
    """
    kernel.probe()
    return Finding("the kernel's table of connections can be read", Level.GOOD)


def examine_address(traffic: Traffic, address: str) -> Finding:
    """How many connections of an address there are."""
    entry = parse_entry(address)
    number = len(kernel.connections_of([entry], traffic)) if entry else 0
    return Finding(f"the kernel knows {number} {'connection' if number == 1 else 'connections'} of {address}")
