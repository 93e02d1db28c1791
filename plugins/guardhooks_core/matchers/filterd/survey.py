"""The outcome of a whole log for testers: only lines that a regex can match are traced, the others are counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from guardhooks import Chunk, LineTrace, MissedLines
from guardhooks_core.matchers.filterd.decoding import Decoder
from guardhooks_core.matchers.filterd.jail_matcher import Watch
from guardhooks_core.matchers.filterd.layout import needed
from guardhooks_core.matchers.filterd.prefilter import Prefilter, build, sought
from guardhooks_core.matchers.filterd.regex.literals import Factor
from guardhooks_core.matchers.filterd.rules import Rule


class Survey:
    """One jail's log. A line that an ignoreregex may match is traced where those are asked first."""

    def __init__(self, watch: Watch, decoder: Decoder) -> None:
        self._watch = watch
        self._decoder = decoder
        self._targets: list[list[int]] = []
        self._filter = self._prefilter()
        self._rules: dict[tuple[int, ...], Sequence[Rule]] = {}

    def _prefilter(self) -> Prefilter | None:
        """Finds what `_targets` stand for: failregexes, or none for an ignoreregex. None: no line is ruled out."""
        rules, encoding = self._watch.rules, self._decoder.name
        if rules.buffer is not None or not self._decoder.ascii_bytes:
            return None
        wanted: dict[Factor | None, list[int]] = {}
        for place, rule in enumerate(rules.failregexes):
            wanted.setdefault(needed(self._watch, rule, encoding), []).append(place)
        for rule in rules.asked_of_every_line:
            wanted.setdefault(needed(self._watch, rule, encoding, behind_prefix=False), [])
        self._targets = list(wanted.values())
        factors = [sought(factor) for factor in wanted if factor is not None]
        return build(factors) if len(factors) == len(wanted) else None

    def lines(self, chunk: Chunk, *, every: bool) -> Iterator[LineTrace | MissedLines]:
        """What `Watch.trace` tells of these lines, missed ones summed up."""
        data = chunk.data if not chunk.data or chunk.data.endswith(b"\n") else chunk.data + b"\n"
        done = number = 0
        for start, end, only in self._looked_at(data):
            if start > done:
                yield from self._missed(data[done:start], chunk)
                number += data.count(b"\n", done, start)
            known = chunk.times[number] if chunk.times else None
            line = self._decoder.decode(data[start:end])
            yield self._watch.trace(line, known, chunk.received, every=every, only=only)
            done, number = end, number + 1
        if done < len(data):
            yield from self._missed(data[done:], chunk)

    def _missed(self, lines: bytes, chunk: Chunk) -> Iterator[MissedLines]:
        if chunk.times:
            yield MissedLines(lines.count(b"\n"))
            return
        for count, pattern in self._watch.pass_over(self._decoder.decode_all(lines), chunk.received):
            yield MissedLines(count, pattern)

    def _looked_at(self, data: bytes) -> Iterator[tuple[int, int, Sequence[Rule] | None]]:
        """Start and end of each line that cannot be ruled out, and the failregexes that can match it (None: all)."""
        if self._filter is None:
            start = 0
            while start < len(data):
                end = data.find(b"\n", start) + 1
                yield start, end, None
                start = end
            return
        for end, hits in groupby(self._filter.scan(data), itemgetter(0)):
            yield data.rfind(b"\n", 0, end - 1) + 1, end, self._only(tuple([number for _, number in hits]))

    def _only(self, numbers: tuple[int, ...]) -> Sequence[Rule]:
        """The failregexes that these hits stand for; remembered, as the combinations are few."""
        known = self._rules.get(numbers)
        if known is None:
            places = sorted({place for number in numbers for place in self._targets[number]})
            known = self._rules[numbers] = [self._watch.rules.failregexes[place] for place in places]
        return known
