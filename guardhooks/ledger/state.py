"""What the ledger holds in memory, what of it changed since the last flush, and its rows on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

from guardhooks.ledger.bans import BanList, Entry
from guardhooks.ledger.damage import UNREADABLE, Damage, checked_ban
from guardhooks.ledger.segments import unpacked_segment
from guardhooks.ledger.tables import BanRow, Batch, JailRow, PositionRow, SegmentRow, Tables, text_of
from guardhooks.ledger.windows import Budget, Windows
from guardhooks.model import Position
from guardhooks.workers import FailureWindows, MakeWindows, WindowChanges

_POSITION_AGE: Final = 90 * 86400.0
"""Seconds after which a position that was not advanced (a dated log, rotated out) is dropped when the ledger opens."""

_FINDTIME: Final = 600.0
"""Seconds, until the first failure of a jail is counted."""

Place: TypeAlias = tuple[str, str]
"""Source and origin."""


class JailState:
    """Windows and lasting totals of one jail."""

    __slots__ = ("bans", "failures", "windows")

    def __init__(self, windows: FailureWindows, failures: int = 0, bans: int = 0) -> None:
        self.windows = windows
        self.failures = failures
        self.bans = bans


@dataclass(slots=True)
class Changes:
    """What changed, by key: values that no longer change, None for what is gone. Safe to hand to another thread."""

    jails: dict[str, JailRow] = field(default_factory=dict)
    windows: dict[str, WindowChanges] = field(default_factory=dict)
    bans: dict[int, BanRow | None] = field(default_factory=dict)
    details: dict[int, str | None] = field(default_factory=dict)
    positions: dict[Place, PositionRow | None] = field(default_factory=dict)

    def batch(self) -> Batch:
        """The same as rows. Takes milliseconds for thousands of changes: for the writer's thread."""
        return Batch(
            jails=list(self.jails.values()),
            bans=[row for row in self.bans.values() if row is not None],
            details=[(number, packed) for number, packed in self.details.items() if packed],
            positions=[row for row in self.positions.values() if row is not None],
            segments=self._segments(),
            emptied=[(jail,) for jail, changes in self.windows.items() if changes.whole],
            deleted_bans=[(number,) for number, row in self.bans.items() if row is None],
            deleted_details=[(number,) for number, packed in self.details.items() if not packed],
            deleted_positions=[place for place, row in self.positions.items() if row is None],
        )

    def _segments(self) -> Iterator[SegmentRow]:
        for jail, changes in self.windows.items():
            yield from ((jail, segment) for segment in changes.segments())


