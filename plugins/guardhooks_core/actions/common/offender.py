"""Whom a ban means, for actions that need an address and not an id."""

from __future__ import annotations

from guardhooks import Ban, canonical


def address_of(ban: Ban) -> str:
    """The address or prefix that is banned, in canonical spelling; of a text id that of its offender, else empty."""
    if known := canonical(ban.id):
        return known
    for name in ("ip4", "ip6", "ip", "addr"):
        value = ban.fields.get(name)
        if isinstance(value, str) and (known := canonical(value)):
            return known
    return ""
