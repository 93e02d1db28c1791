"""What the ledger holds in memory, what of it changed since the last flush, and its rows on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from guardhooks.ledger.bans import BanList, Entry
from guardhooks.ledger.segments import unpacked_segment
from guardhooks.ledger.store import Batch, Row, text_of
from guardhooks.ledger.windows import Budget, WindowChanges, Windows
from guardhooks.model import Position

_POSITION_AGE: Final = 90 * 86400.0
"""Positions that were not advanced for so long (dated logs, rotated out) are forgotten when the ledger opens."""

Place: TypeAlias = tuple[str, str]
"""Source and origin."""


class JailState:
    """Windows and lasting totals of one jail."""

    __slots__ = ("bans", "failures", "windows")

    def __init__(self, windows: Windows, failures: int = 0, bans: int = 0) -> None:
        self.windows = windows
        self.failures = failures
        self.bans = bans


@dataclass(slots=True)
class Changes:
    """What changed, by key: values that no longer change, None for what is gone. Safe to hand to another thread."""

    jails: dict[str, Row] = field(default_factory=dict)
    windows: dict[str, WindowChanges] = field(default_factory=dict)
    bans: dict[int, Row | None] = field(default_factory=dict)
    details: dict[int, str | None] = field(default_factory=dict)
    positions: dict[Place, Row | None] = field(default_factory=dict)

    def batch(self) -> Batch:
        """The same as rows, with much work for much that changed."""
        return Batch(
            rows={
                "jails": list(self.jails.values()),
                "bans": [row for row in self.bans.values() if row is not None],
                "details": [item for item in self.details.items() if item[1]],
                "positions": [row for row in self.positions.values() if row is not None],
            },
            gone={
                "windows": [(jail,) for jail, changes in self.windows.items() if changes.whole],
                "bans": [(number,) for number, row in self.bans.items() if row is None],
                "details": [(number,) for number, packed in self.details.items() if not packed],
                "positions": [place for place, row in self.positions.items() if row is None],
            },
            segments=self._segments(),
        )

    def _segments(self) -> Iterator[Row]:
        for jail, changes in self.windows.items():
            yield from ((jail, segment) for segment in changes.segments())


class State:
    """Windows, bans, positions and totals in memory."""

    def __init__(self, history_age: float, read_details: Callable[[Sequence[int]], Mapping[int, str]]) -> None:
        self.jails: dict[str, JailState] = {}
        self.bans = BanList(history_age, read_details)
        self.positions: dict[str, dict[str, Position]] = {}
        self.dirty_jails: set[str] = set()
        self._dirty_positions: dict[Place, Row | None] = {}
        self._budget = Budget()

    def jail(self, name: str) -> JailState:
        """The state of a jail, begun where there is none."""
        state = self.jails.get(name)
        if state is None:
            state = self.jails[name] = JailState(Windows(self._budget))
        return state

    def advance(self, position: Position, now: float) -> None:
        """Put a position in the place of the former one."""
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
        """What changed since the last call; from here on it counts as written."""
        changes = Changes(
            jails={name: self._jail_row(name) for name in self.dirty_jails},
            windows={name: taken for name, state in self.jails.items() if (taken := state.windows.take()) is not None},
            bans=self.bans.dirty,
            details=self.bans.dirty_details,
            positions=self._dirty_positions,
        )
        self.dirty_jails, self.bans.dirty, self.bans.dirty_details, self._dirty_positions = set(), {}, {}, {}
        return changes

    def write_anew(self, now: float) -> None:
        """Nothing of it is on disk any more: the next `take` gives all there is."""
        self.dirty_jails |= self.jails.keys()
        self.bans.write_anew()
        for state in self.jails.values():
            state.windows.write_anew()
        for positions in self.positions.values():
            for position in positions.values():
                place = (position.source, position.origin)
                self._dirty_positions.setdefault(place, (*place, position.cursor, now))

    def on_disk(self, changes: Changes) -> None:
        """It has been written."""
        self.bans.on_disk(changes.details)
        for name, windows in changes.windows.items():
            self.jails[name].windows.on_disk(windows)

    def put_back(self, changes: Changes) -> None:
        """It was not written after all."""
        self.dirty_jails.update(changes.jails)
        self._dirty_positions = changes.positions | self._dirty_positions
        self.bans.dirty = changes.bans | self.bans.dirty
        self.bans.dirty_details = changes.details | self.bans.dirty_details
        for name, windows in changes.windows.items():
            self.jails[name].windows.put_back(windows)

    def load(self, rows: Callable[[str], Iterable[Row]], now: float) -> None:
        """Take over what is on disk; `rows` gives the rows of a table."""
        columns: Any  # typed by the STRICT tables
        for columns in rows("jails"):
            name, findtime, failures, bans = columns
            self.jails[name] = JailState(Windows(self._budget, findtime), failures, bans)
        for columns in rows("windows"):
            name, segment = columns
            self._load_windows(self.jail(text_of(name)).windows, segment)
        for columns in rows("bans"):
            self.bans.restore(Entry.from_row(columns), now)
        for columns in rows("positions"):
            *texts, advanced = columns
            self._load_position(Position(*map(text_of, texts)), advanced, now)

    def _load_windows(self, windows: Windows, segment: bytes) -> None:
        for id_, packed in unpacked_segment(segment):
            windows.restore(id_, packed)
        windows.restored(len(segment))

    def _load_position(self, position: Position, advanced: float, now: float) -> None:
        if advanced < now - _POSITION_AGE:
            self._dirty_positions[position.source, position.origin] = None
        else:
            self.positions.setdefault(position.source, {})[position.origin] = position

    def _jail_row(self, name: str) -> Row:
        state = self.jails[name]
        return name, state.windows.findtime, state.failures, state.bans
