"""Keeps the sets of an action at what is due: compares, repairs, merges where there is no room, finds strangers."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from guardhooks import ActionError, Ban, Outcome
from guardhooks_core.actions.firewall.aggregate import Fit, Merging, fit, parent_of
from guardhooks_core.actions.firewall.entries import Difference, Entries, Entry, compare, entry_text

Key: TypeAlias = tuple[str, int]
"""By what a holder is known: the name of its sets, and its IP version."""

_SOON_OVER: Final = 3.0
"""Seconds; what ends within them is the rest of a ban that is over, not a stranger."""


class SetFullError(ActionError):
    """There is no room for all of a batch; some of it may have been put in."""


class Holder(Protocol):
    """The sets of one action for one IP version. All methods may raise `ActionError`."""

    @property
    def jail(self) -> str: ...
    @property
    def limit(self) -> int:
        """How many entries each set may hold; 0 for no limit."""
        ...

    @property
    def longest(self) -> float:
        """Seconds that an entry's timeout can be at most."""
        ...

    def set_of(self, entry: Entry) -> str:
        """The name of the set that the entry lives in."""
        ...

    def read(self, wanted: Entries) -> Entries:
        """What all sets hold; `wanted` is what they are expected to."""
        ...

    def prepare(self, wanted: Entries) -> None:
        """Make sure that there are sets for these entries."""
        ...

    def add(self, entries: Entries) -> None:
        """Put in; :raises SetFullError: when there is no room for all."""
        ...

    def replace(self, entries: Entries) -> None:
        """Give entries that are there another timeout."""
        ...

    def remove(self, entries: Iterable[Entry]) -> None: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What the sets of a holder are to hold: `wanted` laid out as `fit`, with what was `found` in them besides; the
    time left of entries is that at the time `at`.
    """

    at: float
    holder: Holder
    wanted: Entries
    fit: Fit
    found: Entries


@dataclass(slots=True)
class Result:
    """What was put right, which entries have no room, and which strangers were found and left alone."""

    holder: Holder
    added: int = 0
    removed: int = 0
    left_out: Entries = field(default_factory=dict)
    found: Entries = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Merged:
    """The merged prefixes of a holder: the ends of their members, and the prefix that each of these is in."""

    ends: Mapping[Entry, Mapping[Entry, float]] = field(default_factory=dict)
    prefix_of: Mapping[Entry, Entry] = field(default_factory=dict)


_NONE = _Merged()


class Upkeep:
    """Remembers of each holder's sets what was merged there, and how full they are. Holders are known by a key."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._merged: dict[Key, _Merged] = {}
        self._names: dict[Key, set[str]] = {}
        self.filling = Filling()

    def plan(
        self, key: Key, holder: Holder, wanted: Entries, merging: Merging | None, *, at: float, adopt: bool
    ) -> Plan:
        """How to lay out what is due, as seen `at` that time. With `adopt`, strangers are found and stay."""
        if not (adopt or _is_crowded(holder, wanted)):
            return Plan(at, holder, wanted, Fit(wanted), {})
        held = holder.read(wanted)
        ours = self._merged.get(key, _NONE).ends
        found = _strangers(_without(held, ours), wanted, merging) if adopt else {}
        laid_out = fit(wanted | found, held, holder.limit, holder.set_of, merging)
        return Plan(at, holder, wanted, laid_out, {e: left for e, left in found.items() if e not in laid_out.left_out})

    def carry_out(self, key: Key, plan: Plan) -> Result:
        """Make the sets, which stand, hold what was planned."""
        holder, planned = plan.holder, plan.fit.entries
        held = holder.read(planned)
        left_out = {entry: left for entry, left in plan.fit.left_out.items() if entry in plan.wanted}
        result = Result(holder, left_out=left_out, found=plan.found)
        difference = compare(held, planned, holder.longest, max(0.0, self._clock() - plan.at))
        if plan.fit.merged or key in self._merged:
            # What was only laid out anew is no repair.
            truth = compare(self._expanded(key, held), _without(plan.wanted | plan.found, left_out))
            result.added, result.removed = len(truth.missing), len(truth.strangers)
        else:
            result.added = len(difference.missing) + len(difference.wrong)
            result.removed = len(difference.strangers)
        result.left_out |= self._change(key, holder, held, plan.fit, difference)
        return result

    def ban(self, key: Key, holder: Holder, entries: Entries, merging: Merging | None) -> Entries:
        """Put entries in force; returns those that there is no room for."""
        holder.prepare(entries)
        try:
            holder.add(entries)
        except SetFullError:
            held = holder.read({})
            wanted = self._expanded(key, held) | entries
            laid_out = fit(wanted, held, holder.limit, holder.set_of, merging)
            left_out = laid_out.left_out | self._change(key, holder, held, laid_out)
            return {entry: left for entry, left in entries.items() if entry in left_out}
        self._watch(key, holder, entries)
        return {}

    def unban(self, key: Key, holder: Holder, entries: Iterable[Entry], merging: Merging | None) -> None:
        """Take entries out; the prefix that one was merged into is split again."""
        gone = set(entries)
        merged = self._merged.get(key, _NONE)
        if gone.isdisjoint(merged.prefix_of):
            holder.remove(gone)
            for entry in gone if holder.limit else ():
                self.filling.guess(holder.set_of(entry), -1)
            return
        held = holder.read({})
        wanted = {entry: left for entry, left in self._expanded(key, held).items() if entry not in gone}
        self._change(key, holder, held, fit(wanted, held, holder.limit, holder.set_of, merging))

    def forget(self, name: str) -> None:
        """The sets of this name are no more."""
        for version in (4, 6):
            self._merged.pop((name, version), None)
            for set_name in self._names.pop((name, version), ()):
                self.filling.forget(set_name)

    def warning(self, name: str) -> str:
        """Which of the sets of this name are nearly full; empty for none."""
        names = {each for version in (4, 6) for each in self._names.get((name, version), ())}
        return "; ".join(filter(None, map(self.filling.warning, sorted(names))))

    # --- within -------------------------------------------------------------------------------------------------------

    def _change(
        self, key: Key, holder: Holder, held: Entries, laid_out: Fit, difference: Difference | None = None
    ) -> Entries:
        """Make the sets hold what was laid out; returns what there was no room for after all."""
        wanted = laid_out.entries
        holder.prepare(wanted)
        refused: Entries = {}
        try:
            _apply(holder, held, difference or compare(held, wanted, holder.longest))
        except SetFullError:
            # Entries that are over count until the kernel has swept them away, and others may write, too.
            held = holder.read(wanted)
            for entry in wanted.keys() - held.keys():
                refused |= laid_out.merged.get(entry, {entry: wanted[entry]})
        self._remember(key, laid_out)
        if holder.limit:
            counts = Counter(map(holder.set_of, wanted))
            for name in self._names.setdefault(key, set()) | counts.keys():
                self.filling.see(holder.jail, name, counts[name], holder.limit)
            self._names[key] |= counts.keys()
        return refused

    def _remember(self, key: Key, laid_out: Fit) -> None:
        self._merged.pop(key, None)
        if laid_out.merged:
            now = self._clock()
            ends = {
                prefix: {member: now + left for member, left in members.items()}
                for prefix, members in laid_out.merged.items()
            }
            self._merged[key] = _Merged(
                ends, {member: prefix for prefix, members in ends.items() for member in members}
            )

    def _expanded(self, key: Key, held: Entries) -> Entries:
        """What is held, with the members of merged prefixes in place of these."""
        merged = self._merged.get(key, _NONE)
        if not merged.ends:
            return dict(held)
        now = self._clock()
        found: Entries = {}
        for entry, left in held.items():
            members = merged.ends.get(entry)
            if members is None:
                found[entry] = left
            else:
                found |= {member: end - now for member, end in members.items() if end > now}
        return found

    def _watch(self, key: Key, holder: Holder, entries: Entries) -> None:
        """Look how full the sets are when they may have become nearly full."""
        if not holder.limit:
            return
        for name, more in Counter(map(holder.set_of, entries)).items():
            self.filling.guess(name, more)
            self._names.setdefault(key, set()).add(name)
            if self.filling.near(name, holder.limit):
                counts = Counter(map(holder.set_of, holder.read({})))
                self.filling.see(holder.jail, name, counts[name], holder.limit)


