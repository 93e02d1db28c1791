"""Bans as the kernel's sets hold them: a packed address, a prefix length, and the seconds that are left."""

from __future__ import annotations

import ipaddress
import math
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from guardhooks import Ban, canonical, safe_text

_TOLERANCE: Final = 2.0
"""Seconds by which a kernel timeout may differ from the ban before it is corrected."""


_NO_ENTRY: Final = "is no address or prefix, as this action needs; commands of an action file may use <fid>"


class Entry(NamedTuple):
    """An address (4 or 16 bytes) and its prefix length."""

    address: bytes
    prefix: int

    @property
    def version(self) -> int:
        """4 or 6."""
        return 4 if len(self.address) == 4 else 6


Entries: TypeAlias = dict[Entry, float]
"""What a set holds, or should hold: entry → seconds left, `math.inf` for one that never ends."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What to change in a set: `wrong` entries end too early or too late; `unexpected` ones are no bans."""

    missing: Entries
    wrong: Entries
    unexpected: Entries

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.missing or self.wrong or self.unexpected)


_make_entry: Final[Callable[[tuple[bytes, int]], Entry]] = partial(tuple.__new__, Entry)
"""As `Entry`, in half the time: a restart makes 100,000."""


def parse_entry(text: str) -> Entry | None:
    """The entry for an address or prefix; None for other text, and for a whole address family (`/0`)."""
    address, slash, length = text.partition("/")
    family, bits = (socket.AF_INET6, 128) if ":" in address else (socket.AF_INET, 32)
    try:
        packed = socket.inet_pton(family, address)
    except (OSError, ValueError):
        return None
    if not slash:
        return _make_entry((packed, bits))
    if canonical(text) != text or not length.isdigit() or int(length) == 0:
        return None
    return Entry(packed, int(length))


def entry_text(entry: Entry) -> str:
    """`192.0.2.1` or `2001:db8::/64`."""
    text = str(ipaddress.ip_address(entry.address))
    return text if entry.prefix == len(entry.address) * 8 else f"{text}/{entry.prefix}"


def entries_of(bans: Iterable[Ban], now: float, failed: dict[str, str] | None = None) -> dict[int, Entries]:
    """The entries of `bans`, by IP version; bans that have ended are left out, of two for one id the longer counts.

    An id that is not an address cannot be banned by a firewall: it is left out, so that the others are banned, and
    `failed` gets the reason.
    """
    four: Entries = {}
    six: Entries = {}
    for ban in bans:
        entry = parse_entry(ban.id)
        if entry is None:
            if failed is not None:
                failed[ban.id] = f"{safe_text(ban.id, 80)!r} {_NO_ENTRY}"
            continue
        left = ban.start + ban.length - now
        entries = four if len(entry[0]) == 4 else six
        if left > 0 and left > entries.get(entry, 0.0):
            entries[entry] = left
    return {4: four, 6: six}


def compare(
    have: Mapping[Entry, float], want: Mapping[Entry, float], limit: float = math.inf, lag: float = 0.0
) -> Difference:
    """What must change for a set that holds `have` to hold `want`.

    :param limit: the longest timeout in seconds that the kernel can hold; a ban with more left is refreshed only when
        a day of it has passed.
    :param lag: seconds that passed between the moments that the two are about: large sets take a while to read.
    """
    if not have:
        return Difference(dict(want), {}, {})
    unexpected = {entry: left for entry, left in have.items() if entry not in want}
    missing: Entries = {}
    wrong: Entries = {}
    for entry, left in want.items():
        held = have.get(entry)
        if held is None:
            missing[entry] = left
        elif held != left and not _close(held, left, limit, lag):
            wrong[entry] = left
    return Difference(missing, wrong, unexpected)


def _close(held: float, left: float, limit: float, lag: float) -> bool:
    if left > limit and not math.isinf(left):
        return limit - 86400 <= held <= limit
    return abs(held - left) <= _TOLERANCE + lag
