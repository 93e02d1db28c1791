"""Addresses as ids: their canonical spelling and their prefixes."""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache

_MAPPED = b"\0" * 10 + b"\xff\xff"
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

    Text that is not a single address comes back as it is. Lengths are 0–32 and 0–128.
    """
    if ":" not in address:
        return address if ipv4prefix >= 32 else _network(address, ipv4prefix)
    return address if ipv6prefix >= 128 else _network(address, ipv6prefix)


@lru_cache(maxsize=8192)
def _network(address: str, length: int) -> str:
    if "/" in address:
        return address
    try:
        return str(ipaddress.ip_network((ipaddress.ip_address(address), length), strict=False))
    except ValueError:
        return address


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
