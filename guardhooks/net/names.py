"""What may be looked up as a host name, and which words were meant as addresses but are none."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from guardhooks.net.addresses import canonical, prefix_of

_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*", re.ASCII)
_LIKE_ADDRESS: Final = re.compile(
    r"\[?[0-9]+\.(?:[0-9]+|\*).*|[0-9A-Fa-f:.\[\]]*::.*|[0-9A-Fa-f:.\[\]]+/[0-9A-Fa-f:.]*", re.ASCII
)
_WILDCARD: Final = re.compile(r"((?:[0-9]{1,3}\.){1,3})\*(?:\.\*){0,2}", re.ASCII)
_RANGE: Final = re.compile(r"([0-9A-Fa-f:.]+)-([0-9A-Fa-f:.]+)", re.ASCII)
_NETWORKS_NAMED: Final = 8


def is_host_name(text: str) -> bool:
    """Whether a resolver may be asked for this text.

    A name whose last part is a number (`8`, `10.1`, `256.1.1.1`, `0x7f000001`) is none: resolvers take it for an
    IPv4 address in an old spelling. Nor is a text longer than 253 characters or with other characters than names have.
    """
    if not _NAME.fullmatch(text):
        return False
    return _NUMBER.fullmatch(text.removesuffix(".").rpartition(".")[2]) is None


def misspelt_address(word: str) -> str:
    """Why a word that was meant as an address or network is none, and what to write; `""` for every other word."""
    if prefix_of(word) or is_host_name(word) or not _LIKE_ADDRESS.fullmatch(word):
        return ""
    return f"is not an address, network, host name or file:/path{_remedy(word)}"


def _remedy(word: str) -> str:
    address, slash, length = word.partition("/")
    if slash and canonical(address) and length.isascii() and length.isdigit():
        everybody = "::/0" if ":" in address else "0.0.0.0/0"
        if int(length[:9]) == 0:
            return f": it would mean everybody; write {address}, or {everybody} if everybody is meant"
        return f": a prefix length is at most {128 if ':' in address else 32}"
    if found := _WILDCARD.fullmatch(word):
        parts = found[1].rstrip(".").split(".")
        network = canonical(f"{'.'.join([*parts, *['0'] * (4 - len(parts))])}/{8 * len(parts)}")
        return f": `*` is not supported; write {network}" if network else ""
    if found := _RANGE.fullmatch(word):
        networks = _networks_of(found[1], found[2])
        return f": ranges are not supported; write {networks}" if networks else ": ranges are not supported"
    return ""


def _networks_of(first: str, last: str) -> str:
    """The networks that make up a range; empty where it is none or takes too many."""
    try:
        low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
        networks = [canonical(str(each)) for each in ipaddress.summarize_address_range(low, high)]
    except (ValueError, TypeError):
        return ""
    return " ".join(networks) if len(networks) <= _NETWORKS_NAMED else ""
