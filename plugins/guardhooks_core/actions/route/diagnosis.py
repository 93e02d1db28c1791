"""What the doctor finds in the routes of bans."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from guardhooks import Ban, Finding, Level
from guardhooks_core.actions.firewall.entries import entry_text
from guardhooks_core.actions.firewall.findings import absent, covering, differences
from guardhooks_core.actions.firewall.parameters import Policy
from guardhooks_core.actions.route import kernel


def examine_action(metric: int, bans: Sequence[Ban], now: float) -> Iterator[Finding]:
    """How many routes there are, and whether these are the desired bans."""
    entries = [entry for version in (4, 6) for entry in kernel.read(version, metric)]
    what = "1 route" if len(entries) == 1 else f"{len(entries)} routes"
    yield Finding(f"{what} of protocol {kernel.PROTOCOL} with metric {metric} in the kernel", Level.GOOD)
    yield from differences(bans, dict.fromkeys(entries, math.inf), now, Policy())


def examine_address(metric: int, bans: Sequence[Ban], address: str) -> Finding:
    """Is there a route of ours to the address, and is it the one that the kernel uses."""
    current = kernel.read(6 if ":" in address else 4, metric)
    found = covering(dict.fromkeys(current, math.inf), address)
    if not found:
        return absent(address, ["our routes"], bans)
    routes = ", ".join(f"{current[entry]} {entry_text(entry)}" for entry in found)
    if kernel.is_reachable(address):
        remedy = f"look at `ip route get {address}`; a narrower route, or one with a lower metric, takes precedence"
        return Finding(f"our route {routes} exists, but another one leads to {address}", Level.BAD, remedy, False)
    return Finding(f"nothing is sent to {address}: {routes}", Level.GOOD if bans else Level.BAD, "", True)