class State:
    """Windows, bans, positions and totals in memory."""

    def __init__(
        self,
        history_age: float,
        read_details: Callable[[Sequence[int]], Mapping[int, str]],
        make_windows: MakeWindows | None = None,
    ) -> None:
        """`make_windows`: None makes them in Python."""
        self.jails: dict[str, JailState] = {}
        self.bans = BanList(history_age, read_details)
        self.positions: dict[str, dict[str, Position]] = {}
        self.dirty_jails: set[str] = set()
        self._dirty_positions: dict[Place, PositionRow | None] = {}
        self._make_windows = make_windows or partial(Windows, Budget())

    def jail(self, name: str) -> JailState:
        """The state of a jail, created where there is none."""
        state = self.jails.get(name)
        if state is None:
            state = self.jails[name] = JailState(self._make_windows(_FINDTIME))
        return state

    def advance(self, position: Position, now: float) -> None:
        """Replace the former position of its source and origin."""
        self.positions.setdefault(position.source, {})[position.origin] = position
        place = (position.source, position.origin)
        self._dirty_positions[place] = (*place, position.cursor, now)

    @property
    def is_dirty(self) -> bool:
        """Whether anything changed since the last `take`."""
        bans = self.bans
        return bool(self.dirty_jails or bans.dirty or bans.dirty_details or self._dirty_positions) or any(
            state.windows.is_dirty for state in self.jails.values()
        )

    def take(self) -> Changes:
        """What changed since the last call; from now on it counts as written."""
        changes = Changes(
            jails={name: self._jail_row(name) for name in self.dirty_jails},
            windows={name: taken for name, state in self.jails.items() if (taken := state.windows.take()) is not None},
            bans=self.bans.dirty,
            details=self.bans.dirty_details,
            positions=self._dirty_positions,
        )
        self.dirty_jails, self.bans.dirty, self.bans.dirty_details, self._dirty_positions = set(), {}, {}, {}
        return changes

    def mark_all_changed(self, now: float) -> None:
        """Nothing of it is on disk any more: the next `take` returns all there is."""
        self.dirty_jails |= self.jails.keys()
        self.bans.mark_all_changed()
        for state in self.jails.values():
            state.windows.mark_all_changed()
        for positions in self.positions.values():
            for position in positions.values():
                place = (position.source, position.origin)
                self._dirty_positions.setdefault(place, (*place, position.cursor, now))

    def mark_written(self, changes: Changes) -> None:
        """It has been written."""
        self.bans.mark_written(changes.details)
        for name, windows in changes.windows.items():
            self.jails[name].windows.mark_written(windows)

    def put_back(self, changes: Changes) -> None:
        """It was not written after all."""
        self.dirty_jails.update(changes.jails)
        self._dirty_positions = changes.positions | self._dirty_positions
        self.bans.dirty = changes.bans | self.bans.dirty
        self.bans.dirty_details = changes.details | self.bans.dirty_details
        for name, windows in changes.windows.items():
            self.jails[name].windows.put_back(windows)

    def load(self, tables: Tables, now: float, damage: Damage | None = None) -> None:
        """Load what is on disk.

        :param damage: takes the rows that make no sense, which are left out.
        :raises sqlite3.Error: it cannot be read.
        :raises ValueError: or another one of `UNREADABLE`: a row makes no sense, and there is no `damage` to take it.
        """
        for jail_row in tables.jails():
            try:
                name, findtime, failures, bans = jail_row
                self.jails[name] = JailState(self._make_windows(float(findtime)), failures + 0, bans + 0)
            except UNREADABLE as error:
                _leave_out(damage, "jails", jail_row[:1], jail_row, error)
        for number, jail, segment in tables.segments():
            try:
                self._load_windows(self.jail(text_of(jail)).windows, segment)
            except UNREADABLE as error:
                _leave_out(damage, "windows", (number,), (jail, segment), error)
        for ban_row in tables.bans():
            try:
                self.bans.restore(Entry.from_row(checked_ban(ban_row)), now)
            except UNREADABLE as error:
                _leave_out(damage, "bans", ban_row[:1], ban_row, error)
        for position_row in tables.positions():
            try:
                source, origin, cursor, advanced = position_row
                self._load_position(Position(text_of(source), text_of(origin), text_of(cursor)), advanced, now)
            except UNREADABLE as error:
                _leave_out(damage, "positions", position_row[:2], position_row, error)

    def _load_windows(self, windows: FailureWindows, segment: bytes) -> None:
        for id_, packed in unpacked_segment(segment):
            windows.restore(id_, packed)
        windows.restored(len(segment))

    def _load_position(self, position: Position, advanced: float, now: float) -> None:
        if advanced < now - _POSITION_AGE:
            self._dirty_positions[position.source, position.origin] = None
        else:
            self.positions.setdefault(position.source, {})[position.origin] = position

    def _jail_row(self, name: str) -> JailRow:
        state = self.jails[name]
        return name, state.windows.findtime, state.failures, state.bans


def _leave_out(
    damage: Damage | None, table: str, key: tuple[object, ...], values: tuple[object, ...], error: Exception
) -> None:
    if damage is None:
        raise error
    damage.add(table, key, values, error)
