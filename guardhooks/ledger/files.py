"""The ledger's files as files: who holds them, which is which, moving a damaged one aside, what went wrong in words."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from guardhooks.errors import StateError


def lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def hold(path: Path) -> int:
    """Hold the file beside the database that says "in use": locks on the database itself are SQLite's own."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(lock_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise state_error(path, "open", error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        msg = f"{path}: in use by another guardhooks; stop that one, or give this one a --state folder of its own"
        raise StateError(msg) from error
    return lock


def identity_of(path: Path) -> tuple[int, int]:
    """Device and inode of the file; zeros where there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino


def move_aside(path: Path, why: object) -> str:
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(path.stat().st_mtime))
    target, number = path.with_name(f"{path.name}.damaged-{stamp}"), 1
    while target.exists():
        target, number = path.with_name(f"{path.name}.damaged-{stamp}.{number}"), number + 1
    path.rename(target)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    return f"{path} was damaged ({why}); it is kept as {target.name} and a new ledger was begun"


def state_error(path: Path, doing: str, error: Exception) -> StateError:
    cause = f"{error.strerror}" if isinstance(error, OSError) and error.strerror else f"{error}"
    lower = cause.lower()
    if "full" in lower or "no space" in lower:
        remedy = "free some disk space"
    elif "locked" in lower or "busy" in lower:
        remedy = "another program holds it; close that one"
    elif "disk i/o" in lower:
        remedy = "check the disk"
    else:
        remedy = "make the folder and the file writable for this user, or choose another folder with --state"
    return StateError(f"{path}: cannot {doing} the ledger: {cause}; {remedy}")


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
