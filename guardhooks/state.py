"""What the ledger holds in memory, what of it changed since the last flush, and its rows on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from guardhooks.banlist import BanList, Entry
from guardhooks.model import PERMANENT, Ban, Position
from guardhooks.store import Batch, Row
from guardhooks.windows import Budget, Window, Windows

_POSITION_AGE: Final = 90 * 86400.0
"""Positions that were not advanced for so long (dated logs, rotated out) are forgotten when the ledger opens."""


class JailState:
    """Windows and lasting totals of one jail."""

    __slots__ = ("bans", "failures", "windows")

    def __init__(self, windows: Windows, failures: int = 0, bans: int = 0) -> None:
        self.windows = windows
        self.failures = failures
        self.bans = bans


@dataclass(slots=True)
class Dirt:
    """The names of what changed: by them the present values are looked up when they are written."""

    jails: set[str] = field(default_factory=set)
    windows: dict[str, set[str]] = field(default_factory=dict)
    bans: dict[int, Entry | None] = field(default_factory=dict)
    positions: set[tuple[str, str]] = field(default_factory=set)


class State:
    """Windows, bans, positions and totals in memory."""

    def __init__(self, history_age: float) -> None:
        self.jails: dict[str, JailState] = {}
        self.bans = BanList(history_age)
        self.positions: dict[str, dict[str, tuple[Position, float]]] = {}
        self.dirty_jails: set[str] = set()
        self.dirty_positions: set[tuple[str, str]] = set()
        self._budget = Budget()

    def jail(self, name: str) -> JailState:
        """The state of a jail, begun where there is none."""
        state = self.jails.get(name)
        if state is None:
            state = self.jails[name] = JailState(Windows(self._budget))
        return state

    def take(self) -> tuple[Dirt, Batch]:
        """What changed since the last call, as names and as rows; from here on it counts as written."""
        windows = {name: state.windows.dirty for name, state in self.jails.items() if state.windows.dirty}
        dirt = Dirt(self.dirty_jails, windows, self.bans.dirty, self.dirty_positions)
        batch = self._batch(dirt)
        self.dirty_jails, self.bans.dirty, self.dirty_positions = set(), {}, set()
        for name in windows:
            self.jails[name].windows.dirty = set()
        return dirt, batch

    def put_back(self, dirt: Dirt) -> None:
        """It was not written after all."""
        self.dirty_jails |= dirt.jails
        self.dirty_positions |= dirt.positions
        self.bans.dirty = {**dirt.bans, **self.bans.dirty}
        for name, ids in dirt.windows.items():
            self.jails[name].windows.dirty |= ids

    def load(self, rows: Callable[[str], Iterable[Row]], now: float) -> None:
        """Take over what is on disk; `rows` gives the rows of a table."""
        columns: Any  # typed by the STRICT tables
        for columns in rows("jails"):
            name, findtime, failures, bans = columns
            self.jails[name] = JailState(Windows(self._budget, findtime), failures, bans)
        for columns in rows("windows"):
            name, id_, failures, times, lines = columns
            if times and len(times) % 8 == 0:
                self.jail(name).windows.restore(id_, Window(failures, times, lines))
        for columns in rows("bans"):
            self._load_ban(columns, now)
        for source, origin, cursor, advanced in rows("positions"):
            self._load_position(Position(str(source), str(origin), str(cursor)), advanced, now)

    def _load_ban(self, columns: Any, now: float) -> None:  # noqa: ANN401 -- a row
        number, jail, id_, start, length, count, failures, reason, details, kind = columns
        ban = Ban(id_, jail, start, PERMANENT if length is None else length, count, failures, reason)
        self.bans.restore(Entry(number, ban, details, lifted=kind == "lifted"), over=kind != "active", now=now)

    def _load_position(self, position: Position, advanced: Any, now: float) -> None:  # noqa: ANN401 -- a row's value
        if advanced < now - _POSITION_AGE:
            self.dirty_positions.add((position.source, position.origin))
        else:
            self.positions.setdefault(position.source, {})[position.origin] = (position, advanced)

    def _batch(self, dirt: Dirt) -> Batch:
        windows, windows_gone = self._window_rows(dirt.windows)
        moved = [(key, self.positions.get(key[0], {}).get(key[1])) for key in dirt.positions]
        return Batch(
            jails=[self._jail_row(name) for name in dirt.jails],
            windows=windows,
            windows_gone=windows_gone,
            bans=[_ban_row(entry) for entry in dirt.bans.values() if entry is not None],
            bans_gone=[(number,) for number, entry in dirt.bans.items() if entry is None],
            positions=[(*key, held[0].cursor, held[1]) for key, held in moved if held is not None],
            positions_gone=[key for key, held in moved if held is None],
        )

    def _jail_row(self, name: str) -> Row:
        state = self.jails[name]
        return name, state.windows.findtime, state.failures, state.bans

    def _window_rows(self, dirty: dict[str, set[str]]) -> tuple[list[Row], list[Row]]:
        rows: list[Row] = []
        gone: list[Row] = []
        for name, ids in dirty.items():
            windows = self.jails[name].windows
            for id_ in ids:
                window = windows.get(id_)
                if window is None:
                    gone.append((name, id_))
                else:
                    rows.append((name, id_, window.failures, window.times, window.lines))
        return rows, gone


def _ban_row(entry: Entry) -> Row:
    length = None if entry.length == PERMANENT else entry.length
    kind = "lifted" if entry.lifted else "over" if entry.over else "active"
    return (
        entry.number, entry.jail, entry.id, entry.start, length, entry.count, entry.failures, entry.reason,
        entry.details, kind,
    )  # fmt: skip
