"""Makes entries fit into sets that are too small for them: merges neighbours into prefixes, and leaves out what still
does not fit. Pure: knows neither kernel nor clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from guardhooks_core.actions.firewall.entries import Entries, Entry

SetOf: TypeAlias = Callable[[Entry], object]
"""Tells in which set an entry lives, by anything that is equal for the entries of one set."""

_LEVELS: Final = {
    4: tuple(range(31, 0, -1)),
    6: (*range(124, 64, -4), *range(64, 55, -1), *range(52, 0, -4)),
}
"""Prefix lengths that neighbours are merged into, narrowest first. Each is one more look-up for every packet."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What goes into the sets. `merged` holds, for each prefix that replaces several entries, these and the seconds
    that each has left; `left_out` is what there is no room for.
    """

    entries: Entries
    merged: dict[Entry, Entries] = field(default_factory=dict)
    left_out: Entries = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Merging:
    """Whether and how neighbours may become prefixes: `widest` is the shortest prefix length by IP version, `refused`
    says of a prefix that it would hit somebody who must not be banned.
    """

    widest: Mapping[int, int]
    refused: Callable[[Entry], bool]


def fit(wanted: Entries, held: Iterable[Entry], limit: int, set_of: SetOf, merging: Merging | None = None) -> Fit:
    """Make `wanted`, all of one IP version, fit into sets of `limit` entries each (0: no limit).

    Merges only as wide as is needed, the narrowest prefixes and those with most members first; where that is not
    enough, merged prefixes and what is `held` already come first.
    """
    counts = Counter(map(set_of, wanted))
    if not limit or not _overfull(counts, limit):
        return Fit(wanted)
    merged = _merge(wanted, counts, limit, set_of, merging) if merging else {}
    replaced = {member for members in merged.values() for member in members}
    entries = {entry: left for entry, left in wanted.items() if entry not in replaced}
    entries |= {prefix: max(members.values()) for prefix, members in merged.items()}
    return _cut(entries, merged, held, limit, set_of)


def _overfull(counts: Counter[object], limit: int) -> bool:
    return any(number > limit for number in counts.values())


def _merge(
    wanted: Entries, counts: Counter[object], limit: int, set_of: SetOf, merging: Merging
) -> dict[Entry, Entries]:
    """The prefixes that replace their members, with these; `counts` is kept up to date."""
    version = next(iter(wanted)).version
    merged: dict[Entry, Entries] = {}
    present: Entries = dict(wanted)
    for level in _LEVELS[version]:
        if level < merging.widest[version] or not _overfull(counts, limit):
            break
        for prefix, children in _siblings(present, level):
            # A set may have become small enough by what was merged before.
            if not any(counts[set_of(child)] > limit for child in children) or merging.refused(prefix):
                continue
            members: Entries = {}
            for child in children:
                members |= merged.pop(child, {child: present[child]})
                del present[child]
                counts[set_of(child)] -= 1
            merged[prefix] = members
            present[prefix] = max(members.values())
            counts[set_of(prefix)] += 1
    return merged


def _siblings(present: Entries, level: int) -> Iterator[tuple[Entry, Sequence[Entry]]]:
    """The prefixes of this length that hold at least two entries, with these; the fullest first."""
    groups: dict[Entry, list[Entry]] = {}
    for entry in present:
        if entry.prefix >= level:
            groups.setdefault(parent_of(entry, level), []).append(entry)
    full = [group for group in groups.items() if len(group[1]) > 1]
    return iter(sorted(full, key=lambda group: (-len(group[1]), group[0])))


def parent_of(entry: Entry, level: int) -> Entry:
    """The prefix of that length that holds the entry."""
    bits = len(entry.address) * 8
    number = int.from_bytes(entry.address) >> (bits - level) << (bits - level)
    return Entry(number.to_bytes(len(entry.address)), level)


def _cut(entries: Entries, merged: dict[Entry, Entries], held: Iterable[Entry], limit: int, set_of: SetOf) -> Fit:
    room: Counter[object] = Counter()
    kept: Entries = {}
    left_out: Entries = {}
    first = {*held, *merged}
    for entry, left in sorted(entries.items(), key=lambda item: item[0] not in first):
        room[set_of(entry)] += 1
        if room[set_of(entry)] <= limit:
            kept[entry] = left
        else:
            left_out |= merged.get(entry, {entry: left})
    return Fit(kept, {prefix: members for prefix, members in merged.items() if prefix in kept}, left_out)
