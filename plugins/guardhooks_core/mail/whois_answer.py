"""What a whois server said: text by strangers, of which only printable lines, a country and networks are taken."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from guardhooks import canonical, safe_text

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_LINES: Final = 150
_LONGEST: Final = 300
_WIDEST: Final = {4: 8, 6: 16}
"""An answer about a wider network than this is about nobody in particular, and not remembered for all of it."""
_PORT: Final = 43
_FIELD: Final = re.compile(r"\s*([A-Za-z0-9_-]{2,30}):[ \t]*(.*\S)")
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}")
_HOST: Final = re.compile(r"(?:whois://)?([A-Za-z0-9](?:[A-Za-z0-9-]{0,62}\.)+[A-Za-z]{2,63})(?::43)?/?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Answer:
    """The cleaned answer of a server, the networks that it is about, narrowest first, and who knows more.

    `problem` says why there is nothing, or not all.
    """

    text: str = ""
    country: str = ""
    networks: tuple[_Network, ...] = ()
    referral: tuple[str, int] | None = None
    problem: str = ""


def read_answer(data: bytes, server: str) -> Answer:
    """Make sense of an answer, in UTF-8 or Latin-1."""
    try:
        raw = data.decode()
    except UnicodeDecodeError:
        raw = data.decode("latin-1")
    lines = [line.expandtabs() for line in raw.replace("\r", "").split("\n")]
    fields = [(match[1].lower(), match[2]) for line in lines if (match := _FIELD.fullmatch(line[:_LONGEST]))]
    text = _readable(lines)
    countries = [value.upper() for key, value in fields if key == "country" and _COUNTRY.fullmatch(value)]
    networks = [each for key, value in fields for each in _networks(key, value)]
    return Answer(
        text=text,
        country=countries[0] if countries else "",
        networks=tuple(sorted(networks, key=lambda each: -each.prefixlen)),
        referral=_referral(fields),
        problem="" if text else f"whois server {safe_text(server, 100)} says nothing",
    )


def _readable(lines: list[str]) -> str:
    """The lines without remarks and repeated blank ones, every other character shown as an escape."""
    kept: list[str] = []
    for line in lines:
        shown = safe_text(line.rstrip(), _LONGEST)
        if shown.startswith(("%", "#")) or (not shown and (not kept or not kept[-1])):
            continue
        kept.append(shown)
        if len(kept) > _LINES:
            kept[-1] = "…"
            break
    return "\n".join(kept).strip()


def _networks(key: str, value: str) -> list[_Network]:
    if key not in {"inetnum", "inet6num", "netrange", "cidr", "route", "route6"}:
        return []
    found: list[_Network] = []
    try:
        if " - " in value:
            first, _, last = value.partition(" - ")
            found += ipaddress.summarize_address_range(_address(first), _address(last))
        else:
            found += [ipaddress.ip_network(known) for part in value.split(",") if (known := canonical(part.strip()))]
    except (ValueError, TypeError):
        return []
    return [each for each in found if each.prefixlen >= _WIDEST[each.version]]


def _address(text: str) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(text.strip())


def _referral(fields: list[tuple[str, str]]) -> tuple[str, int] | None:
    for key, value in fields:
        if key in {"refer", "whois", "referralserver"} and (match := _HOST.fullmatch(value)):
            return match[1].lower(), _PORT
    return None
