"""The ledger's SQLite file while it is in use: writing a batch in one transaction, and recovering when it is harmed."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from guardhooks.errors import StateError
from guardhooks.ledger.damage import Damage
from guardhooks.ledger.files import identity_of, lock_file, lock_path, move_aside, state_error
from guardhooks.ledger.opening import error_code, move_damaged_aside, open_only_reading, open_or_create
from guardhooks.ledger.tables import Batch, Tables, decoded_or_raw, delete_row

_DAMAGE: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
)
"""What SQLite says of a file that was damaged or removed; a truncated file, too, gives an I/O error."""
_CONSEQUENCE: Final = "only what the firewall still holds stays banned"


class DamagedError(StateError):
    """The file is damaged, gone or another one, or could only be read: `reopen` it and write again."""


@dataclass(slots=True)
class Store:
    """An open ledger file. One process at a time may write it; others may read it.

    `write` may be called in another thread than the rest: what is read while it runs is what was before.
    """

    path: Path
    connection: sqlite3.Connection
    """Writes."""
    reader: sqlite3.Connection
    lock: int
    """Descriptor of the lock file."""
    identity: tuple[int, int]
    """Device and inode: they tell the file from another one of its name."""
    notes: list[str] = field(default_factory=list)
    """What went wrong with the file and was repaired, or needs to be."""
    rebuilt: bool = False
    """Whether what was in the file is lost."""
    read_only: str = ""
    """Why it can only be read; empty where it can be written."""
    sync: bool = True
    """Whether bans are synced to the disk when they are written, not only when SQLite next moves its log."""
    size: int = 0
    """Bytes of the file after the last write; checkpoints only add to it."""
    reading: threading.Lock = field(default_factory=threading.Lock)
    """Held while details are read, which any thread may do."""

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open or create the file (mode 0600); one that is damaged or of another layout is moved aside.

        One that is missing or empty beside the lock of an earlier run was lost as well.
        On a disk that is full or read-only an existing ledger is only read, until it can be written again.

        :raises StateError: it cannot be used: in use, another program's, no permission.
        """
        was_used = lock_path(path).exists()
        lock = lock_file(path)
        try:
            opened = open_or_create(path)
        except StateError:
            found = open_only_reading(path)
            if found is None:
                os.close(lock)
                raise
            writer, reader, why = found
            reason = f"{path}: {why}"
            return cls(path, writer, reader, lock, identity_of(path), [reason], read_only=reason)
        except BaseException:
            os.close(lock)
            raise
        lost = opened.moved
        if opened.is_new and was_used and not lost:
            lost = f"{path} was gone or empty though its folder was in use before, and a new ledger was started"
        notes = [f"{lost}; {_CONSEQUENCE}"] if lost else []
        return cls(path, opened.writer, opened.reader, lock, identity_of(path), notes, rebuilt=bool(lost))

    def reopen(self) -> bool:
        """Open the file again after a write found it damaged, gone or another one; where it is gone, create it.

        :return: whether it is empty, so that everything must be written.
        :raises StateError: as `open`.
        """
        note = f"{self.path} had been removed or truncated and a new ledger was started"
        is_ours = identity_of(self.path) == self.identity
        self._close_files()
        try:
            if not is_ours and self.path.exists():
                kept = move_aside(self.path, "damaged")
                note = f"{self.path} had been replaced; the other file is kept as {kept.name}"
            self._lock_again()
        except OSError as error:
            raise state_error(self.path, "open", error) from error
        opened = open_or_create(self.path)
        self.connection, self.reader, self.identity, self.size = opened.writer, opened.reader, identity_of(self.path), 0
        if self.read_only:
            self.notes.remove(self.read_only)
            self.read_only = ""
        if opened.is_new:
            self.notes.append(f"{opened.moved or note}; everything was written again from memory")
        return opened.is_new

    def _lock_again(self) -> None:
        """Where the lock file was removed with its folder, another daemon could lock the new one."""
        here = os.fstat(self.lock)
        if identity_of(lock_path(self.path)) != (here.st_dev, here.st_ino):
            former, self.lock = self.lock, lock_file(self.path)
            os.close(former)

    def replace(self, error: Exception) -> None:
        """Move a file aside whose content makes no sense, and start an empty one.

        :raises StateError: as `open`.
        """
        self._close_files()
        try:
            note = move_damaged_aside(self.path, error)
        except OSError as cause:
            raise state_error(self.path, "open", cause) from cause
        opened = open_or_create(self.path)
        self.connection, self.reader = opened.writer, opened.reader
        self.identity, self.rebuilt = identity_of(self.path), True
        self.notes.append(f"{note}; {_CONSEQUENCE}")

    def tolerate_damage(self) -> None:
        """From now on read damaged text as bytes."""
        self.reader.text_factory = decoded_or_raw

    def set_aside(self, damage: Damage) -> None:
        """Keep damaged rows in a file of their own, and delete them here."""
        kept = self.path.with_name(f"{self.path.name}.damaged-rows")
        fate = f"kept in {kept.name}"
        try:
            damage.keep(kept)
            if not self.read_only:
                with self._transaction():
                    for row in damage.rows:
                        delete_row(self.connection, row.table, row.key)
        except (OSError, sqlite3.Error) as error:
            fate = f"left out; they cannot be kept in {kept.name}: {error}"
        self.rebuilt = self.rebuilt or damage.loses_bans
        self.notes.append(f"{self.path}: {damage} and {'is' if len(damage.rows) == 1 else 'are'} {fate}")

    @property
    def tables(self) -> Tables:
        """What the file holds."""
        return Tables(self.reader)

    def details(self, numbers: Sequence[int]) -> dict[int, str]:
        """The details of these bans; those that cannot be read are left out, for a ban counts without them.

        May be called in any thread.
        """
        with self.reading, suppress(sqlite3.Error):
            try:
                return dict(self.tables.details(numbers))
            except sqlite3.OperationalError:  # damaged text of one of them
                self.tolerate_damage()
                return {number: packed for number, packed in self.tables.details(numbers) if isinstance(packed, str)}
        return {}

    def write(self, batch: Batch) -> None:
        """Write all of it or nothing.

        :raises DamagedError: nothing was written; `reopen` the file.
        :raises StateError: nothing was written.
        """
        if self.read_only:
            raise DamagedError(self.read_only)
        try:
            if identity_of(self.path) != self.identity or self.path.stat().st_size < self.size:
                msg = f"{self.path}: cannot write the ledger: the file was removed, replaced or truncated; reopening it"
                raise DamagedError(msg)
            # Bans are said to be in force when this returns, so they must survive a loss of power by then; the WAL with
            # all that was written before is synced with them. What else is lost is counted again.
            self.connection.execute(f"PRAGMA synchronous = {'FULL' if self.sync and batch.has_bans else 'NORMAL'}")
            with self._transaction():
                batch.write(self.connection)
            self._shrink()
            self.size = self.path.stat().st_size
        except OSError as error:
            raise state_error(self.path, "write", error) from error
        except sqlite3.Error as error:
            kind = DamagedError if _may_be_damage(error) else StateError
            raise kind(str(state_error(self.path, "write", error))) from error

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

    def _shrink(self) -> None:
        """Give pages back to the file system, some at a time, when many are free."""
        (free,) = self.connection.execute("PRAGMA freelist_count").fetchone()
        if free > 1000:
            # One step frees one page, and `execute` would take only the first.
            self.connection.executescript("PRAGMA incremental_vacuum(1000)")

    def close(self) -> None:
        """Close the file and release its lock."""
        try:
            self._close_files()
        finally:
            os.close(self.lock)

    def _close_files(self) -> None:
        with suppress(sqlite3.Error):  # damaged, or the disk is full
            with self.reading:
                self.reader.close()
            self.connection.close()


def _may_be_damage(error: sqlite3.Error) -> bool:
    return isinstance(error, sqlite3.ProgrammingError) or error_code(error) & 0xFF in _DAMAGE