def _apply(holder: Holder, held: Entries, difference: Difference) -> None:
    """New ones come before old ones go, where there is room for both."""
    holder.replace(difference.wrong)
    at_once = _with_room(holder, held, difference.missing)
    if at_once:
        holder.add(at_once)
    if difference.strangers:
        holder.remove(difference.strangers)
    if len(at_once) < len(difference.missing):
        holder.add(_without(difference.missing, at_once))


def _is_crowded(holder: Holder, entries: Entries) -> bool:
    """Whether these are too many for a set; they are counted by set only where all together would be."""
    if not holder.limit or len(entries) <= holder.limit:
        return False
    return any(number > holder.limit for number in Counter(map(holder.set_of, entries)).values())


def _with_room(holder: Holder, held: Entries, missing: Entries) -> Entries:
    """Those of the missing entries whose set has room for all that it lacks."""
    if not holder.limit or len(held) + len(missing) <= holder.limit:
        return missing
    counts = Counter(map(holder.set_of, held)) + Counter(map(holder.set_of, missing))
    return {entry: left for entry, left in missing.items() if counts[holder.set_of(entry)] <= holder.limit}


def _without(entries: Entries, others: Iterable[Entry]) -> Entries:
    gone = set(others)
    return {entry: left for entry, left in entries.items() if entry not in gone}


