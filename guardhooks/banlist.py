"""The bans in force and those that are over, in memory; who is banned is answered by dictionary look-ups alone."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from types import MappingProxyType
from typing import Final

from guardhooks.bancodec import decoded_details, encoded_details
from guardhooks.model import NO_FIELDS, NO_OPTIONS, Ban
from guardhooks.prefixes import PrefixMap

LIFTED: Final = MappingProxyType({"lifted": "by hand"})
"""`notes` of a ban in the history that was lifted by hand: it is forgiven and does not count against the id."""


class Entry:
    """One ban, small: matches, fields and notes are packed in `details` and given up when the ban is over."""

    __slots__ = (
        "count", "details", "failures", "id", "jail", "length", "lifted", "number", "over", "reason", "start",
    )  # fmt: skip

    def __init__(self, number: int, ban: Ban, details: bytes = b"", *, lifted: bool = False) -> None:
        self.number = number
        self.id = ban.id
        self.jail = ban.jail
        self.start = ban.start
        self.length = ban.length
        self.count = ban.count
        self.failures = ban.failures
        self.reason = ban.reason
        self.details = details
        self.lifted = lifted
        self.over = lifted

    @property
    def end(self) -> float:
        return self.start + self.length

    def __lt__(self, other: Entry) -> bool:
        return self.start + self.length < other.start + other.length

    def ban(self, *, whole: bool = True) -> Ban:
        """The ban that crosses walls; without its matches, fields and notes unless `whole`."""
        matches, fields, notes = decoded_details(self.details) if whole else ((), NO_FIELDS, NO_OPTIONS)
        return Ban(
            self.id, self.jail, self.start, self.length, self.count, self.failures, self.reason, matches, fields,
            LIFTED if self.lifted else notes,
        )  # fmt: skip


class BanList:
    """All bans by jail and id. `dirty` holds what changed, by row number; None stands for a row that is gone."""

    def __init__(self, history_age: float) -> None:
        self.dirty: dict[int, Entry | None] = {}
        self.history_age = history_age
        self._number = 0
        self._active: dict[str, dict[str, Entry]] = {}
        self._ends: list[Entry] = []
        self._over: dict[str, tuple[Entry, ...]] = {}
        self._forget_at: list[tuple[float, int, Entry]] = []
        self._prefixes = PrefixMap()
        self._reasons: dict[str, str] = {}

    # --- changes -----------------------------------------------------------------------------------------------------

    def add(self, ban: Ban, now: float) -> Ban | None:
        """See `Ledger.add`."""
        if ban.end <= now:
            return None
        former = self.entry(ban.jail, ban.id)
        if former is not None and former.end <= now:
            self._finish(former)
            former = None
        if former is not None and former.end >= ban.end:
            return None
        stored = replace(ban, count=former.count if former else self._earlier(ban.id, ban.jail) + 1)
        number = former.number if former else self._next_number()
        entry = Entry(number, stored, encoded_details(ban))
        entry.reason = self._shared(ban.reason)
        self._enter(entry)
        self.dirty[number] = entry
        return stored

    def restore(self, entry: Entry, *, over: bool, now: float) -> None:
        """Put back what was on disk. A ban from the future (the clock was set back) starts now."""
        self._number = max(self._number, entry.number)
        entry.reason = self._shared(entry.reason)
        if entry.start > now:
            entry.start = now
            self.dirty[entry.number] = entry
        if over:
            self._remember(entry)
        else:
            self._enter(entry)

    def remove(self, jail: str, id: str, now: float) -> Ban | None:
        """Lift a ban by hand; returns it as it was."""
        entry = self.entry(jail, id)
        if entry is None:
            return None
        ban = entry.ban()
        entry.length = max(0.0, min(entry.length, now - entry.start))
        entry.lifted = True
        self._finish(entry)
        return ban

    def expire(self, now: float) -> list[Ban]:
        """Take out the bans that are over, in order of their end, and forget what is too old."""
        over: list[Ban] = []
        while (first := self._first_end()) is not None and first.end <= now:
            over.append(first.ban())
            self._finish(first)
        while self._forget_at and self._forget_at[0][0] < now:
            self._forget(heapq.heappop(self._forget_at)[2])
        return over

    # --- questions ---------------------------------------------------------------------------------------------------

    def entry(self, jail: str, id: str) -> Entry | None:
        bans = self._active.get(jail)
        return bans.get(id) if bans else None

    def next_end(self) -> float | None:
        first = self._first_end()
        return None if first is None else first.end

    def active(self, jail: str | None) -> list[Ban]:
        return [entry.ban() for entry in sorted(chain.from_iterable(self._jails(jail)), key=lambda entry: entry.start)]

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
        return [entry.ban() for entry in sorted(found, key=lambda entry: entry.start)]

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
        return [entry.ban(whole=False) for entry in sorted(entries, key=lambda entry: entry.start)]

    # --- within ------------------------------------------------------------------------------------------------------

    def _jails(self, jail: str | None) -> Iterator[Iterator[Entry]]:
        for name, bans in self._active.items():
            if jail is None or jail == name:
                yield iter(bans.values())

    def _exactly(self, id: str, jail: str | None) -> Iterator[Entry]:
        for name, bans in self._active.items():
            if id in bans and (jail is None or jail == name):
                yield bans[id]

    def _covering(self, address: str, jail: str | None) -> Iterator[Entry]:
        for id in (address, *self._prefixes.holding(address)):
            yield from self._exactly(id, jail)

    def _earlier(self, id: str, jail: str) -> int:
        return sum(entry.jail == jail and not entry.lifted for entry in self._over.get(id, ()))

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _shared(self, reason: str) -> str:
        """One object for equal reasons: most bans of a jail have the same."""
        if len(self._reasons) > 10_000:
            self._reasons.clear()
        return self._reasons.setdefault(reason, reason)

    def _enter(self, entry: Entry) -> None:
        bans = self._active.setdefault(entry.jail, {})
        bans[entry.id] = entry
        if "/" in entry.id:
            self._prefixes.add(entry.id)
        if entry.end < float("inf"):
            heapq.heappush(self._ends, entry)
        if len(self._ends) > 1024 + 2 * sum(map(len, self._active.values())):
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

    def _finish(self, entry: Entry) -> None:
        bans = self._active[entry.jail]
        del bans[entry.id]
        if not bans:
            del self._active[entry.jail]
        if "/" in entry.id and not any(self._exactly(entry.id, None)):
            self._prefixes.discard(entry.id)
        entry.details = b""
        self._remember(entry)
        self.dirty[entry.number] = entry

    def _remember(self, entry: Entry) -> None:
        entry.over = True
        self._over[entry.id] = (*self._over.get(entry.id, ()), entry)
        heapq.heappush(self._forget_at, (entry.end + max(self.history_age, entry.length), entry.number, entry))

    def _forget(self, entry: Entry) -> None:
        left = tuple(other for other in self._over[entry.id] if other is not entry)
        if left:
            self._over[entry.id] = left
        else:
            del self._over[entry.id]
        self.dirty[entry.number] = None
