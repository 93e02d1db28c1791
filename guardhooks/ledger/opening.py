"""Three ways to open the ledger's SQLite file: to write it, to read it on a disk that takes no more, and only to look.

A file that cannot be used, because it is damaged or of another layout, is moved aside, never deleted.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from guardhooks.errors import StateError
from guardhooks.ledger.files import has_pending_changes, move_aside, state_error
from guardhooks.ledger.tables import APPLICATION, LAYOUT, SCHEMA, Tables, decoded_or_raw

_FULL: Final = 65536
"""Bytes free for us below which a disk counts as full: SQLite's index of changes alone takes 32 KiB."""


class Opened(NamedTuple):
    writer: sqlite3.Connection
    reader: sqlite3.Connection
    is_new: bool
    moved: str
    """What to tell if the former file was moved aside."""


class _OtherLayoutError(Exception):
    """Its argument is the layout of the file."""


def open_or_create(path: Path) -> Opened:
    """Open or create the file, moving one aside that cannot be used.

    :raises StateError: it is another program's, or neither works.
    """
    moved = ""
    try:
        try:
            writer, is_new = _connect(path)
        except _OtherLayoutError as error:
            moved = _move_other_layout_aside(path, error.args[0])
            writer, is_new = _connect(path)
        except (sqlite3.DatabaseError, IsADirectoryError) as error:
            # An I/O error may also come from a full disk, whose file is sound.
            if isinstance(error, sqlite3.OperationalError) and error_code(error) != sqlite3.SQLITE_IOERR_SHORT_READ:
                raise
            moved = move_damaged_aside(path, error)
            writer, is_new = _connect(path)
        reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        reader.execute("PRAGMA cache_size = -256")  # KiB
    except (sqlite3.Error, OSError) as error:
        raise state_error(path, "open", error) from error
    return Opened(writer, reader, is_new, moved)


def move_damaged_aside(path: Path, error: Exception) -> str:
    kept = move_aside(path, "damaged")
    return f"{path} was damaged ({error}); it is kept as {kept.name} and a new ledger was started"


def _move_other_layout_aside(path: Path, layout: int) -> str:
    age = "a newer" if layout > LAYOUT else "an older"
    kept = move_aside(path, f"layout-{layout}")
    return (
        f"{path} was written by {age} guardhooks (layout {layout}, this one reads layout {LAYOUT}); "
        f"it is kept as {kept.name} and a new ledger was started"
    )


def _connect(path: Path) -> tuple[sqlite3.Connection, bool]:
    """A connection to a ledger of ours, and whether it is a new one."""
    with suppress(FileNotFoundError, PermissionError):  # the latter is reported when the file is opened
        path.chmod(0o700 if path.is_dir() else 0o600)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        return connection, _prepare(path, connection)
    except BaseException:
        connection.close()
        raise


def _prepare(path: Path, connection: sqlite3.Connection) -> bool:
    """Create the tables in an empty file, check those of another; returns whether it was empty."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables:
        connection.executescript(SCHEMA)
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (layout,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION:
        msg = f"{path}: a database of another program; move it away, or give guardhooks a --state folder of its own"
        raise StateError(msg)
    if layout != LAYOUT:
        raise _OtherLayoutError(layout)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA journal_size_limit = 4194304")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)
    return not tables


def error_code(error: sqlite3.Error) -> int:
    """SQLite's extended result code; 0 where the error is Python's own (the connection is closed)."""
    return getattr(error, "sqlite_errorcode", 0)


# --- on a disk that takes no more ------------------------------------------------------------------------------------


def open_only_reading(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection, str] | None:
    """Two connections that only read, and why, if the disk is full or read-only and the file is a ledger of ours.

    None if the disk takes what is written, or the file lacks changes that lie beside it and cannot be joined with it.
    """
    reason = why_not_writable(path)
    if not reason or has_pending_changes(path):
        return None
    connections = []
    try:
        for _ in range(2):
            location = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
            connection = sqlite3.connect(location, uri=True, isolation_level=None, check_same_thread=False)
            connections.append(connection)
        found = [connections[0].execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
        if found == [APPLICATION, LAYOUT] and connections[0].execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
            return connections[0], connections[1], reason
    except sqlite3.Error:
        pass
    for connection in connections:
        connection.close()
    return None


def why_not_writable(path: Path) -> str:
    """Why nothing can be written at this place, and the remedy; empty if it can."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return ""
    if disk.f_flag & os.ST_RDONLY:
        return "the file system is read-only, so the ledger is only read; mount it writable"
    if disk.f_bavail * disk.f_frsize < _FULL:
        return "the disk is full, so the ledger is only read; free some disk space"
    return ""


# --- only to look into it --------------------------------------------------------------------------------------------


@contextmanager
def reading(path: Path) -> Iterator[Tables | None]:
    """What a file holds that is neither locked nor changed; None where there is no file.

    :raises StateError: it cannot be read, or another release has written it.
    """
    try:
        if not path.exists():
            yield None
            return
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            (layout,) = connection.execute("PRAGMA user_version").fetchone()
            if layout != LAYOUT:
                msg = f"{path}: written by another release of guardhooks; the daemon moves it aside when it starts"
                raise StateError(msg)
            connection.text_factory = decoded_or_raw
            yield Tables(connection)
    except (sqlite3.Error, OSError) as error:
        raise state_error(path, "read", error) from error
