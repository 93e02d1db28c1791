"""Failure windows in the core's memory: the same answers and the same bytes on disk as the ledger's own."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from guardhooks import FailureLines, Jail, MakeWindows, WindowChanges
from guardhooks_native import _core
from guardhooks_native.findings import NativeFindings

_Item = TypeVar("_Item")
_LINE_LIMIT = 2048
_MOST_IDS = 250_000
"""Both as in the ledger's own windows."""


@dataclass(slots=True)
class Segments:
    """What is to be written, once; `size` is known afterwards, in bytes."""

    core: _core.Windows
    made: Sequence[bytes]
    whole: bool
    size: int = 0

    def segments(self) -> Iterator[bytes]:
        self.size = 0
        for segment in chain(self.made, iter(self.core.next_segment, None)):
            self.size += len(segment)
            yield segment


class NativeWindows:
    """See `FailureWindows`."""

    __slots__ = ("_core",)

    def __init__(self, budget: _core.Budget, findtime: float = 600.0, limit: int = _MOST_IDS) -> None:
        self._core = _core.Windows(budget, findtime, limit)

    @property
    def findtime(self) -> float:
        return self._core.findtime

    def __len__(self) -> int:
        return len(self._core)

    def count(  # noqa: PLR0917 -- as in `FailureWindows`
        self,
        jail: Jail,
        ids: Sequence[str],
        times: Sequence[float],
        lines: FailureLines,
        clock: Callable[[], float],
        known: Sequence[Container[str]] = (),
        *,
        start: int = 0,
        limit: int = 0,
    ) -> tuple[int, tuple[float, ...] | None]:
        rules = (jail.findtime, jail.maxretry, jail.maxmatches)
        ids, times = _as_list(ids), _as_list(times)
        return self._core.count(ids, times, _lines(lines), rules, clock, list(known), start, limit)

    def failures(self, id: str) -> int:
        return self._core.get(id)[0]

    def matches(self, id: str) -> tuple[str, ...]:
        text = self._core.get(id)[1]
        return tuple(text.decode("utf-8", "surrogatepass").split("\0")) if text else ()

    def times(self, id: str) -> tuple[float, ...]:
        return tuple(self._core.get(id)[2])

    def forget(self, id: str) -> None:
        self._core.forget(id)

    def clear(self) -> None:
        self._core.clear()

    def expire(self, now: float) -> None:
        self._core.expire(now)

    @property
    def is_dirty(self) -> bool:
        return self._core.is_dirty()

    def take(self) -> WindowChanges | None:
        taken = self._core.take()
        return None if taken is None else Segments(self._core, *taken)

    def mark_all_changed(self) -> None:
        self._core.mark_all_changed()

    def mark_written(self, changes: WindowChanges) -> None:
        assert isinstance(changes, Segments)
        self._core.mark_written(changes.size)

    def put_back(self, changes: WindowChanges) -> None:  # noqa: ARG002 -- the core keeps the ids of the last ones
        self._core.put_back()

    def restore(self, id: str, packed: bytes | None) -> None:
        self._core.restore(id, packed or b"")

    def restored(self, size: int) -> None:
        self._core.restored(size)


def make_windows(budget: int) -> MakeWindows:
    """What makes the windows of jails, whose lines share these bytes."""
    shared = _core.Budget(budget)
    return lambda findtime: NativeWindows(shared, findtime)


def _as_list(column: Sequence[_Item]) -> list[_Item]:
    return column if isinstance(column, list) else list(column)


def _lines(lines: FailureLines) -> object:
    """Where the core gets lines from: its own memory where they are there, else from Python."""
    if not isinstance(lines.findings, NativeFindings):
        return lambda place: [_encoded(line) for line in lines(place)]
    rows = lines.findings.rows
    return rows if len(lines.rows) == len(rows) else (rows, lines.rows)


def _encoded(line: str) -> bytes:
    if len(line) > _LINE_LIMIT:
        line = line[: _LINE_LIMIT - 1] + "…"
    return line.replace("\0", "\ufffd").encode("utf-8", "surrogatepass")
