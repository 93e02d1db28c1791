"""Failures as columns in the core's memory, made into objects only where somebody looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import overload

from guardhooks import Failure, Findings, new_failure
from guardhooks_native import _core


class NativeFindings(Findings):
    """What was found in one block, in order."""

    def __init__(self, rows: _core.Rows, names: Sequence[str]) -> None:
        """`names` are those of the jails, by their numbers."""
        self.rows = rows
        self._names = names

    @cached_property
    def _columns(self) -> tuple[list[str], list[str], list[str], list[float]]:
        return self.rows.columns(self._names)

    @property
    def jails(self) -> Sequence[str]:
        return self._columns[0]

    @property
    def ids(self) -> Sequence[str]:
        return self._columns[1]

    @property
    def addresses(self) -> Sequence[str]:
        return self._columns[2]

    @property
    def times(self) -> Sequence[float]:
        return self._columns[3]

    @property
    def unresolved(self) -> Sequence[int]:
        return self.rows.unresolved()

    def matches(self, index: int) -> tuple[str, ...]:
        return self.rows.lines(index)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Failure: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Failure]: ...
    def __getitem__(self, place: int | slice) -> Failure | Sequence[Failure]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        jail, id, time, address, matches, fields, failregex, resolve = self.rows.row(range(len(self))[place])
        return new_failure(self._names[jail], id, time, address, matches, fields, failregex, resolve)
