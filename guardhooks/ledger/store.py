"""The ledger's SQLite file: opening, mending, loading, and writing one batch of changes in one transaction."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from guardhooks.errors import StateError
from guardhooks.ledger.files import hold, identity_of, lock_path, move_aside, open_sealed, state_error
from guardhooks.ledger.migration import WINDOWS, merge_windows

Row: TypeAlias = tuple[object, ...]
_APPLICATION: Final = 0x67484B73
_VERSION: Final = 3
_SCHEMA: Final = f"""
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE jails (
    name TEXT PRIMARY KEY, findtime REAL NOT NULL, failures INTEGER NOT NULL, bans INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
{WINDOWS}
CREATE TABLE bans (
    number INTEGER PRIMARY KEY, jail TEXT NOT NULL, id ANY NOT NULL, start REAL NOT NULL,
    length REAL, -- NULL: permanent
    count INTEGER NOT NULL, failures INTEGER NOT NULL, reason ANY NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'over', 'lifted'))
) STRICT;
CREATE TABLE details ( -- of the bans in force
    number INTEGER PRIMARY KEY,
    packed TEXT NOT NULL -- JSON: matches, fields, notes
) STRICT;
CREATE TABLE positions (
    source ANY, origin ANY, cursor ANY NOT NULL, advanced REAL NOT NULL, PRIMARY KEY (source, origin)
) STRICT, WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_WRITE: Final = {
    "jails": "INSERT OR REPLACE INTO jails VALUES (?, ?, ?, ?)",
    "bans": "INSERT OR REPLACE INTO bans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "details": "INSERT OR REPLACE INTO details VALUES (?, ?)",
    "positions": "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?)",
}
_APPEND: Final = "INSERT INTO windows (jail, segment) VALUES (?, ?)"
_DELETE: Final = {
    "windows": "DELETE FROM windows WHERE jail = ?",
    "bans": "DELETE FROM bans WHERE number = ?",
    "details": "DELETE FROM details WHERE number = ?",
    "positions": "DELETE FROM positions WHERE source = ? AND origin = ?",
}
_READ: Final = {
    "jails": "SELECT name, findtime, failures, bans FROM jails",
    "windows": "SELECT jail, segment FROM windows ORDER BY number",
    "bans": "SELECT number, jail, id, start, length, count, failures, reason, state FROM bans ORDER BY number",
    "positions": "SELECT source, origin, cursor, advanced FROM positions",
}
_READ_DETAILS: Final = "SELECT number, packed FROM details WHERE number IN (SELECT value FROM json_each(?))"


_DAMAGE: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
)
"""What SQLite says of a file that was damaged or taken away; an I/O error is also what a truncated file gives."""
_WHAT_IS_LOST: Final = "only what the firewall still holds stays banned"


class DamagedError(StateError):
    """The file is damaged, gone or another one: opening it again mends that."""


@dataclass(frozen=True, slots=True)
class Batch:
    """By table, the rows to write and the keys of those to delete; then segments of windows to append, with their jail.

    Segments are made one by one, when it is their turn.
    """

    rows: Mapping[str, Sequence[Row]]
    gone: Mapping[str, Sequence[Row]]
    segments: Iterable[Row] = ()