def _strangers(held: Entries, wanted: Entries, merging: Merging | None) -> Entries:
    """What is held and not wanted; not what is about to end, nor what we merged before we were started anew."""
    found = {entry: left for entry, left in held.items() if entry not in wanted and left > _SOON_OVER}
    if merging is None:
        return found
    lengths = {entry.prefix for entry in found}
    ours = {parent_of(entry, length) for length in lengths for entry in wanted if entry.prefix > length}
    return _without(found, ours)


def reasons(left_out: Iterable[Entry], holder: Holder) -> dict[str, str]:
    """Why these bans are not in force, and what to do about it, by id."""
    return {
        entry_text(
            entry
        ): f"set {holder.set_of(entry)} is full, maxelem={holder.limit} reached: set a greater maxelem= "
        "and reload, or let aggregate=yes merge neighbours"
        for entry in left_out
    }


def outcome(results: Iterable[Result], jail: str, now: float, *, note: str, built: int = 0, warning: str) -> Outcome:
    """What a start or check has to tell; strangers are told as bans that last as long as the kernel holds them."""
    added, removed, failed = built, 0, dict[str, str]()
    found: list[Ban] = []
    for result in results:
        added, removed = added + result.added, removed + result.removed
        failed |= reasons(result.left_out, result.holder)
        found += [Ban(entry_text(entry), jail, now, left) for entry, left in result.found.items()]
    return Outcome(added, removed, note, warning, failed, tuple(found))


logger = logging.getLogger("guardhooks.firewall")

_ALARM: Final = 0.8


class Filling:
    """How many entries each limited set holds, as far as is known, and which of them are nearly full."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._warnings: dict[str, str] = {}

    def count(self, name: str) -> int:
        """How many entries a set held when it was last looked at, and what was put in and taken out since."""
        return self._counts.get(name, 0)

    def near(self, name: str, limit: int) -> bool:
        """Whether a set may have become nearly full since that was last said."""
        return name not in self._warnings and self.count(name) >= limit * _ALARM

    def guess(self, name: str, more: int) -> None:
        """So many came (or went), unless some of them were there (or were not)."""
        self._counts[name] = max(0, self.count(name) + more)

    def see(self, jail: str, name: str, count: int, limit: int) -> None:
        """A set holds `count` of `limit` entries; what has changed about that is logged."""
        self._counts[name] = count
        if count < limit * _ALARM:
            if self._warnings.pop(name, None):
                logger.warning("[%s] set %s has room again: %d of %d entries", jail, name, count, limit)
            return
        state = "is full" if count >= limit else f"is {count * 100 // limit} % full"
        text = f"set {name} {state}: {count} of {limit} entries; set a greater maxelem= and reload"
        if name not in self._warnings:
            logger.warning("[%s] %s", jail, text)
        self._warnings[name] = text

    def warning(self, name: str) -> str:
        """What there is to say of a set; empty for nothing."""
        return self._warnings.get(name, "")

    def forget(self, name: str) -> None:
        """The set is no more."""
        self._counts.pop(name, None)
        self._warnings.pop(name, None)
