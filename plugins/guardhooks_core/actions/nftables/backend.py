"""The sets of one action for one IP version: one for each prefix length, all behind the action's chain."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from guardhooks_core.actions.firewall.entries import Entries, Entry
from guardhooks_core.actions.firewall.parameters import Parameters
from guardhooks_core.actions.nftables import ruleset
from guardhooks_core.actions.nftables.builder import TableBuilder
from guardhooks_core.actions.nftables.elements import ElementSet, SetMissingError
from guardhooks_core.actions.nftables.ruleset import Shape

_READINGS: Final = 4
"""A set that the kernel is just enlarging, since a large batch was added, is dumped with gaps."""


@dataclass(frozen=True, slots=True)
class NftablesBackend:
    """See `SetBackend`."""

    jail: str
    chain: str
    version: int
    parameters: Parameters
    builder: TableBuilder

    @property
    def limit(self) -> int:
        return self.parameters.max_elements

    @property
    def longest(self) -> float:
        return math.inf

    def set_of(self, entry: Entry) -> str:
        return ruleset.set_name(self.chain, shape_of(entry))

    def read(self, wanted: Entries) -> Entries:
        shapes = {shape for shape in self.builder.shapes(self.chain) if shape.version == self.version}
        by_shape = group_by_shape(wanted)
        held: Entries = {}
        for shape in shapes | by_shape.keys():
            held |= _read(self._elements(shape), by_shape.get(shape, {}))
        return held

    def prepare(self, wanted: Entries) -> None:
        self.builder.require(self.parameters, self.chain, group_by_shape(wanted))

    def add(self, entries: Entries) -> None:
        for shape, alike in group_by_shape(entries).items():
            self._elements(shape).put(alike)

    def replace(self, entries: Entries) -> None:
        for shape, alike in group_by_shape(entries).items():
            self._elements(shape).replace(alike)

    def remove(self, entries: Iterable[Entry]) -> None:
        for shape, alike in group_by_shape(dict.fromkeys(entries, math.inf)).items():
            self._elements(shape).remove(alike)

    def _elements(self, shape: Shape) -> ElementSet:
        return ElementSet(ruleset.TABLE, ruleset.set_name(self.chain, shape), shape.prefix)


def shape_of(entry: Entry) -> Shape:
    """The shape of the set that an entry lives in."""
    return Shape(entry.version, entry.prefix)


def group_by_shape(entries: Mapping[Entry, float]) -> dict[Shape, Entries]:
    """Entries by the set that each lives in."""
    kinds = {(len(address), prefix) for address, prefix in entries}
    if len(kinds) == 1:
        return {shape_of(next(iter(entries))): dict(entries)}
    shapes: dict[Shape, Entries] = {}
    for entry, left in entries.items():
        shapes.setdefault(shape_of(entry), {})[entry] = left
    return shapes


def _read(elements: ElementSet, wanted: Entries) -> Entries:
    held: Entries = {}
    for _ in range(_READINGS):
        try:
            again = elements.read()
        except SetMissingError:
            return held
        grown = not again.keys() <= held.keys()
        held |= again
        if not grown or wanted.keys() <= held.keys():
            break
    return held
