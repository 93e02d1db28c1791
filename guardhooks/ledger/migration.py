"""Brings a ledger file of the layout before this one up to date: its windows had a row each."""

from __future__ import annotations

import sqlite3
from itertools import groupby
from operator import itemgetter
from typing import Final

from guardhooks.ledger.segments import packed_segments
from guardhooks.ledger.windows import newest

WINDOWS: Final = """\
CREATE TABLE windows (
    number INTEGER PRIMARY KEY, -- the latest segment with an id counts
    jail ANY NOT NULL,
    segment BLOB NOT NULL -- see segments.py
) STRICT;"""


def merge_windows(connection: sqlite3.Connection, version: int) -> None:
    """Layout 2 to 3, in one transaction.

    :raises sqlite3.Error: nothing was changed.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        rows = connection.execute("SELECT jail, id, packed FROM windows").fetchall()
        rows.sort(key=lambda row: (row[0], newest(row[2])))
        connection.execute("DROP TABLE windows")
        connection.execute(WINDOWS)
        for jail, windows in groupby(rows, itemgetter(0)):
            ids, packed = zip(*((_text(id), window) for _, id, window in windows), strict=True)
            segments = [(jail, segment) for segment in packed_segments(ids, packed)]
            connection.executemany("INSERT INTO windows (jail, segment) VALUES (?, ?)", segments)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _text(id: str | bytes) -> str:
    return id if isinstance(id, str) else id.decode("utf-8", "surrogatepass")
