"""Rows that make no sense: what a sound row of the ledger is, and where the others are kept."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from guardhooks.ledger.tables import BanRow

UNREADABLE: Final = (sqlite3.Error, ValueError, TypeError, OverflowError, struct.error)
"""What reading a row raises that something else has changed."""
_HIGHEST_NUMBER: Final = 1 << 53
"""Numbers of bans count up from one; a higher one was not given by us and would leave no room."""
_LATEST: Final = 1e12
"""Seconds since the epoch, far beyond any date."""
_TEXTS: Final = frozenset({str, bytes})
_STATES: Final = frozenset({"active", "over", "lifted"})
_TOLD: Final = 3
"""Rows that the note describes; of more it says only how many."""


@dataclass(frozen=True, slots=True)
class DamagedRow:
    """A row that was left out: its table and key, what it held, and what is wrong with it."""

    table: str
    key: tuple[object, ...]
    values: tuple[object, ...]
    problem: str


@dataclass(slots=True)
class Damage:
    """The damaged rows that were found while the ledger was read."""

    rows: list[DamagedRow] = field(default_factory=list)

    def add(self, table: str, key: tuple[object, ...], values: tuple[object, ...], error: Exception) -> None:
        self.rows.append(DamagedRow(table, key, values, f"{type(error).__name__}: {error}"))

    @property
    def loses_bans(self) -> bool:
        """Whether a ban is lost that the firewall may still hold."""
        return any(row.table == "bans" for row in self.rows)

    def keep(self, path: Path) -> None:
        """Append the rows to a file that only its owner may read, one JSON object a line.

        :raises OSError: it cannot be written.
        """
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            for row in self.rows:
                entry = {"table": row.table, "values": row.values, "problem": row.problem}
                file.write(json.dumps(entry, default=_printable) + "\n")

    def __str__(self) -> str:
        number = "1 row was" if len(self.rows) == 1 else f"{len(self.rows)} rows were"
        told = "; ".join(f"{row.table} {row.key[0]!r}: {row.problem}" for row in self.rows[:_TOLD])
        return f"{number} damaged ({told}{'; …' if len(self.rows) > _TOLD else ''})"


def checked_ban(row: BanRow) -> BanRow:
    """The row, if it is one that we could have written.

    :raises ValueError: or TypeError, if it is not.
    """
    number, jail, id_, start, length, count, failures, reason, state = row
    # One expression, as there may be hundreds of thousands of rows when the daemon starts.
    if (
        0 < number < _HIGHEST_NUMBER
        and jail.__class__ is str
        and jail
        and id_.__class__ in _TEXTS
        and id_
        and -_LATEST < start < _LATEST
        and (length is None or length >= 0)
        and 0 <= count < _HIGHEST_NUMBER
        and 0 <= failures < _HIGHEST_NUMBER
        and count.__class__ is failures.__class__ is int
        and reason.__class__ in _TEXTS
        and state in _STATES
    ):
        return row
    raise ValueError(f"not a row of a ban: {row!r}"[:300])


def _printable(value: object) -> str:
    return repr(value)
