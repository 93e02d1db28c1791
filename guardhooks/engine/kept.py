"""The failures of a chunk that count: rows of what a matcher found, and who is asked which of them to ignore."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from time import localtime, strftime
from typing import Final

from guardhooks.engine.configuration import LiveConfiguration
from guardhooks.model import Failure, Ignore
from guardhooks.plugins.found import Found
from guardhooks.text import safe_text

_LOGGED_ONE_BY_ONE: Final = 10
"""Up to this number, each failure of a chunk is logged; more are summed up, for logging costs more than a ban."""

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


async def keep(configuration: LiveConfiguration, found: Found) -> Kept:
    """What no plugin ignores, without names to be looked up and without jails that a reload removed."""
    dropped = set(found.unresolved)
    failures: dict[int, Failure] = {}
    for row in _asked(configuration, found, dropped):
        jail = configuration.jails.get(found.jails[row])
        failure = found.failure(row) if jail is not None else None
        if jail is None or failure is None:
            dropped.add(row)
            continue
        answer = configuration.plugins.on_failure(jail, failure)
        if answer is not None and not isinstance(answer, Ignore):
            answer = await answer
        if answer is None:
            failures[row] = failure
        else:
            dropped.add(row)
            logger.info("[%s] Ignore %s by %s", jail.name, safe_text(failure.id), safe_text(answer.reason))
    rows = range(len(found))
    return Kept(found, [row for row in rows if row not in dropped] if dropped else rows, failures)


def _asked(configuration: LiveConfiguration, found: Found, dropped: set[int]) -> Sequence[int]:
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
    """Log what was found: each failure where they are few."""
    number = sum(len(kept.rows) for kept in batches)
    if not number or not logger.isEnabledFor(logging.INFO):
        return
    if number <= _LOGGED_ONE_BY_ONE:
        for kept in batches:
            for row in kept.rows:
                when = strftime("%Y-%m-%d %H:%M:%S", localtime(kept.found.times[row]))
                logger.info("[%s] Found %s - %s", kept.found.jails[row], safe_text(kept.found.ids[row]), when)
        return
    numbers, ids = Counter[str](), defaultdict[str, set[str]](set)
    for kept in batches:
        for jail, rows in kept.runs():
            numbers[jail] += len(rows)
            of = kept.found.ids
            ids[jail].update(of if len(rows) == len(of) else [of[row] for row in rows])
    for jail, failures in numbers.items():
        logger.info("[%s] Found %d failures of %d ids", jail, failures, len(ids[jail]))
