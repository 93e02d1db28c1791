"""A ban as a line of hosts.deny: `PROGRAMS: CLIENT`, as hosts_access(5) has it."""

from __future__ import annotations

import ipaddress

from guardhooks_core.actions.firewall.entries import Entry


def line_for(daemons: str, value: str, entry: Entry) -> str:
    """The line for an address or prefix; `<ip>` in `value` is where it goes.

    Prefixes are `net/mask` for IPv4 and `[net]/length` for IPv6.
    """
    address = str(ipaddress.ip_address(entry.address))
    if entry.prefix == 8 * len(entry.address):
        return f"{daemons}: {value.replace('<ip>', address)}"
    if entry.version == 4:
        mask = ipaddress.ip_network((entry.address, entry.prefix)).netmask
        return f"{daemons}: {value.replace('<ip>', f'{address}/{mask}')}"
    bracketed = "[<ip>]" if "[<ip>]" in value else "<ip>"
    return f"{daemons}: {value.replace(bracketed, f'[{address}]/{entry.prefix}')}"
