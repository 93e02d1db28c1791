"""Which jails must read which line: the prefilter of all jails of one source, and the jails that read every line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final, TypeAlias

from guardhooks.filters import Candidates, Decoder, JailMatcher
from guardhooks_core.matchers.filterd import prefilter
from guardhooks_core.matchers.filterd.cache_entry import CacheEntry
from guardhooks_core.matchers.filterd.layout import Layout, lay_out, plain_layout
from guardhooks_core.matchers.filterd.prefilter import Prefilter

Call: TypeAlias = tuple[JailMatcher, Decoder, Candidates | None]
"""A jail that must read a line, and the failregexes that can match (None: all)."""

_END: Final = itemgetter(0)
_CACHED_CALLS: Final = 4096
"""Combinations of hits whose calls are cached."""


class Plan:
    """Finds the lines of a block that at least one jail must read."""

    def __init__(
        self,
        jail_matchers: Sequence[tuple[JailMatcher, Decoder]],
        *,
        plain: bool = False,
        entry: CacheEntry | None = None,
    ) -> None:
        """With `plain`, every jail reads every line. `entry` is the cache's entry for these jails."""
        self._jail_matchers = list(jail_matchers)
        self._calls: dict[tuple[int, ...], list[Call]] = {}
        layout, self._filter = _prepared(self._jail_matchers, plain=plain, entry=entry)
        self.unfiltered, self._always, self._targets = layout.unfiltered, layout.always, layout.targets
        for number, indexes in self._always.items():
            if indexes is None and not plain:
                self._jail_matchers[number][0].rules.prepare()

    def lines(self, data: bytes) -> Iterator[tuple[int, int, list[Call]]]:
        """Start and end of each line that must be read, in order, and by which jails."""
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
        """The jails that read a line with these hits; cached, as there are few combinations."""
        indexes: dict[int, set[int] | None] = {
            jail: None if always is None else set(always) for jail, always in self._always.items()
        }
        for hit in numbers:
            for jail, index in self._targets[hit]:
                known = indexes.setdefault(jail, set())
                if known is not None:
                    known.add(index)
        calls: list[Call] = []
        for jail, only in sorted(indexes.items(), key=itemgetter(0)):
            jail_matcher, decoder = self._jail_matchers[jail]
            candidates = None if only is None else jail_matcher.rules.candidates(sorted(only))
            calls.append((jail_matcher, decoder, candidates))
        if len(self._calls) >= _CACHED_CALLS:
            self._calls.clear()
        self._calls[numbers] = calls
        return calls


def _prepared(
    jail_matchers: Sequence[tuple[JailMatcher, Decoder]], *, plain: bool, entry: CacheEntry | None
) -> tuple[Layout, Prefilter | None]:
    """The layout and prefilter as stored in the cache, else computed and stored there."""
    if plain:
        return plain_layout(jail_matchers), None
    if entry and (stored := entry.restore(len(jail_matchers))):
        return stored
    layout = lay_out(jail_matchers)
    scanner = prefilter.build(layout.patterns) if layout.patterns else None
    if entry:
        entry.store(jail_matchers, layout, scanner)
    return layout, scanner
