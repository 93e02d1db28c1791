"""A ledger on a full disk: SQLite cannot open it the usual way, as that makes files, but what it holds can be read."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path


def open_sealed(path: Path, application: int, version: int) -> tuple[sqlite3.Connection, sqlite3.Connection] | None:
    """Two connections that only read, if the disk is full and the file is a whole ledger of ours; else None."""
    if not _disk_is_full(path) or _is_unfinished(path):
        return None
    connections = []
    try:
        for _ in range(2):
            location = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
            connection = sqlite3.connect(location, uri=True, isolation_level=None, check_same_thread=False)
            connections.append(connection)
        asked = [connections[0].execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
        if asked == [application, version] and connections[0].execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
            return connections[0], connections[1]
    except sqlite3.Error:
        pass
    for connection in connections:
        connection.close()
    return None


def _disk_is_full(path: Path) -> bool:
    """Whether no page is left, or none for us."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < 65536


def _is_unfinished(path: Path) -> bool:
    """Whether a log of changes lies beside it, without which the file alone is not the truth."""
    with suppress(OSError):
        return path.with_name(path.name + "-wal").stat().st_size > 0
    return False
