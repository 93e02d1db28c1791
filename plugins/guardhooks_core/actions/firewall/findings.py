"""What a firewall plugin reports to the doctor about a set: how full it is, what is missing, has it an address."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from guardhooks import Ban, Finding, Level
from guardhooks_core.actions.firewall.entries import Entries, Entry, entries_of, entry_text, parse_entry
from guardhooks_core.actions.firewall.parameters import Parameters, Policy

_NEARLY_FULL: Final = 0.8
_TOLERANCE: Final = 5.0
"""Seconds by which a timeout may fall short."""
_DAY: Final = 86400.0
"""Seconds; a timeout that cannot be as long as the ban is refreshed once a day."""
_SHOWN: Final = 3
_REPAIRED: Final = "a running daemon repairs that at its next check; `guardhooks reload` where it does not"


def missing(text: str) -> Finding:
    """Something of ours that should be in the kernel is missing."""
    return Finding(text, Level.BAD, _REPAIRED)


def fill(name: str, number: int, limit: int) -> Finding:
    """How full a set is; `limit` 0 is none."""
    text = f"set {name} holds {number} {'entry' if number == 1 else 'entries'}"
    if not limit:
        return Finding(text, Level.GOOD)
    text += f" of at most {limit}"
    if number >= limit * _NEARLY_FULL:
        return Finding(f"{text}: {100 * number // limit} % full", Level.BAD, "set a greater maxelem= and reload")
    return Finding(text, Level.GOOD)


def differences(bans: Sequence[Ban], held: Mapping[Entry, float], now: float, policy: Policy) -> Iterator[Finding]:
    """Bans that no entry enforces, and entries without a ban."""
    desired: Entries = {}
    for entries in entries_of(bans, now).values():
        desired |= entries
    lengths = sorted({entry.prefix for entry in held})
    lacking = [entry for entry in desired if not any(within(entry, length) in held for length in lengths)]
    if lacking:
        verb = "is" if len(lacking) == 1 else "are"
        yield missing(f"{len(lacking)} of {len(desired)} bans {verb} not in the kernel: {_some(lacking)}")
    unexpected = [entry for entry in held if entry not in desired]
    if unexpected:
        what = "1 unexpected entry belongs" if len(unexpected) == 1 else f"{len(unexpected)} unexpected entries belong"
        text = f"{what} to no ban: {_some(unexpected)}"
        if policy.widest:
            yield Finding(f"{text}; merged from neighbours, as aggregate = yes allows", Level.NOTE)
        else:
            yield missing(text)


def _some(entries: Sequence[Entry]) -> str:
    more = ", …" if len(entries) > _SHOWN else ""
    return ", ".join(map(entry_text, entries[:_SHOWN])) + more


def within(entry: Entry, length: int) -> Entry:
    """The prefix of that length that an entry lies in; the entry itself where it is wider already."""
    bits = len(entry.address) * 8
    if length >= entry.prefix:
        return entry
    number = int.from_bytes(entry.address, "big") >> (bits - length) << (bits - length)
    return Entry(number.to_bytes(bits // 8, "big"), length)


def covering(held: Mapping[Entry, float], address: str) -> Entries:
    """The entries that hold an address, with the seconds that each has left."""
    single = parse_entry(address)
    if single is None:
        return {}
    found = (within(single, length) for length in {entry.prefix for entry in held})
    return {entry: held[entry] for entry in found if entry in held}


def element(  # noqa: PLR0917 -- an entry, what it should be, and how that is judged
    set_name: str, entry: Entry, left: float, bans: Sequence[Ban], now: float, policy: Policy, longest: float = math.inf
) -> Finding:
    """An entry of a set that holds the address which is asked about; `longest` is what a timeout there can be."""
    rest = "permanently" if math.isinf(left) else f"for another {left:.0f} s"
    text = f"set {set_name} holds {entry_text(entry)} {rest}"
    wanted = [ban.remaining(now) for ban in bans if ban.id == entry_text(entry) or policy.widest]
    if not wanted:
        return Finding(f"{text}, although it has no ban", Level.BAD, _REPAIRED)
    if left < min(max(wanted), longest - _DAY) - _TOLERANCE:
        return Finding(f"{text}, but the ban lasts another {max(wanted):.0f} s", Level.BAD, _REPAIRED)
    return Finding(text, Level.GOOD)


def absent(address: str, names: Iterable[str], bans: Sequence[Ban]) -> Finding:
    """No set holds the address."""
    text = f"{address} is not in {', '.join(names) or 'any set'}"
    return Finding(text, Level.BAD, _REPAIRED, False) if bans else Finding(text, Level.GOOD, "", False)


def traffic(parameters: Parameters) -> str:
    """What an action is about, in words: `packets to tcp/22,80-90`, `new connections to any port`."""
    what = "new connections" if parameters.new_only else "packets"
    ports = ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in parameters.ports)
    protocols = ",".join(parameters.protocols)
    if ports:
        return f"{what} to {protocols}/{ports}"
    return f"all {what}" + (f" by {protocols}" if protocols else "")


def verb(parameters: Parameters, version: int) -> str:
    """What happens to them: `dropped` or `rejected`."""
    verdict = parameters.verdict6 if version == 6 else parameters.verdict4
    return "rejected" if verdict.reject else "dropped"
