"""The address of a ban, for actions that need an address instead of an id."""

from __future__ import annotations

from guardhooks import Ban, canonical


def address_of(ban: Ban) -> str:
    """The banned address or prefix in canonical form; for a text id the address in its fields; else empty."""
    if known := canonical(ban.id):
        return known
    for name in ("ip4", "ip6", "ip", "addr"):
        value = ban.fields.get(name)
        if isinstance(value, str) and (known := canonical(value)):
            return known
    return ""
