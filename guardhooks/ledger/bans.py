"""The active bans and those that are over, in memory; who is banned is answered by dictionary look-ups alone.

Matches, fields and notes of a ban stay in memory only until they are on disk, and are read from there when needed.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from itertools import chain
from types import MappingProxyType
from typing import Final, NamedTuple

from guardhooks.ledger.details import NO_DETAILS, Details, StoredBan, decoded_details, encoded_details
from guardhooks.ledger.tables import BanRow, text_of
from guardhooks.model import PERMANENT, Ban
from guardhooks.net.prefixes import PrefixMap

LIFTED: Final = MappingProxyType({"lifted": "by hand"})
"""`notes` of a ban in the history that was lifted by hand: it is forgiven and does not count against the id."""


class Terms(NamedTuple):
    """What most bans of a jail have in common. `state` is `active`, `over` or `lifted` (by hand, before its time)."""

    jail: str
    length: float
    reason: str
    state: str = "active"


class Entry:
    """One ban without its details, small: there may be a hundred thousand."""

    __slots__ = ("count", "failures", "id", "number", "start", "terms")

    def __init__(  # noqa: PLR0917 -- a row
        self, number: int, id: str, start: float, count: int, failures: int, terms: Terms
    ) -> None:
        self.number = number
        self.id = id
        self.start = start
        self.count = count
        self.failures = failures
        self.terms = terms

    @property
    def jail(self) -> str:
        return self.terms.jail

    @property
    def end(self) -> float:
        return self.start + self.terms.length

    def __lt__(self, other: Entry) -> bool:
        return self.start + self.terms.length < other.start + other.terms.length

    @classmethod
    def from_row(cls, row: BanRow) -> Entry:
        number, jail, id_, start, length, count, failures, reason, state = row
        terms = Terms(jail, PERMANENT if length is None else length, text_of(reason), state)
        return cls(number, text_of(id_), start, count, failures, terms)

    def row(self) -> BanRow:
        jail, length, reason, state = self.terms
        stored = None if length == PERMANENT else length
        return self.number, jail, self.id, self.start, stored, self.count, self.failures, reason, state

    def ban(self, details: Details = NO_DETAILS, *, restored: bool = False) -> Ban:
        """The ban as others see it."""
        matches, fields, notes = details
        jail, length, reason, state = self.terms
        if state == "lifted":
            notes = LIFTED
        return Ban(
            self.id, jail, self.start, length, self.count, self.failures, reason, matches, fields, notes, restored
        )

    def light(self, read: Callable[[int], Details], *, restored: bool) -> Ban:
        """The same, with details that are read when somebody asks for them."""
        jail, length, reason, _ = self.terms
        return StoredBan.create(
            self.id, jail, self.start, length, self.count, self.failures, reason, self.number, read, restored=restored
        )


class BanList:
    """All bans by jail and id.

    `dirty` holds the rows that changed, `dirty_details` the details, both by row number; None stands for "gone".
    `read_details` gets details from disk, by row number.
    """

    def __init__(self, history_age: float, read_details: Callable[[Sequence[int]], Mapping[int, str]]) -> None:
        self.dirty: dict[int, BanRow | None] = {}
        self.dirty_details: dict[int, str | None] = {}
        self.history_age = history_age
        self._read_details = read_details
        self._details: dict[int, str] = {}
        self._number = 0
        self._last_restored = 0
        self._active: dict[str, dict[str, Entry]] = {}
        self._ends: list[Entry] = []
        self._ends_limit = 1024
        self._over: dict[str, tuple[Entry, ...]] = {}
        self._forget_at: list[tuple[float, int, Entry]] = []
        self._prefixes = PrefixMap()
        self._terms: dict[Terms, Terms] = {}

    # --- changes -----------------------------------------------------------------------------------------------------

    def add(self, ban: Ban, now: float, *, shorten: bool = False) -> Ban | None:
        """See `Ledger.add`."""
        if ban.end <= now:
            return None
        former = self.entry(ban.jail, ban.id)
        if former is not None and former.end <= now:
            self._finish(former)
            former = None
        if former is not None and former.end >= ban.end and not shorten:
            return None
        count = former.count if former else self._earlier(ban.id, ban.jail) + 1
        number = former.number if former else self._next_number()
        entry = Entry(number, ban.id, ban.start, count, ban.failures, Terms(ban.jail, ban.length, ban.reason))
        self._enter(entry)
        self.dirty[number] = entry.row()
        self._details[number] = self.dirty_details[number] = encoded_details(ban)
        return ban if ban.count == count else replace(ban, count=count)

    def restore(self, entry: Entry, now: float) -> None:
        """Put back what was on disk. A ban from the future (the clock was set back) starts now."""
        self._number = self._last_restored = max(self._number, entry.number)
        if entry.start > now:
            entry.start = now
            self.dirty[entry.number] = entry.row()
        if entry.terms.state == "active":
            self._enter(entry)
        else:
            self._remember(entry)

    def add_past(self, ban: Ban) -> None:
        """See `Ledger.add_past`."""
        number = self._next_number()
        count = self._earlier(ban.id, ban.jail) + 1
        terms = self._shared(Terms(ban.jail, ban.length, ban.reason, "over"))
        entry = Entry(number, ban.id, ban.start, count, ban.failures, terms)
        self._remember(entry)
        self.dirty[number] = entry.row()

    def remove(self, jail: str, id: str, now: float) -> Ban | None:
        """Lift a ban by hand; returns it as it was."""
        entry = self.entry(jail, id)
        if entry is None:
            return None
        (ban,) = self._whole([entry])
        lifted = self._active[jail][id] = copy(entry)  # the heap holds the other, so its end must not change
        lifted.terms = entry.terms._replace(length=max(0.0, min(entry.terms.length, now - entry.start)))
        self._finish(lifted, "lifted")
        return ban

    def expire(self, now: float) -> list[Ban]:
        """Take out the bans that are over, in order of their end, and forget what is too old."""
        over: list[Entry] = []
        while (first := self._first_end()) is not None and first.end <= now:
            over.append(heapq.heappop(self._ends))
        bans = self._whole(over)
        for entry in over:
            self._finish(entry)
        while self._forget_at and self._forget_at[0][0] < now:
            self._forget(heapq.heappop(self._forget_at)[2])
        return bans

    def set_history_age(self, seconds: float) -> None:
        """Remember bans for so long after their end, those that are over included."""
        if seconds == self.history_age:
            return
        self.history_age = seconds
        self._forget_at = [(self._forget_time(entry), number, entry) for _, number, entry in self._forget_at]
        heapq.heapify(self._forget_at)

    def set_back(self, now: float) -> int:
        """Let bans that would begin later begin now; how many these are."""
        ahead = [entry for bans in self._active.values() for entry in bans.values() if entry.start > now]
        for entry in ahead:
            entry.start = now
            self.dirty[entry.number] = entry.row()
        heapq.heapify(self._ends)
        return len(ahead)

    def mark_all_changed(self) -> None:
        """Nothing of it is on disk any more; details that had left memory are lost."""
        for entry in chain(*(bans.values() for bans in self._active.values()), *self._over.values()):
            self.dirty[entry.number] = entry.row()
        self.dirty_details |= self._details

    def mark_written(self, details: Mapping[int, str | None]) -> None:
        """These need not stay in memory."""
        for number, packed in details.items():
            if packed is not None and self._details.get(number) is packed:
                del self._details[number]

    # --- questions ---------------------------------------------------------------------------------------------------

    def entry(self, jail: str, id: str) -> Entry | None:
        bans = self._active.get(jail)
        return bans.get(id) if bans else None

    def known(self, jail: str) -> Sequence[Container[str]]:
        """Ids with a ban in this jail, and those with one that is over and remembered; valid until a ban changes."""
        active = self._active.get(jail)
        return [ids for ids in (active, self._over) if ids]

    def next_end(self) -> float | None:
        first = self._first_end()
        return None if first is None else first.end

    def active(self, jail: str | None) -> list[Ban]:
        return self._whole(sorted(chain.from_iterable(self._jails(jail)), key=_start))

    def desired(self, jail: str) -> list[Ban]:
        """See `Ledger.desired`."""
        entries = sorted(self._active.get(jail, {}).values(), key=_start)
        return [entry.light(self._details_of, restored=entry.number <= self._last_restored) for entry in entries]

    def number_of(self, jail: str) -> int:
        return len(self._active.get(jail, ()))

    def find(self, id: str, jail: str | None) -> list[Ban]:
        """See `Ledger.find`."""
        if "/" in id:
            inside = PrefixMap((id,))
            everything = chain.from_iterable(self._jails(jail))
            found: Iterator[Entry] = (entry for entry in everything if entry.id == id or inside.holding(entry.id))
        else:
            found = self._covering(id, jail)
        return self._whole(sorted(found, key=_start))

    def is_banned(self, address: str, jail: str | None, clock: Callable[[], float]) -> bool:
        """See `Ledger.is_banned`."""
        if jail is None:
            for bans in self._active.values():
                if address in bans and bans[address].end > clock():
                    return True
        elif (entry := self.entry(jail, address)) is not None and entry.end > clock():
            return True
        if not self._prefixes:
            return False
        return any(
            entry.end > clock() for prefix in self._prefixes.holding(address) for entry in self._exactly(prefix, jail)
        )

    def history(self, id: str) -> list[Ban]:
        entries = [*self._over.get(id, ()), *self._exactly(id, None)]
        return [entry.ban() for entry in sorted(entries, key=_start)]

    # --- within ------------------------------------------------------------------------------------------------------

    def _whole(self, entries: Sequence[Entry]) -> list[Ban]:
        """These bans with their details."""
        here = self._details
        there = self._read_details([entry.number for entry in entries if entry.number not in here])
        packed = (here.get(entry.number) or there.get(entry.number, "") for entry in entries)
        return [
            entry.ban(decoded_details(details), restored=entry.number <= self._last_restored)
            for entry, details in zip(entries, packed, strict=True)
        ]

    def _details_of(self, number: int) -> Details:
        packed = self._details.get(number)
        return decoded_details(self._read_details([number]).get(number, "") if packed is None else packed)

    def _jails(self, jail: str | None) -> Iterator[Iterable[Entry]]:
        for name, bans in self._active.items():
            if jail is None or jail == name:
                yield bans.values()

    def _exactly(self, id: str, jail: str | None) -> Iterator[Entry]:
        for name, bans in self._active.items():
            if id in bans and (jail is None or jail == name):
                yield bans[id]

    def _covering(self, address: str, jail: str | None) -> Iterator[Entry]:
        for id in (address, *self._prefixes.holding(address)):
            yield from self._exactly(id, jail)

    def _earlier(self, id: str, jail: str) -> int:
        return sum(entry.jail == jail and entry.terms.state != "lifted" for entry in self._over.get(id, ()))

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _shared(self, terms: Terms) -> Terms:
        """One object for equal terms."""
        if len(self._terms) > 10_000:
            self._terms.clear()
        return self._terms.setdefault(terms, terms)

    def _enter(self, entry: Entry) -> None:
        entry.terms = self._shared(entry.terms)
        self._active.setdefault(entry.jail, {})[entry.id] = entry
        if "/" in entry.id:
            self._prefixes.add(entry.id)
        if entry.terms.length < math.inf:
            heapq.heappush(self._ends, entry)
        if len(self._ends) > self._ends_limit:
            self._ends_limit = 1024 + 2 * sum(map(len, self._active.values()))
            self._ends = [stale for stale in self._ends if self._in_force(stale)]
            heapq.heapify(self._ends)

    def _in_force(self, entry: Entry) -> bool:
        return self.entry(entry.jail, entry.id) is entry

    def _first_end(self) -> Entry | None:
        while self._ends:
            if self._in_force(self._ends[0]):
                return self._ends[0]
            heapq.heappop(self._ends)  # lifted or replaced
        return None

    def _finish(self, entry: Entry, state: str = "over") -> None:
        bans = self._active[entry.jail]
        del bans[entry.id]
        if not bans:
            del self._active[entry.jail]
        if "/" in entry.id and not any(self._exactly(entry.id, None)):
            self._prefixes.discard(entry.id)
        entry.terms = self._shared(entry.terms._replace(state=state))
        self._remember(entry)
        self.dirty[entry.number] = entry.row()
        self._details.pop(entry.number, None)
        self.dirty_details[entry.number] = None

    def _remember(self, entry: Entry) -> None:
        self._over[entry.id] = (*self._over.get(entry.id, ()), entry)
        heapq.heappush(self._forget_at, (self._forget_time(entry), entry.number, entry))

    def _forget_time(self, entry: Entry) -> float:
        return entry.end + max(self.history_age, entry.terms.length)

    def _forget(self, entry: Entry) -> None:
        left = tuple(other for other in self._over[entry.id] if other is not entry)
        if left:
            self._over[entry.id] = left
        else:
            del self._over[entry.id]
        self.dirty[entry.number] = None


def _start(entry: Entry) -> float:
    return entry.start
