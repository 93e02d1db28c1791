"""The one owner of state: failure windows, bans, their history, source positions, totals.

In memory for the hot path, in SQLite for what must survive. A flush writes everything that changed in one transaction,
so whatever moment the process dies at, windows, bans, positions and totals on disk agree with each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from guardhooks.findings import FailureLines
from guardhooks.ledger.damage import UNREADABLE, Damage
from guardhooks.ledger.opening import reading
from guardhooks.ledger.state import Changes, State
from guardhooks.ledger.store import DamagedError, Store
from guardhooks.ledger.windows import LINES_OF_ALL
from guardhooks.model import Ban, Failure, Jail, Position, Record, Totals
from guardhooks.system.worker_pool import WorkerPool
from guardhooks.workers import MakeWindows

AskForWindows: TypeAlias = Callable[[int], MakeWindows | None]
"""Asks for what makes failure windows, with the bytes that all log lines in them may take together."""


def _none(_budget: int) -> None:
    """No other implementation of the failure windows than ours."""


class Ledger:
    """See the module. All methods except `flush` and `close` belong to the event loop's thread."""

    def __init__(
        self,
        store: Store | None,
        clock: Callable[[], float],
        history_age: float,
        windows: AskForWindows = _none,
    ) -> None:
        self.rebuilt = bool(store and store.rebuilt)
        self._store = store
        self._clock = clock
        self._state = State(history_age, store.details if store else _nothing, windows(LINES_OF_ALL))
        self._bans = self._state.bans
        self._changes = 0
        self._flushed = 0
        self._lock = asyncio.Lock()
        self._writer = WorkerPool("ledger", ready=1, most=1)

    @classmethod
    def open(
        cls,
        path: Path | None,
        *,
        clock: Callable[[], float],
        history_age: float = 86400.0,
        windows: AskForWindows = _none,
    ) -> Ledger:
        """Open the ledger file, or a ledger in memory for `path=None`.

        `history_age` is how many seconds a ban is remembered after its end; a ban that was longer than that is
        remembered as long as it was. It must not be smaller than the longest findtime of a recidive jail. A file that
        is damaged or of another layout is moved aside and a new one started, damaged rows are kept in a file of their
        own: `rebuilt` says that bans may be lost, `notes` what happened.

        :param windows: asked for another implementation of the failure windows than ours; None: ours.
        :raises StateError: the file cannot be used; the message says why and what to do.
        """
        if path is None:
            return cls(None, clock, history_age, windows)
        return cls.load(Store.open(path), clock, history_age, windows)

    @classmethod
    def load(
        cls,
        store: Store,
        clock: Callable[[], float],
        history_age: float = 86400.0,
        windows: AskForWindows = _none,
    ) -> Ledger:
        """A ledger over an open store, which it closes; see `open`.

        :raises StateError: as `open`.
        """
        try:
            ledger = cls(store, clock, history_age, windows)
            try:
                ledger._state.load(store.tables, clock())
            except UNREADABLE:
                ledger = cls._load_sound_rows(store, clock, history_age, windows)
        except BaseException:
            store.close()
            raise
        return ledger

    @classmethod
    def _load_sound_rows(
        cls, store: Store, clock: Callable[[], float], history_age: float, windows: AskForWindows
    ) -> Ledger:
        """What no check of SQLite's had found: rows that make no sense are moved aside, else the whole file is."""
        store.tolerate_damage()
        ledger, damage = cls(store, clock, history_age, windows), Damage()
        try:
            ledger._state.load(store.tables, clock(), damage)
        except UNREADABLE as error:
            store.replace(error)
            return cls(store, clock, history_age, windows)
        store.set_aside(damage)
        ledger.rebuilt = store.rebuilt
        return ledger

    @property
    def notes(self) -> Sequence[str]:
        """What went wrong with the file and was repaired, or needs to be."""
        return tuple(self._store.notes) if self._store else ()

    @classmethod
    def snapshot(cls, path: Path, *, clock: Callable[[], float]) -> Ledger:
        """What the file at `path` holds, in memory, for those who only look; nothing where there is no file.

        The file is neither locked nor changed. Matches, fields and notes of the bans are left out.

        :raises StateError: the file cannot be read.
        """
        ledger = cls(None, clock, 0.0)
        with reading(path) as tables:
            if tables is not None:
                ledger._state.load(tables, clock(), Damage())
        ledger.expire(clock())
        return ledger

    # --- failures ----------------------------------------------------------------------------------------------------

    def count(self, jail: Jail, failure: Failure) -> Record:
        """Count a failure; returns what is known of its id, the failure included.

        Exact for failures that come up to `jail.findtime` later than newer ones. `active` comes without its matches.
        """
        lines = FailureLines.of(failure)
        records = self.record_failures(jail, [failure.id], [failure.time], lines, first_time_offenders=True)
        return next(record for _, record in records)

    def record_failures(
        self,
        jail: Jail,
        ids: Sequence[str],
        times: Sequence[float],
        lines: FailureLines,
        *,
        first_time_offenders: bool = False,
    ) -> Iterator[tuple[int, Record]]:
        """Count failures in order, each as `count` does; gives the places and records of those to be looked at.

        What is decided about one may be put in force before the next is asked for. First-time offenders are counted and
        left out, unless `first_time_offenders`: they have failed fewer than `jail.maxretry` times within findtime, are
        not banned in this jail, and no ban of theirs that is over is remembered in any.
        """
        state, bans, clock = self._state.jail(jail.name), self._bans, self._clock
        windows = state.windows
        place, end = 0, len(ids)
        while place < end:
            self._state.dirty_jails.add(jail.name)
            known = () if first_time_offenders else bans.known(jail.name)
            limit = 0 if first_time_offenders else jail.maxretry
            stop, found = windows.count(jail, ids, times, lines, clock, known, start=place, limit=limit)
            state.failures += stop - place
            self._changes += stop - place
            place = stop
            if found is None:
                return
            id = ids[stop - 1]
            entry = bans.entry(jail.name, id)
            active = entry.ban() if entry is not None and entry.end > clock() else None
            record = Record(id, found, windows.failures(id), windows.matches(id), active, partial(self.history, id))
            yield stop - 1, record

    def failure_times(self, jail: str, id: str) -> tuple[float, ...]:
        """When the latest failures of an id in a jail were, oldest first; some of them may be out of the window."""
        state = self._state.jails.get(jail)
        return state.windows.times(id) if state else ()

    def forget(self, jail: str, id: str) -> None:
        """Drop the window of an id, usually after a ban."""
        if jail in self._state.jails:
            self._state.jails[jail].windows.forget(id)
            self._changes += 1

    def drop_jail(self, jail: str) -> None:
        """Drop all windows of a jail that is gone. Its bans stay until they end; its totals are kept."""
        if jail in self._state.jails:
            self._state.jails[jail].windows.clear()
            self._changes += 1

    # --- bans --------------------------------------------------------------------------------------------------------

    def add(self, ban: Ban, *, shorten: bool = False) -> Ban | None:
        """Put a ban in force; returns it as stored, None if it changes nothing.

        It changes nothing where a ban of this id in this jail lasts at least as long already, or where it has ended
        already. A longer one replaces the present one and keeps its count; else the count is the number of
        remembered bans of this id in this jail, without those that were lifted by hand, plus one.

        :param shorten: replace the present ban even if it lasts longer.
        """
        now = self._clock()
        former = self._bans.entry(ban.jail, ban.id)
        prolonged = former is not None and former.end > now
        stored = self._bans.add(ban, now, shorten=shorten)
        if stored is not None:
            self._state.jail(ban.jail).bans += not prolonged
            self._state.dirty_jails.add(ban.jail)
            self._changes += 1
        return stored

    def add_past(self, ban: Ban) -> None:
        """Take a ban that is over already into the history, as one that another program made."""
        self._bans.add_past(ban)
        self._changes += 1

    def remove(self, jail: str, id: str) -> Ban | None:
        """Lift a ban by hand; returns it, None if there was none. The history keeps it, marked in its notes."""
        ban = self._bans.remove(jail, id, self._clock())
        self._changes += ban is not None
        return ban

    def expire(self, now: float) -> list[Ban]:
        """Take out the bans that are over at `now`, in order of their end; also drops windows that are over."""
        for state in self._state.jails.values():
            state.windows.expire(now)
        over = self._bans.expire(now)
        self._changes += self._state.is_dirty
        return over

    def set_back(self, now: float) -> int:
        """The clock was set back to `now`: bans that would begin later begin now, else they would last as much longer.

        :return: how many these are.
        """
        number = self._bans.set_back(now)
        self._changes += number
        return number

    def next_end(self) -> float | None:
        """When the next ban ends; None if none will."""
        return self._bans.next_end()

    def active(self, jail: str | None = None) -> list[Ban]:
        """The bans in force, of one jail or all, in order of their start."""
        return self._bans.active(jail)

    def desired(self, jail: str) -> list[Ban]:
        """The bans in force of a jail as `active` gives them, but light: for comparing them all with what is in force.

        Matches, fields and notes are read when somebody asks for them, in whatever thread; those of a ban that is over
        by then are empty.
        """
        return self._bans.desired(jail)

    def find(self, id: str, jail: str | None = None) -> list[Ban]:
        """The bans in force of this id; for an address also of prefixes that hold it, for a prefix all inside it."""
        return self._bans.find(id, jail)

    def is_banned(self, address: str, jail: str | None = None) -> bool:
        """Whether this id, or a prefix that holds this address, is banned in `jail` or anywhere."""
        return self._bans.is_banned(address, jail, self._clock)

    def history(self, id: str) -> Sequence[Ban]:
        """All remembered bans of exactly this id in all jails, those in force included, oldest first.

        They come without matches and fields. One that was lifted by hand has the length that it really had and
        `"lifted"` among its notes.
        """
        return self._bans.history(id)

    def remember(self, history_age: float) -> None:
        """From now on remember bans for so many seconds after their end; see `open`."""
        self._state.bans.set_history_age(history_age)

    def sync_bans(self, sync: bool) -> None:
        """Whether a flush that returns has bans on the disk itself, so that they survive a loss of power."""
        if self._store is not None:
            self._store.sync = sync

    # --- positions and totals ----------------------------------------------------------------------------------------

    def positions(self, source: str) -> dict[str, Position]:
        """The saved positions of a source, by origin."""
        return dict(self._state.positions.get(source, {}))

    def advance(self, position: Position) -> None:
        """Remember that everything before `position` has been counted."""
        self._state.advance(position, self._clock())
        self._changes += 1

    def totals(self, jail: str) -> Totals:
        """A jail in numbers; all zero for one that is not known."""
        state = self._state.jails.get(jail)
        banned = self._bans.number_of(jail)
        return Totals(state.failures, len(state.windows), state.bans, banned) if state else Totals(banned=banned)

    # --- disk --------------------------------------------------------------------------------------------------------

    @property
    def backlog(self) -> int:
        """How many changes have not been written yet."""
        return self._changes - self._flushed

    async def flush(self) -> None:
        """Write what has changed up to now; when it returns, it is on disk.

        Calls at the same time share one write.

        :raises StateError: it could not be written (disk full, read-only); the next flush retries.
        """
        due = self._changes
        async with self._lock:
            if self._flushed < due:
                await self._write()

    async def close(self) -> None:
        """Flush and close the file; the ledger cannot be used any more.

        :raises StateError: the last changes could not be written; the file is closed all the same.
        """
        try:
            await self.flush()
        finally:
            self._writer.shutdown()
            if self._store is not None:
                self._store.close()
                self._store = None

    async def _write(self) -> None:
        covered = self._changes
        if self._store is None:
            self._state.take()
        else:
            try:
                await self._write_to(self._store)
            except DamagedError:
                if await asyncio.get_running_loop().run_in_executor(self._writer, self._store.reopen):
                    self._state.mark_all_changed(self._clock())
                await self._write_to(self._store)
        self._flushed = covered

    async def _write_to(self, store: Store) -> None:
        changes = self._state.take()
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, _write, store, changes)
        except BaseException:
            self._state.put_back(changes)
            raise
        self._state.mark_written(changes)


def _write(store: Store, changes: Changes) -> None:
    store.write(changes.batch())


def _nothing(_numbers: Sequence[int]) -> Mapping[int, str]:
    return {}
