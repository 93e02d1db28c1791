"""Who must look at which line: the prefilter of all jails of one source, and the jails that read every line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final, TypeAlias

from guardhooks_core.matchers.filterd import prefilter
from guardhooks_core.matchers.filterd.cache_entry import Entry
from guardhooks_core.matchers.filterd.decoding import Decoder
from guardhooks_core.matchers.filterd.jail_matcher import Watch
from guardhooks_core.matchers.filterd.layout import Layout, lay_out, plain_layout
from guardhooks_core.matchers.filterd.prefilter import Prefilter
from guardhooks_core.matchers.filterd.rules import Candidates

Call: TypeAlias = tuple[Watch, Decoder, Candidates | None]
"""A jail that must look at a line, and the failregexes that can match (None: all)."""

_END: Final = itemgetter(0)
_REMEMBERED: Final = 4096


class Plan:
    """Finds the lines of a block that somebody must look at."""

    def __init__(
        self, watches: Sequence[tuple[Watch, Decoder]], *, plain: bool = False, entry: Entry | None = None
    ) -> None:
        """With `plain`, everybody looks at every line, as a check of the prefilter. `entry` is the cache's."""
        self._watches = list(watches)
        self._calls: dict[tuple[int, ...], list[Call]] = {}
        layout, self._filter = _prepared(self._watches, plain=plain, entry=entry)
        self.costly, self._always, self._targets = layout.costly, layout.always, layout.targets
        for number, places in self._always.items():
            if places is None and not plain:
                self._watches[number][0].rules.prepare()

    def lines(self, data: bytes) -> Iterator[tuple[int, int, list[Call]]]:
        """Start and end of each line that must be looked at, in order, and by whom."""
        hits = self._filter.scan(data) if self._filter else []
        if self._always:
            yield from self._every_line(data, hits)
            return
        for end, group in groupby(hits, _END):
            numbers = tuple([number for _, number in group])
            yield data.rfind(b"\n", 0, end - 1) + 1, end, self._calls.get(numbers) or self._call(numbers)

    def _every_line(self, data: bytes, hits: prefilter.Hits) -> Iterator[tuple[int, int, list[Call]]]:
        found: dict[int, list[int]] = {}
        for end, number in hits:
            found.setdefault(end, []).append(number)
        start = 0
        while start < len(data):
            end = data.find(b"\n", start) + 1 or len(data)
            numbers = tuple(found.get(end, ()))
            yield start, end, self._calls.get(numbers) or self._call(numbers)
            start = end

    def _call(self, numbers: tuple[int, ...]) -> list[Call]:
        """Who looks at a line with these hits; remembered, as the combinations are few."""
        places: dict[int, set[int] | None] = {
            number: None if always is None else set(always) for number, always in self._always.items()
        }
        for hit in numbers:
            for watch, place in self._targets[hit]:
                known = places.setdefault(watch, set())
                if known is not None:
                    known.add(place)
        calls: list[Call] = []
        for watch in sorted(places):
            only = places[watch]
            rules = self._watches[watch][0].rules
            calls.append((*self._watches[watch], None if only is None else rules.candidates(sorted(only))))
        if len(self._calls) >= _REMEMBERED:
            self._calls.clear()
        self._calls[numbers] = calls
        return calls


def _prepared(
    watches: Sequence[tuple[Watch, Decoder]], *, plain: bool, entry: Entry | None
) -> tuple[Layout, Prefilter | None]:
    """As the cache has it, else worked out and left to the cache."""
    if plain:
        return plain_layout(watches), None
    if entry and (kept := entry.restored(len(watches))):
        return kept
    layout = lay_out(watches)
    engine = prefilter.build(layout.sought) if layout.sought else None
    if entry:
        entry.keep(watches, layout, engine)
    return layout, engine
