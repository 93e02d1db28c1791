"""The ledger's files as files: the lock, which file is which, moving one aside, what went wrong in words."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from guardhooks.errors import StateError
from guardhooks.system.lock_files import locked

_SIDE_FILES: Final = ("-wal", "-shm")
"""What SQLite keeps beside a database: the changes not yet in it, and an index of them."""


# --- one process at a time -------------------------------------------------------------------------------------------


def lock_path(path: Path) -> Path:
    """The file whose lock says that the ledger is in use: locks on the database itself are SQLite's own."""
    return path.with_name(path.name + ".lock")


def lock_file(path: Path) -> int:
    """Lock the ledger at `path` for this process; the lock ends when the returned descriptor is closed.

    :raises StateError: it is in use, or its folder cannot be written to.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return locked(lock_path(path))
    except BlockingIOError as error:
        msg = f"{path}: in use by another guardhooks; stop that one, or give this one a --state folder of its own"
        raise StateError(msg) from error
    except OSError as error:
        raise state_error(path, "open", error) from error


# --- which file, and another in its place ----------------------------------------------------------------------------


def identity_of(path: Path) -> tuple[int, int]:
    """Device and inode of the file; zeros where there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino


def move_aside(path: Path, label: str) -> Path:
    """Rename the file and what SQLite keeps beside it to `NAME.LABEL-TIME`; returns the new path.

    :raises OSError: the folder cannot be written to.
    """
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(path.stat().st_mtime))
    target, number = path.with_name(f"{path.name}.{label}-{stamp}"), 1
    while target.exists():
        target, number = path.with_name(f"{path.name}.{label}-{stamp}.{number}"), number + 1
    path.rename(target)
    for suffix in _SIDE_FILES:
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    return target


def has_pending_changes(path: Path) -> bool:
    """Whether changes lie beside the file that are not yet in it, without which it is not up to date."""
    with suppress(OSError):
        return path.with_name(path.name + "-wal").stat().st_size > 0
    return False


# --- errors ----------------------------------------------------------------------------------------------------------


def state_error(path: Path, doing: str, error: Exception) -> StateError:
    """The error as its reader needs it: which file, what failed, why, and what to do."""
    cause = f"{error.strerror}" if isinstance(error, OSError) and error.strerror else f"{error}"
    lower = cause.lower()
    if "full" in lower or "no space" in lower:
        remedy = "free some disk space"
    elif "locked" in lower or "busy" in lower:
        remedy = "another program holds it; close that one"
    elif "read-only file system" in lower:
        remedy = "mount it writable"
    elif "disk i/o" in lower:
        remedy = "check the disk"
    else:
        remedy = "make the folder and the file writable for this user, or choose another folder with --state"
    return StateError(f"{path}: cannot {doing} the ledger: {cause}; {remedy}")
