"""A whole log for `guardhooks test`: only lines that a regex can match are traced, the others are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Protocol

from guardhooks.filters.decoding import Decoder
from guardhooks.filters.jail_matcher import JailMatcher
from guardhooks.filters.regex.literals import RequiredLiteral
from guardhooks.filters.required import required_literal
from guardhooks.filters.rules import Rule
from guardhooks.model import Chunk
from guardhooks.workers import LineTrace, MissedLines


class Scanner(Protocol):
    """Searches whole lines for literals, each known by its number."""

    def scan(self, data: bytes) -> Sequence[tuple[int, int]]:
        """Sorted: the end of a line, its newline included, and the number of a literal that it may contain."""
        ...


class Survey:
    """One jail's log. Lines that an ignoreregex may match are traced too if ignoreregexes are tried first."""

    def __init__(
        self, jail_matcher: JailMatcher, decoder: Decoder, build: Callable[[Sequence[RequiredLiteral]], Scanner]
    ) -> None:
        """`build` makes a scanner for literals, numbered from 0."""
        self._build = build
        self._jail_matcher = jail_matcher
        self._decoder = decoder
        self._targets: list[list[int]] = []
        self._filter = self._prefilter()
        self._rules: dict[tuple[int, ...], Sequence[Rule]] = {}

    def _prefilter(self) -> Scanner | None:
        """Searches for what the regexes require; fills `_targets` (failregexes by hit; an ignoreregex has none).

        None if no line can be ruled out.
        """
        rules, encoding = self._jail_matcher.rules, self._decoder.name
        if rules.buffer is not None or not self._decoder.ascii_bytes:
            return None
        targets: dict[RequiredLiteral | None, list[int]] = {}
        for index, rule in enumerate(rules.failregexes):
            targets.setdefault(required_literal(self._jail_matcher, rule, encoding), []).append(index)
        for rule in rules.tried_on_every_line:
            targets.setdefault(required_literal(self._jail_matcher, rule, encoding, behind_prefix=False), [])
        self._targets = list(targets.values())
        certain = [literal for literal in targets if literal is not None]
        return self._build(certain) if certain and len(certain) == len(targets) else None

    def lines(self, chunk: Chunk, *, every: bool) -> Iterator[LineTrace | MissedLines]:
        """What `JailMatcher.trace` returns for these lines, with missed lines summed up."""
        data = chunk.data if not chunk.data or chunk.data.endswith(b"\n") else chunk.data + b"\n"
        done = number = 0
        for start, end, only in self._candidate_lines(data):
            if start > done:
                yield from self._missed(data[done:start], chunk)
                number += data.count(b"\n", done, start)
            known = chunk.times[number] if chunk.times else None
            line = self._decoder.decode(data[start:end])
            yield self._jail_matcher.trace(line, known, chunk.received, every=every, only=only)
            done, number = end, number + 1
        if done < len(data):
            yield from self._missed(data[done:], chunk)

    def _missed(self, lines: bytes, chunk: Chunk) -> Iterator[MissedLines]:
        if chunk.times:
            yield MissedLines(lines.count(b"\n"))
            return
        for count, pattern in self._jail_matcher.skim_dates(self._decoder.decode_all(lines), chunk.received):
            yield MissedLines(count, pattern)

    def _candidate_lines(self, data: bytes) -> Iterator[tuple[int, int, Sequence[Rule] | None]]:
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
        """The failregexes that these hits belong to; cached, as there are few combinations."""
        known = self._rules.get(numbers)
        if known is None:
            indexes = sorted({index for number in numbers for index in self._targets[number]})
            known = self._rules[numbers] = [self._jail_matcher.rules.failregexes[index] for index in indexes]
        return known
