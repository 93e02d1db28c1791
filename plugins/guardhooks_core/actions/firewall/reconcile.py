"""Makes the sets of an action hold the desired bans: compares, repairs, merges where there is no room, and finds
unexpected entries.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from guardhooks import ActionError, Ban, Outcome
from guardhooks_core.actions.firewall.aggregate import Fit, Merging, fit, parent_of
from guardhooks_core.actions.firewall.entries import Difference, Entries, Entry, compare, entry_text

logger = logging.getLogger("guardhooks.firewall")

Key: TypeAlias = tuple[str, int]
"""Identifies a backend: the name of its sets, and its IP version."""

_ENDING_SOON: Final = 3.0
"""Seconds; an entry that ends within them is what is left of a ban that has ended, not an unexpected one."""
_NEARLY_FULL: Final = 0.8


class SetFullError(ActionError):
    """There is no room for all of a batch; some of it may have been added."""


class SetBackend(Protocol):
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
        """What all sets hold; `wanted` is what they are expected to hold."""
        ...

    def prepare(self, wanted: Entries) -> None:
        """Make sure that there are sets for these entries."""
        ...

    def add(self, entries: Entries) -> None:
        """Add entries.

        :raises SetFullError: when there is no room for all.
        """
        ...

    def replace(self, entries: Entries) -> None:
        """Give entries that are there another timeout."""
        ...

    def remove(self, entries: Iterable[Entry]) -> None: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What the sets of a backend are to hold: `wanted` as it fits, with the unexpected entries that were `found`. The
    seconds that entries have left are those at the time `at`.
    """

    at: float
    backend: SetBackend
    wanted: Entries
    fit: Fit
    found: Entries


@dataclass(slots=True)
class Result:
    """How much was repaired, which entries have no room, and which unexpected entries were found and kept."""

    backend: SetBackend
    added: int = 0
    removed: int = 0
    left_out: Entries = field(default_factory=dict)
    found: Entries = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Merged:
    """The merged prefixes of a backend: the ends of their members, and the prefix that each of these is in."""

    ends: Mapping[Entry, Mapping[Entry, float]] = field(default_factory=dict)
    prefix_of: Mapping[Entry, Entry] = field(default_factory=dict)


_NONE = _Merged()


