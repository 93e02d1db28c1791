"""Reads the database of fail2ban, versions 1 to 4 of its tables, without changing it."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from guardhooks.errors import StateError
from guardhooks.model import PERMANENT, Ban

_NEWEST: Final = 4
_UNKNOWN: Final = -2
"""`bantime` of rows from before it was stored."""
_MATCHES: Final = 20
_LONGEST: Final = 2000
"""Matches that are taken with a ban, and characters of each."""


@dataclass(frozen=True, slots=True)
class Fail2banDatabase:
    """Its bans by id and jail: those that are over before the one that may be in force, oldest first."""

    version: int
    bans: tuple[Ban, ...]


def read_fail2ban(path: Path, bantime: Callable[[str], float]) -> Fail2banDatabase:
    """Read the file.

    :param bantime: the ban time of a jail in seconds, for bans whose length fail2ban did not store.
    :raises StateError: when it cannot be read or is not fail2ban's.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            database.text_factory = lambda data: data.decode("utf-8", "replace")
            version = int(database.execute("SELECT max(version) FROM fail2banDb").fetchone()[0])
            if not 1 <= version <= _NEWEST:
                raise StateError(f"{path} has version {version} of fail2ban's tables; 1 to {_NEWEST} can be read")
            return Fail2banDatabase(version, tuple(_bans(database, bantime)))
    except (sqlite3.Error, TypeError, ValueError) as error:
        raise StateError(f"{path} cannot be read as fail2ban's database: {error}") from error


def _bans(database: sqlite3.Connection, bantime: Callable[[str], float]) -> list[Ban]:
    rows: defaultdict[tuple[str, str], list[Ban]] = defaultdict(list)
    for row in database.execute("SELECT * FROM bans ORDER BY timeofban"):
        ban = _ban(row, bantime)
        rows[ban.id, ban.jail].append(ban)
    if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'bips'").fetchone():
        for row in database.execute("SELECT * FROM bips ORDER BY timeofban"):
            last = _ban(row, bantime)
            rows[last.id, last.jail] = _with_last(rows[last.id, last.jail], last)
    return [ban for bans in rows.values() for ban in bans]


def _with_last(bans: list[Ban], last: Ban) -> list[Ban]:
    """The bans of one id in one jail, as many as fail2ban has counted, though it has purged the rows of some."""
    earlier = [ban for ban in bans if ban.start < last.start]
    first = min([last.start, *(ban.start for ban in earlier)])
    purged = max(0, last.count - 1 - len(earlier))
    lost = [Ban(last.id, last.jail, first - 2 * number, 1.0) for number in range(purged, 0, -1)]
    return [*lost, *earlier, last]


def _ban(row: sqlite3.Row, bantime: Callable[[str], float]) -> Ban:
    values: dict[str, Any] = dict(row)
    jail, start = str(values["jail"]), float(values["timeofban"])
    length = float(values.get("bantime", _UNKNOWN))
    if length == _UNKNOWN:
        length = bantime(jail)
    failures, matches = _evidence(values.get("data"))
    return Ban(
        id=str(values["ip"]),
        jail=jail,
        start=start,
        length=PERMANENT if length == -1 else max(0.0, length),
        count=max(1, min(int(values.get("bancount", 1)), 1000)),
        failures=failures,
        reason="taken over from fail2ban",
        matches=matches,
    )


def _evidence(data: object) -> tuple[int, tuple[str, ...]]:
    """Failures and log lines of a ban; none where they cannot be understood."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    try:
        found = json.loads(text) if isinstance(text, str) else {}
        lines = [
            "".join(map(str, each)) if isinstance(each, list) else str(each) for each in found.get("matches") or ()
        ]
        return int(found.get("failures") or 0), tuple(line[:_LONGEST] for line in lines[:_MATCHES])
    except (ValueError, AttributeError, TypeError):
        return 0, ()
