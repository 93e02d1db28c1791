"""The failures of a chunk that count: rows of what a matcher found, and who is asked which of them to ignore."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from time import localtime, strftime
from typing import TypeAlias

from guardhooks.engine.configuration import Configuration, LiveConfiguration
from guardhooks.logs import log_lines
from guardhooks.model import Failure, Ignore, Jail
from guardhooks.plugins.found import Found
from guardhooks.text import safe_text

Answer: TypeAlias = Ignore | Awaitable[Ignore | None] | None
"""What plugins say of a failure: nothing, to ignore it, or something that must be awaited."""

logger = logging.getLogger("guardhooks.filter")


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows of `found`, ascending; `failures` are those of them that plugins have seen, with the notes made on them."""

    found: Found
    rows: Sequence[int]
    failures: Mapping[int, Failure]

    def failure(self, row: int) -> Failure | None:
        """One of them as an object; None where the matcher's plugin cannot give it."""
        return self.failures.get(row) or self.found.failure(row)

    def runs(self) -> Iterator[tuple[str, Sequence[int]]]:
        """The rows in order, those of one jail that follow each other together."""
        jails = self.found.jails
        if self.rows and len(set(jails)) == 1:
            yield jails[0], self.rows
        else:
            for jail, rows in groupby(self.rows, key=jails.__getitem__):
                yield jail, list(rows)


@dataclass(slots=True)
class Screening:
    """Which failures of one matcher count: `dropped` are the rows that do not, `seen` those that plugins have seen."""

    found: Found
    dropped: set[int] = field(default_factory=set)
    seen: dict[int, Failure] = field(default_factory=dict)

    def answers(self, configuration: LiveConfiguration) -> Iterator[tuple[int, Jail, Failure, Answer]]:
        """What plugins say of the failures that they must be asked about one by one, with the row of each.

        Names to be looked up and failures of jails that a reload removed are dropped.
        """
        self.dropped.update(self.found.unresolved)
        for row in _asked(configuration.now, self.found, self.dropped):
            now = configuration.now
            jail = now.jails.get(self.found.jails[row])
            failure = self.found.failure(row) if jail is not None else None
            if jail is None or failure is None:
                self.dropped.add(row)
            else:
                yield row, jail, failure, now.plugins.on_failure(jail, failure)

    def settle(self, row: int, jail: Jail, failure: Failure, said: Ignore | None) -> None:
        """A failure counts, unless it is said to be ignored."""
        if said is None:
            self.seen[row] = failure
        else:
            self.dropped.add(row)
            logger.info("[%s] Ignore %s by %s", jail.name, safe_text(failure.id), safe_text(said.reason))

    def kept(self) -> Kept:
        """All that was not dropped."""
        rows = range(len(self.found))
        return Kept(self.found, [row for row in rows if row not in self.dropped] if self.dropped else rows, self.seen)


def _asked(configuration: Configuration, found: Found, dropped: set[int]) -> Sequence[int]:
    """The rows that plugins must be asked about one by one, ascending; rows without a jail become `dropped`."""
    asked: list[int] = []
    for name, rows in _rows_by_jail(found, dropped).items():
        jail = configuration.jails.get(name)
        if jail is None:
            dropped.update(rows)
            continue
        every = len(rows) == len(found)
        ids = found.ids if every else [found.ids[row] for row in rows]
        addresses = found.addresses if every else [found.addresses[row] for row in rows]
        asked += [rows[place] for place in configuration.plugins.screen_failures(jail, ids, addresses)]
    asked.sort()
    return asked


def _rows_by_jail(found: Found, dropped: set[int]) -> Mapping[str, Sequence[int]]:
    if not dropped and len(set(found.jails)) == 1:
        return {found.jails[0]: range(len(found))}
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, jail in enumerate(found.jails):
        if row not in dropped:
            rows[jail].append(row)
    return rows


def log_found(batches: Sequence[Kept]) -> None:
    """Log each failure that counts."""
    if logger.isEnabledFor(logging.INFO) and any(kept.rows for kept in batches):
        log_lines(logger, logging.INFO, _found_lines(batches))


def _found_lines(batches: Sequence[Kept]) -> Iterator[str]:
    """`[sshd] Found 192.0.2.1 - 2026-11-28 21:57:38` of each failure."""
    second, when = -1, ""
    for kept in batches:
        jails, ids, times = kept.found.jails, kept.found.ids, kept.found.times
        for row in kept.rows:
            if second != int(times[row]):
                second = int(times[row])
                when = strftime("%Y-%m-%d %H:%M:%S", localtime(second))
            yield f"[{jails[row]}] Found {safe_text(ids[row])} - {when}"
