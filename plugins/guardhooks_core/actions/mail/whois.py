"""Who an address belongs to: a client for the whois protocol (RFC 3912), and the reader of its answers.

A query contains nothing but an address. It goes to IANA or to the configured server, and follows at most three
referrals, to public addresses on the whois port only. Answers are limited in time and size, reduced to printable text,
and cached for the network that they are about.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from guardhooks import canonical, safe_text
from guardhooks_core.actions.mail.threads import in_thread

PORT: Final = 43
_FIRST: Final = ("whois.iana.org", PORT)
_ARIN: Final = "whois.arin.net"
_REFERRALS: Final = 3
_TIMEOUT: Final = 10.0
"""Seconds for all servers together."""
_CONNECTING: Final = 3.0
"""Seconds for each address of a server."""
_LONGEST: Final = 64 << 10
"""Bytes of one answer that are read."""
_CACHED: Final = 256
"""Answers in the cache."""
_AGE: Final = 86400.0
"""Seconds that an answer stays in the cache."""
_LINES: Final = 150
_LONGEST_LINE: Final = 300
_WIDEST: Final = {4: 8, 6: 16}
"""Shortest prefix by IP version; an answer about a wider network is not cached for all of it."""
_FIELD: Final = re.compile(r"\s*([A-Za-z0-9_-]{2,30}):[ \t]*(.*\S)")
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}")
_HOST: Final = re.compile(r"(?:whois://)?([A-Za-z0-9](?:[A-Za-z0-9-]{0,62}\.)+[A-Za-z]{2,63})(?::43)?/?", re.ASCII)

Server: TypeAlias = tuple[str, int]
Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect: TypeAlias = Callable[[Server, bool], Awaitable[Streams]]
"""Opens a connection; the flag means that an answer named the server, so that only public addresses are allowed."""
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Answer:
    """The cleaned answer of a server, the networks that it is about, narrowest first, and the server that knows more.

    `problem` says why it is empty or incomplete.
    """

    text: str = ""
    country: str = ""
    networks: tuple[_Network, ...] = ()
    referral: tuple[str, int] | None = None
    problem: str = ""


# --- the client ------------------------------------------------------------------------------------------------------


class Whois:
    """Queries servers and caches their answers. `clock` returns seconds since the epoch."""

    def __init__(self, clock: Callable[[], float], connect: Connect | None = None, timeout: float = _TIMEOUT) -> None:
        self._clock = clock
        self._connect = connect or connect_safely
        self._timeout = timeout
        self._cache: OrderedDict[str, tuple[float, Answer]] = OrderedDict()

    async def about(self, address: str, server: Server | None = None) -> Answer:
        """What is known about an address or network. Never raises; see `Answer.problem`."""
        network = ipaddress.ip_network(address)
        if not network.network_address.is_global and server is None:
            return Answer(problem=f"{address} is not a public address")
        known = self._cached(network)
        if known is None:
            known = await self._ask(str(network.network_address), server)
            self._store(network, known)
        return known

    async def _ask(self, address: str, server: Server | None) -> Answer:
        answer = Answer(problem="no server was queried")
        following, asked = server or _FIRST, set[Server]()
        try:
            async with asyncio.timeout(self._timeout):
                for _ in range(1 + _REFERRALS):
                    asked.add(following)
                    text = await self._exchange(following, address, is_referred=len(asked) > 1)
                    answer = read_answer(text, following[0])
                    if answer.referral is None or answer.referral in asked:
                        break
                    following = answer.referral
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
            why = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
            return replace(answer, problem=f"whois server {following[0]}: {why}")
        return answer

    async def _exchange(self, server: Server, address: str, *, is_referred: bool) -> bytes:
        reader, writer = await self._connect(server, is_referred)
        try:
            question = f"n + {address}" if server[0] == _ARIN else address
            writer.write(f"{question}\r\n".encode("ascii"))
            await writer.drain()
            return await _read(reader)
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _cached(self, network: _Network) -> Answer | None:
        now = self._clock()
        for known, (until, answer) in self._cache.items():
            where = ipaddress.ip_network(known)
            if now < until and where.version == network.version and network.network_address in where:
                return answer
        return None

    def _store(self, network: ipaddress.IPv4Network | ipaddress.IPv6Network, answer: Answer) -> None:
        if answer.problem:
            return
        about = next((each for each in answer.networks if network.network_address in each), network)
        self._cache[str(about)] = (self._clock() + _AGE, answer)
        while len(self._cache) > _CACHED:
            self._cache.popitem(last=False)


async def _read(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size < _LONGEST and (part := await reader.read(_LONGEST - size)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


async def connect_safely(server: Server, is_referred: bool) -> Streams:
    """Connect to a server; if an answer named it, only at a public address.

    :raises OSError: if it has none, or does not accept the connection.
    """
    found = await in_thread(lambda: socket.getaddrinfo(*server, type=socket.SOCK_STREAM))
    error: OSError = ConnectionRefusedError(f"{server[0]} has no public address")
    for *_, (host, *_) in found[:4]:
        if is_referred and not ipaddress.ip_address(str(host).partition("%")[0]).is_global:
            continue
        try:
            async with asyncio.timeout(_CONNECTING):
                return await asyncio.open_connection(str(host), server[1])
        except OSError as failure:
            error = failure
    raise error


# --- answers ---------------------------------------------------------------------------------------------------------


def read_answer(data: bytes, server: str) -> Answer:
    """Parse an answer, in UTF-8 or Latin-1."""
    try:
        raw = data.decode()
    except UnicodeDecodeError:
        raw = data.decode("latin-1")
    lines = [line.expandtabs() for line in raw.replace("\r", "").split("\n")]
    fields = [(match[1].lower(), match[2]) for line in lines if (match := _FIELD.fullmatch(line[:_LONGEST_LINE]))]
    text = _readable(lines)
    countries = [value.upper() for key, value in fields if key == "country" and _COUNTRY.fullmatch(value)]
    networks = [each for key, value in fields for each in _networks(key, value)]
    return Answer(
        text=text,
        country=countries[0] if countries else "",
        networks=tuple(sorted(networks, key=lambda each: -each.prefixlen)),
        referral=_referral(fields),
        problem="" if text else f"whois server {safe_text(server, 100)} sent an empty answer",
    )


def _readable(lines: list[str]) -> str:
    """The lines without comments and repeated blank lines, unprintable characters shown as escapes."""
    kept: list[str] = []
    for line in lines:
        shown = safe_text(line.rstrip(), _LONGEST_LINE)
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
            return match[1].lower(), PORT
    return None