@dataclass(slots=True)
class Store:
    """An open ledger file. One process at a time holds it; others may read it. `rebuilt` if it had to be begun anew.
    `identity` tells the file from another one of its name: device and inode. `sealed` says why it can only be read.

    `write` may be called in another thread than the rest: what is read while it runs is what was before.
    """

    path: Path
    connection: sqlite3.Connection
    reader: sqlite3.Connection
    lock: int
    identity: tuple[int, int]
    notes: list[str] = field(default_factory=list)
    reading: threading.Lock = field(default_factory=threading.Lock)
    rebuilt: bool = False
    sealed: str = ""
    size: int = 0
    """Bytes of the file after the last write; checkpoints only add to it."""

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open or create the file (mode 0600), moving a damaged one aside.

        On a full disk a ledger that is there is read, and written when there is room again.

        :raises StateError: it cannot be used: in use, not ours, newer than this program, no permission.
        """
        lock = hold(path)
        try:
            connection, reader, _, damage = _open_or_begin_anew(path)
        except StateError:
            found = open_sealed(path, _APPLICATION, _VERSION)
            if found is None:
                os.close(lock)
                raise
            sealed = f"{path}: the disk is full, so the ledger is only read; free some disk space"
            return cls(path, *found, lock, identity_of(path), [sealed], sealed=sealed)
        notes = [f"{damage}; {_WHAT_IS_LOST}"] if damage else []
        return cls(path, connection, reader, lock, identity_of(path), notes, rebuilt=bool(damage))

    def reopen(self) -> bool:
        """Open the file again when a write found it damaged, gone or another one; an empty one takes its place then.

        :return: whether it is empty, so that everything must be written.
        :raises StateError: as `open`.
        """
        is_ours = identity_of(self.path) == self.identity
        self._close_files()
        try:
            note = f"{self.path} had vanished or was cut and a new one was begun"
            if not is_ours and self.path.exists():
                note = move_aside(self.path, "something else had been put in its place")
            self._lock_again()
        except OSError as error:
            raise state_error(self.path, "open", error) from error
        self.connection, self.reader, is_new, damage = _open_or_begin_anew(self.path)
        self.identity, self.size = identity_of(self.path), 0
        if self.sealed:
            self.notes.remove(self.sealed)
            self.sealed = ""
        if is_new:
            self.notes.append(f"{damage or note}; everything was written anew from memory")
        return is_new

    def _lock_again(self) -> None:
        """Where the lock has vanished with its folder, another daemon could take the new one."""
        here = os.fstat(self.lock)
        if identity_of(lock_path(self.path)) != (here.st_dev, here.st_ino):
            former, self.lock = self.lock, hold(self.path)
            os.close(former)

    def begin_anew(self, error: Exception) -> None:
        """Move a file aside whose content makes no sense, and begin an empty one.

        :raises StateError: as `open`.
        """
        self._close_files()
        note = move_aside(self.path, f"{error}")
        self.connection, self.reader, _, _ = _open_or_begin_anew(self.path)
        self.identity, self.rebuilt = identity_of(self.path), True
        self.notes.append(f"{note}; {_WHAT_IS_LOST}")

    def rows(self, table: str) -> Iterator[Row]:
        """All rows of a table, in the order in which `write` takes them."""
        try:
            yield from self.reader.execute(_READ[table])
        except sqlite3.Error as error:
            raise state_error(self.path, "read", error) from error

    def details(self, numbers: Sequence[int]) -> dict[int, str]:
        """The details of these bans; those that cannot be read are left out, for a ban counts without them.

        May be called in any thread.
        """
        with self.reading, suppress(sqlite3.Error):
            return dict(self.reader.execute(_READ_DETAILS, (json.dumps(numbers),)))
        return {}

    def write(self, batch: Batch) -> None:
        """Write all of it or nothing.

        :raises DamagedError: nothing was written; `reopen` the file. :raises StateError: nothing was written.
        """
        if self.sealed:
            raise DamagedError(self.sealed)
        try:
            if identity_of(self.path) != self.identity or self.path.stat().st_size < self.size:
                raise DamagedError(f"{self.path}: cannot write the ledger: it was taken away or cut; it is begun anew")
            with self._transaction():
                for table, rows in batch.rows.items():
                    self._execute(_WRITE[table], rows)
                for table, keys in batch.gone.items():
                    self._execute(_DELETE[table], keys)
                self.connection.executemany(_APPEND, map(_bindable, batch.segments))
            self._give_back()
            self.size = self.path.stat().st_size
        except OSError as error:
            raise state_error(self.path, "write", error) from error
        except sqlite3.Error as error:
            kind = DamagedError if _may_be_damage(error) else StateError
            raise kind(str(state_error(self.path, "write", error))) from error

    def _execute(self, statement: str, rows: Sequence[Row]) -> None:
        try:
            self.connection.executemany(statement, rows)
        except UnicodeEncodeError:  # some are written already, to be replaced
            self.connection.executemany(statement, map(_bindable, rows))

    def close(self) -> None:
        """Close the file and let others have it."""
        try:
            self._close_files()
        finally:
            os.close(self.lock)

    def _close_files(self) -> None:
        with suppress(sqlite3.Error):  # damaged, or the disk is full
            with self.reading:
                self.reader.close()
            self.connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                with suppress(sqlite3.Error):
                    self.connection.execute("ROLLBACK")
            raise

    def _give_back(self) -> None:
        """Shrink the file, a little at a time, when many of its pages are free."""
        (free,) = self.connection.execute("PRAGMA freelist_count").fetchone()
        if free > 1000:
            # One step frees one page, and `execute` would take only the first.
            self.connection.executescript("PRAGMA incremental_vacuum(1000)")


@contextmanager
def read_only(path: Path) -> Iterator[Callable[[str], Iterator[Row]]]:
    """Gives the rows of a table, of a file that is neither taken nor changed; nothing where there is no file.

    :raises StateError: when it cannot be read, or another release has written it.
    """
    try:
        if not path.exists():
            yield lambda _table: iter(())
            return
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != _VERSION:
                raise StateError(f"{path}: written by another release; start the daemon, which knows what to do")
            yield lambda table: connection.execute(_READ[table])
    except (sqlite3.Error, OSError) as error:
        raise state_error(path, "read", error) from error


def _open_or_begin_anew(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection, bool, str]:
    """The connections for writing and reading, whether the file is new, and what is to be said if a damaged one was
    moved aside.

    :raises StateError: when neither works.
    """
    damage = ""
    try:
        try:
            connection, is_new = _connect(path)
        except (sqlite3.DatabaseError, IsADirectoryError) as error:
            # An I/O error may also come of a full disk, whose file is sound.
            if isinstance(error, sqlite3.OperationalError) and _code(error) != sqlite3.SQLITE_IOERR_SHORT_READ:
                raise
            damage = move_aside(path, error)
            connection, is_new = _connect(path)
        reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        reader.execute("PRAGMA cache_size = -256")  # KiB
    except (sqlite3.Error, OSError) as error:
        raise state_error(path, "open", error) from error
    return connection, reader, is_new, damage


def _code(error: sqlite3.Error) -> int:
    """SQLite's extended result code; 0 where the error is Python's own (the connection is closed)."""
    return getattr(error, "sqlite_errorcode", 0)


def _may_be_damage(error: sqlite3.Error) -> bool:
    return isinstance(error, sqlite3.ProgrammingError) or _code(error) & 0xFF in _DAMAGE


def _connect(path: Path) -> tuple[sqlite3.Connection, bool]:
    with suppress(FileNotFoundError, PermissionError):  # the latter is told when it is opened
        path.chmod(0o700 if path.is_dir() else 0o600)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        return connection, _prepare(path, connection)
    except BaseException:
        connection.close()
        raise


def _prepare(path: Path, connection: sqlite3.Connection) -> bool:
    """Make sure that it is a ledger of ours; whether it is a new one."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables:
        connection.executescript(_SCHEMA)
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION:
        msg = f"{path}: a database of another program; move it away, or give guardhooks a --state folder of its own"
        raise StateError(msg)
    if version == _VERSION - 1:
        merge_windows(connection, _VERSION)
    elif version != _VERSION:
        age, remedy = ("newer", "upgrade, or move it") if version > _VERSION else ("much older", "move it away")
        msg = f"{path}: written by a {age} guardhooks (layout {version}, this one knows {_VERSION}); {remedy}"
        raise StateError(msg)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA journal_size_limit = 4194304")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)
    return not tables


def text_of(value: str | bytes) -> str:
    """Text as `write` got it."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")


def _bindable(row: Row) -> Row:
    """File names and log texts may hold lone surrogates, which SQLite's TEXT cannot: those go in as BLOB."""
    return tuple(_encoded(value) if isinstance(value, str) else value for value in row)


def _encoded(text: str) -> str | bytes:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text
