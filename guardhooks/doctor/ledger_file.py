"""The ledger's file, looked at from outside: is it whole, is there room for more."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from guardhooks.doctor.diagnosis import bad, good, note
from guardhooks.model import Finding
from guardhooks.text import safe_text

_ROOM: Final = 32 << 20
"""Bytes that should be free on its file system; a ledger of 100,000 bans takes about as much."""


def look_at(file: Path | None) -> Iterator[Finding]:
    """What can be said of the file. Reads all of it: for a worker thread."""
    if file is None:
        yield note("the ledger is kept in memory only: a restart forgets windows and bans")
        return
    name = safe_text(str(file))
    try:
        size = file.stat().st_size
    except FileNotFoundError:
        yield note(f"there is no ledger at {name} yet: nothing was ever counted or banned with this state folder")
        return
    except OSError as error:
        yield bad(f"{name} cannot be read: {error.strerror}", "look as root or as the daemon's user")
        return
    if problem := _damage(file):
        yield bad(
            f"{name} is damaged: {safe_text(problem)}",
            "restart the daemon: it moves the file aside and starts a new one",
        )
    else:
        yield good(f"{name} is whole, {size / 1e6:.1f} MB")
    yield from _room(file.parent)


def _damage(file: Path) -> str:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return "" if verdict == "ok" else str(verdict)


def _room(folder: Path) -> Iterator[Finding]:
    found = os.statvfs(folder)
    free, name = found.f_bavail * found.f_frsize, safe_text(str(folder))
    if found.f_flag & os.ST_RDONLY:
        yield bad(f"{name} is on a file system that is mounted read-only", "mount it writable: bans are in memory only")
    elif free < _ROOM:
        yield bad(f"only {free / 1e6:.1f} MB are free at {name}", "free some disk space: the ledger soon cannot grow")
