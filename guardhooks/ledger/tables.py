"""The tables in the ledger file: their columns, and reading and writing rows of them.

A column is added here and where the rows of its table are made: `bans.py`, `state.py`, `segments.py`. With any change
`LAYOUT` goes up by one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

APPLICATION: Final = 0x67484B73
"""SQLite's `application_id` of a ledger file."""
LAYOUT: Final = 1
"""SQLite's `user_version`. A file of another layout is not read."""

SCHEMA: Final = f"""
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE jails (
    name TEXT PRIMARY KEY, findtime REAL NOT NULL, failures INTEGER NOT NULL, bans INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE windows (
    number INTEGER PRIMARY KEY, -- of the segments that hold an id, the latest counts
    jail ANY NOT NULL,
    segment BLOB NOT NULL -- see segments.py
) STRICT;
CREATE TABLE bans (
    number INTEGER PRIMARY KEY, jail TEXT NOT NULL, id ANY NOT NULL, start REAL NOT NULL,
    length REAL, -- NULL: permanent
    count INTEGER NOT NULL, failures INTEGER NOT NULL, reason ANY NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'over', 'lifted'))
) STRICT;
CREATE TABLE details ( -- of the active bans
    number INTEGER PRIMARY KEY,
    packed TEXT NOT NULL -- JSON, see details.py
) STRICT;
CREATE TABLE positions (
    source ANY, origin ANY, cursor ANY NOT NULL, advanced REAL NOT NULL, PRIMARY KEY (source, origin)
) STRICT, WITHOUT ROWID;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {LAYOUT};
COMMIT;
"""

Text: TypeAlias = str | bytes
"""File names and log texts may hold lone surrogates, which SQLite's TEXT cannot: those are stored as BLOB."""
JailRow: TypeAlias = tuple[str, float, int, int]
"""Name, findtime in seconds, failures and bans since the ledger was created."""
SegmentRow: TypeAlias = tuple[Text, bytes]
"""Jail and segment."""
BanRow: TypeAlias = tuple[int, str, Text, float, float | None, int, int, Text, str]
"""Number, jail, id, start, length in seconds (None: permanent), count, failures, reason, state."""
DetailsRow: TypeAlias = tuple[int, str]
"""Number of the ban and its details, packed."""
PositionRow: TypeAlias = tuple[Text, Text, Text, float]
"""Source, origin, cursor, and when it was last advanced."""
Row: TypeAlias = JailRow | SegmentRow | BanRow | DetailsRow | PositionRow | tuple[int] | tuple[str] | tuple[str, str]
"""A row to write, or the key of one to delete."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows to write and keys of rows to delete. The segments of `emptied` jails are deleted before `segments` are
    added, which may be made one by one when it is their turn.
    """

    jails: Sequence[JailRow] = ()
    bans: Sequence[BanRow] = ()
    details: Sequence[DetailsRow] = ()
    positions: Sequence[PositionRow] = ()
    segments: Iterable[SegmentRow] = ()
    emptied: Sequence[tuple[str]] = ()
    deleted_bans: Sequence[tuple[int]] = ()
    deleted_details: Sequence[tuple[int]] = ()
    deleted_positions: Sequence[tuple[str, str]] = ()

    @property
    def has_bans(self) -> bool:
        """Whether a ban was made or lifted."""
        return bool(self.bans or self.deleted_bans)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write it all; the transaction around it is the caller's.

        :raises sqlite3.Error: some of it may have been written.
        """

        def execute(statement: str, rows: Sequence[Row]) -> None:
            try:
                connection.executemany(statement, rows)
            except UnicodeEncodeError:  # some are written already, and are written over
                connection.executemany(statement, map(_bindable, rows))

        execute("INSERT OR REPLACE INTO jails VALUES (?, ?, ?, ?)", self.jails)
        execute("INSERT OR REPLACE INTO bans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", self.bans)
        execute("INSERT OR REPLACE INTO details VALUES (?, ?)", self.details)
        execute("INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?)", self.positions)
        execute("DELETE FROM bans WHERE number = ?", self.deleted_bans)
        execute("DELETE FROM details WHERE number = ?", self.deleted_details)
        execute("DELETE FROM positions WHERE source = ? AND origin = ?", self.deleted_positions)
        execute("DELETE FROM windows WHERE jail = ?", self.emptied)
        connection.executemany("INSERT INTO windows (jail, segment) VALUES (?, ?)", map(_bindable, self.segments))


class Tables:
    """All rows of each table, as `Batch` takes them.

    :raises sqlite3.Error: from every method, when the file cannot be read.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def jails(self) -> Iterator[JailRow]:
        return self._connection.execute("SELECT name, findtime, failures, bans FROM jails")

    def segments(self) -> Iterator[tuple[int, Text, bytes]]:
        """Number, jail and segment, in the order in which they were written."""
        return self._connection.execute("SELECT number, jail, segment FROM windows ORDER BY number")

    def bans(self) -> Iterator[BanRow]:
        """By ascending number."""
        columns = "number, jail, id, start, length, count, failures, reason, state"
        return self._connection.execute(f"SELECT {columns} FROM bans ORDER BY number")  # noqa: S608 -- constants

    def positions(self) -> Iterator[PositionRow]:
        return self._connection.execute("SELECT source, origin, cursor, advanced FROM positions")

    def details(self, numbers: Sequence[int]) -> Iterator[DetailsRow]:
        """The details of the bans of these numbers."""
        wanted = "SELECT number, packed FROM details WHERE number IN (SELECT value FROM json_each(?))"
        return self._connection.execute(wanted, (json.dumps(numbers),))


_DELETES: Final = {
    "jails": "DELETE FROM jails WHERE CAST(name AS BLOB) = CAST(? AS BLOB)",
    "windows": "DELETE FROM windows WHERE number = ?",
    "bans": "DELETE FROM bans WHERE number = ?",
    "positions": "DELETE FROM positions WHERE CAST(source AS BLOB) = CAST(? AS BLOB)"
    " AND CAST(origin AS BLOB) = CAST(? AS BLOB)",
}


def delete_row(connection: sqlite3.Connection, table: str, key: Sequence[object]) -> None:
    """Delete the row with this key, whose text may be damaged.

    :raises sqlite3.Error: it cannot be deleted.
    """
    connection.execute(_DELETES[table], tuple(key))


def text_of(value: Text) -> str:
    """The text that was written.

    :raises ValueError: it is none.
    """
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")


def _bindable(row: Row) -> tuple[object, ...]:
    return tuple(_encoded(value) if isinstance(value, str) else value for value in row)


def _encoded(text: str) -> Text:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def decoded_or_raw(data: bytes) -> Text:
    """A `text_factory` that reads damaged text as bytes, where SQLite's own would fail for the whole query."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