class SetReconciler:
    """Remembers, by the key of each backend, what was merged in its sets and how full they are."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._merged: dict[Key, _Merged] = {}
        self._names: dict[Key, set[str]] = {}
        self.usage = SetUsage()

    def plan(
        self, key: Key, backend: SetBackend, wanted: Entries, merging: Merging | None, *, at: float, adopt: bool
    ) -> Plan:
        """How the desired bans fit, seen `at` that time. With `adopt`, unexpected entries are found and kept."""
        if not (adopt or _is_crowded(backend, wanted)):
            return Plan(at, backend, wanted, Fit(wanted), {})
        held = backend.read(wanted)
        ours = self._merged.get(key, _NONE).ends
        found = _unexpected(_without(held, ours), wanted, merging) if adopt else {}
        fitted = fit(wanted | found, held, backend.limit, backend.set_of, merging)
        return Plan(at, backend, wanted, fitted, {e: left for e, left in found.items() if e not in fitted.left_out})

    def carry_out(self, key: Key, plan: Plan) -> Result:
        """Make the sets, which exist, hold what was planned."""
        backend, planned = plan.backend, plan.fit.entries
        held = backend.read(planned)
        left_out = {entry: left for entry, left in plan.fit.left_out.items() if entry in plan.wanted}
        result = Result(backend, left_out=left_out, found=plan.found)
        difference = compare(held, planned, backend.longest, max(0.0, self._clock() - plan.at))
        if plan.fit.merged or key in self._merged:
            # What was only merged differently is not a repair.
            truth = compare(self._expanded(key, held), _without(plan.wanted | plan.found, left_out))
            result.added, result.removed = len(truth.missing), len(truth.unexpected)
        else:
            result.added = len(difference.missing) + len(difference.wrong)
            result.removed = len(difference.unexpected)
        result.left_out |= self._change(key, backend, held, plan.fit, difference)
        return result

    def ban(self, key: Key, backend: SetBackend, entries: Entries, merging: Merging | None) -> Entries:
        """Put entries in force; returns those that have no room."""
        backend.prepare(entries)
        try:
            backend.add(entries)
        except SetFullError:
            held = backend.read({})
            wanted = self._expanded(key, held) | entries
            fitted = fit(wanted, held, backend.limit, backend.set_of, merging)
            left_out = fitted.left_out | self._change(key, backend, held, fitted)
            return {entry: left for entry, left in entries.items() if entry in left_out}
        self._check_usage(key, backend, entries)
        return {}

    def unban(self, key: Key, backend: SetBackend, entries: Iterable[Entry], merging: Merging | None) -> None:
        """Remove entries; the prefix that one was merged into is split again."""
        gone = set(entries)
        merged = self._merged.get(key, _NONE)
        if gone.isdisjoint(merged.prefix_of):
            backend.remove(gone)
            for entry in gone if backend.limit else ():
                self.usage.estimate(backend.set_of(entry), -1)
            return
        held = backend.read({})
        wanted = {entry: left for entry, left in self._expanded(key, held).items() if entry not in gone}
        self._change(key, backend, held, fit(wanted, held, backend.limit, backend.set_of, merging))

    def forget(self, name: str) -> None:
        """The sets of this name have been removed."""
        for version in (4, 6):
            self._merged.pop((name, version), None)
            for set_name in self._names.pop((name, version), ()):
                self.usage.forget(set_name)

    def warning(self, name: str) -> str:
        """Which of the sets of this name are nearly full; empty for none."""
        names = {each for version in (4, 6) for each in self._names.get((name, version), ())}
        return "; ".join(filter(None, map(self.usage.warning, sorted(names))))

    # --- internal -----------------------------------------------------------------------------------------------------

    def _change(
        self, key: Key, backend: SetBackend, held: Entries, fitted: Fit, difference: Difference | None = None
    ) -> Entries:
        """Make the sets hold what was fitted; returns what there was no room for after all."""
        wanted = fitted.entries
        backend.prepare(wanted)
        refused: Entries = {}
        try:
            _apply(backend, held, difference or compare(held, wanted, backend.longest))
        except SetFullError:
            # Entries that have ended count until the kernel has collected them, and others may write too.
            held = backend.read(wanted)
            for entry in wanted.keys() - held.keys():
                refused |= fitted.merged.get(entry, {entry: wanted[entry]})
        self._remember(key, fitted)
        if backend.limit:
            counts = Counter(map(backend.set_of, wanted))
            for name in self._names.setdefault(key, set()) | counts.keys():
                self.usage.update(backend.jail, name, counts[name], backend.limit)
            self._names[key] |= counts.keys()
        return refused

    def _remember(self, key: Key, fitted: Fit) -> None:
        self._merged.pop(key, None)
        if fitted.merged:
            now = self._clock()
            ends = {
                prefix: {member: now + left for member, left in members.items()}
                for prefix, members in fitted.merged.items()
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

    def _check_usage(self, key: Key, backend: SetBackend, entries: Entries) -> None:
        """Read how full the sets are when they may have become nearly full."""
        if not backend.limit:
            return
        for name, more in Counter(map(backend.set_of, entries)).items():
            self.usage.estimate(name, more)
            self._names.setdefault(key, set()).add(name)
            if self.usage.nearly_full(name, backend.limit):
                counts = Counter(map(backend.set_of, backend.read({})))
                self.usage.update(backend.jail, name, counts[name], backend.limit)


def _apply(backend: SetBackend, held: Entries, difference: Difference) -> None:
    """Add new entries before old ones are removed, where there is room for both."""
    backend.replace(difference.wrong)
    at_once = _with_room(backend, held, difference.missing)
    if at_once:
        backend.add(at_once)
    if difference.unexpected:
        backend.remove(difference.unexpected)
    if len(at_once) < len(difference.missing):
        backend.add(_without(difference.missing, at_once))


def _is_crowded(backend: SetBackend, entries: Entries) -> bool:
    """Whether these are too many for a set; they are counted by set only where all together would be."""
    if not backend.limit or len(entries) <= backend.limit:
        return False
    return any(number > backend.limit for number in Counter(map(backend.set_of, entries)).values())


def _with_room(backend: SetBackend, held: Entries, missing: Entries) -> Entries:
    """Those of the missing entries whose set has room for all that it lacks."""
    if not backend.limit or len(held) + len(missing) <= backend.limit:
        return missing
    counts = Counter(map(backend.set_of, held)) + Counter(map(backend.set_of, missing))
    return {entry: left for entry, left in missing.items() if counts[backend.set_of(entry)] <= backend.limit}


def _without(entries: Entries, others: Iterable[Entry]) -> Entries:
    gone = set(others)
    return {entry: left for entry, left in entries.items() if entry not in gone}


def _unexpected(held: Entries, wanted: Entries, merging: Merging | None) -> Entries:
    """What is held and not wanted; not what is about to end, nor what we merged before a restart."""
    found = {entry: left for entry, left in held.items() if entry not in wanted and left > _ENDING_SOON}
    if merging is None:
        return found
    lengths = {entry.prefix for entry in found}
    ours = {parent_of(entry, length) for length in lengths for entry in wanted if entry.prefix > length}
    return _without(found, ours)


def reasons(left_out: Iterable[Entry], backend: SetBackend) -> dict[str, str]:
    """Why these bans are not in force, and what to do about it, by id."""
    remedy = "set a greater maxelem= and reload, or let aggregate=yes merge neighbours"
    return {
        entry_text(entry): f"set {backend.set_of(entry)} is full, maxelem={backend.limit} reached: {remedy}"
        for entry in left_out
    }


def outcome(
    results: Iterable[Result],
    jail: str,
    now: float,
    *,
    note: str,
    built: int = 0,
    warning: str,
    failed: Mapping[str, str],
) -> Outcome:
    """The outcome of a start or check; unexpected entries are reported as bans of the seconds that they have left.

    :param failed: bans that no set can hold, and why.
    """
    added, removed, failed = built, 0, dict(failed)
    found: list[Ban] = []
    for result in results:
        added, removed = added + result.added, removed + result.removed
        failed |= reasons(result.left_out, result.backend)
        found += [Ban(entry_text(entry), jail, now, left) for entry, left in result.found.items()]
    return Outcome(added, removed, note, warning, failed, tuple(found))


class SetUsage:
    """How many entries each limited set holds, as far as is known, and which sets are nearly full."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._warnings: dict[str, str] = {}

    def count(self, name: str) -> int:
        """How many entries a set held when it was last read, plus those added and minus those removed since."""
        return self._counts.get(name, 0)

    def nearly_full(self, name: str, limit: int) -> bool:
        """Whether a set may have become nearly full since that was last reported."""
        return name not in self._warnings and self.count(name) >= limit * _NEARLY_FULL

    def estimate(self, name: str, more: int) -> None:
        """So many were added (or removed), unless some of them were there (or were not)."""
        self._counts[name] = max(0, self.count(name) + more)

    def update(self, jail: str, name: str, count: int, limit: int) -> None:
        """A set holds `count` of `limit` entries; logs that it has become nearly full, or has room again."""
        self._counts[name] = count
        if count < limit * _NEARLY_FULL:
            if self._warnings.pop(name, None):
                logger.warning("[%s] set %s has room again: %d of %d entries", jail, name, count, limit)
            return
        state = "is full" if count >= limit else f"is {count * 100 // limit} % full"
        text = f"set {name} {state}: {count} of {limit} entries; set a greater maxelem= and reload"
        if name not in self._warnings:
            logger.warning("[%s] %s", jail, text)
        self._warnings[name] = text

    def warning(self, name: str) -> str:
        """The warning about a set; empty for none."""
        return self._warnings.get(name, "")

    def forget(self, name: str) -> None:
        """The set has been removed."""
        self._counts.pop(name, None)
        self._warnings.pop(name, None)
