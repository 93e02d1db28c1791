"""Addresses as ids: their canonical spelling and their prefixes."""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache

_MAPPED = b"\0" * 10 + b"\xff\xff"
_SHARED = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "64:ff9b::/96",  # NAT64, RFC 6052
            "64:ff9b:1::/48",  # NAT64 within a network, RFC 8215
            "::/96",  # IPv4-compatible, RFC 4291
            "::ffff:0:0:0/96",  # SIIT, RFC 2765
            "2001::/32",  # Teredo, RFC 4380
            "2002::/16",  # 6to4, RFC 3056
            "fe80::/10",  # link-local: every host on every link
        ),
    )
)
_ISATAP, _UNIVERSAL_BIT = 0x00005EFE, 0x02000000
"""How the interface identifier of ISATAP begins (RFC 5214), before the IPv4 address."""
_EVERYBODY = frozenset({"0.0.0.0", "::"})  # noqa: S104 -- nothing is bound


def canonical(text: str) -> str:
    """The one spelling of an address or network, `""` if `text` is neither.

    IPv6 is compressed and lower-case, IPv4-mapped IPv6 becomes IPv4, host bits of a network are cleared and a
    network of a single address is that address. Leading zeros, zones and ports are not addresses.
    """
    if "/" in text:
        return _canonical_network(text)
    try:
        socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):
        return _canonical_v6(text)
    return text


def _canonical_v6(text: str) -> str:
    if ":" not in text:
        return ""
    try:
        packed = socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        return ""
    if packed.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return str(ipaddress.IPv6Address(packed))


def _canonical_network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return ""
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def widen(address: str, ipv4prefix: int, ipv6prefix: int) -> str:
    """The id under which `address` counts: itself, or its network of the given prefix length.

    Text that is not a single address comes back as it is. Lengths are 0–32 and 0–128. An IPv6 address that a translator
    or tunnel made from an IPv4 address is never widened: its neighbours are other people's IPv4 addresses.
    """
    if ":" not in address:
        return address if ipv4prefix >= 32 else _network(address, ipv4prefix)
    return address if ipv6prefix >= 128 else _network(address, ipv6prefix)


@lru_cache(maxsize=8192)
def _network(address: str, length: int) -> str:
    if "/" in address:
        return address
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and _is_shared(parsed):
        return address
    return str(ipaddress.ip_network((parsed, length), strict=False))


def _is_shared(address: ipaddress.IPv6Address) -> bool:
    """Whether hosts that have nothing to do with each other have addresses in the same /64."""
    is_isatap = int.from_bytes(address.packed[8:12]) & ~_UNIVERSAL_BIT == _ISATAP
    return is_isatap or any(address in network for network in _SHARED)


@lru_cache(maxsize=4096)
def prefix_of(word: str) -> str:
    """The canonical address or prefix that a word of `ignoreip` means, `""` if it means none.

    Besides what `canonical` takes: `[v6]`, `address/mask` with a dotted or IPv6 mask without gaps, and prefixes of
    IPv4-mapped IPv6. A length that is too long means nothing, and so does a length of 0 behind anything but the
    unspecified address: `192.0.2.1/0` was not meant to be everybody.
    """
    address, slash, length = word.partition("/")
    if address.startswith("[") and address.endswith("]") and ":" in address:
        address = address[1:-1]
    base = canonical(address)
    if not base or not slash:
        return base
    bits = _mask_length(length)
    if bits is None:
        return ""
    if ":" in address and ":" not in base:
        bits -= 96
    if not 0 <= bits <= (128 if ":" in base else 32) or (bits == 0 and base not in _EVERYBODY):
        return ""
    return canonical(f"{base}/{bits}")


def _mask_length(text: str) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text) if len(text) < 4 else None
    try:
        packed = ipaddress.ip_address(text).packed
    except ValueError:
        return None
    mask, bits = int.from_bytes(packed), 8 * len(packed)
    hosts = (1 << bits) - 1 - mask
    return bits - hosts.bit_length() if hosts & (hosts + 1) == 0 else None
