"""The line matcher: serves the jails of one source that the native core can serve exactly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property

from guardhooks import Chunk, Failure, Jail, LineTrace, MissedLines, Problem
from guardhooks.filters import (
    Cache,
    CompiledFilters,
    DateDetector,
    JailMatcher,
    RequiredLiteral,
    Survey,
    identify,
    required_literal,
)
from guardhooks_native import _core
from guardhooks_native.characters import Characters
from guardhooks_native.dates import Answer, CoreDates
from guardhooks_native.findings import NativeFindings
from guardhooks_native.needles import ScanSpec, scan_spec
from guardhooks_native.specs import NAMES, JailSpec, Regexes, UnservedError, characters_of, jail_rules, jail_spec
from guardhooks_native.stored import Entry, Stored

KINDS = ("old", "undated")
"""Kinds of warnings about the age of lines, by their number in the core."""


class NativeMatcher:
    """Serves those of `jails` that it can; `unserved` tells why it leaves the others."""

    def __init__(
        self, jails: Sequence[Jail], *, cache: Cache | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        """`cache` spares a restart the translation of the regexes."""
        self.unserved: dict[str, str] = {}
        entry = Entry(cache, jails)
        self._filters = CompiledFilters(jails, clock=clock)
        usable = self._filters.jail_matchers
        characters = characters_of(matcher for matcher, _ in usable)
        self._host = _Host(characters)
        encodings = [decoder.name for _, decoder in usable]
        stored = entry.restore([matcher.jail.name for matcher, _ in usable], encodings)
        regexes = Regexes(characters)
        rules = stored.jails if stored else {each.jail.name: jail_rules(each, regexes) for each, _ in usable}
        served: list[tuple[JailMatcher, JailSpec]] = []
        for matcher, decoder in usable:
            detector = self._host.detector(matcher.detector.detector)
            try:
                spec = jail_spec(matcher, decoder, detector, rules[matcher.jail.name])
            except UnservedError as why:
                self.unserved[matcher.jail.name] = str(why)
            else:
                served.append((matcher, spec))
        # What the plain matcher cannot run at all is its to report.
        known = {matcher.jail.name for matcher, _ in usable}
        self.unserved.update(dict.fromkeys({jail.name for jail in jails if jail.filter} - known, "not usable"))
        self._served = [matcher for matcher, _ in served]
        self._host.jails = self._served
        if stored is None:
            graphs = [translation.graph for translation in regexes.graphs]
            stored = Stored(graphs, regexes.names, rules, encodings, self._scan())
            entry.store(stored, [matcher for matcher, _ in usable])
        self._core = self._compiled(stored, characters, [spec for _, spec in served]) if served else None

    def _scan(self) -> ScanSpec:
        rules = [(matcher, rule) for matcher in self._served for rule in matcher.rules.failregexes]
        return scan_spec([required_literal(matcher, rule, "utf-8") for matcher, rule in rules])

    def _compiled(self, stored: Stored, characters: Characters, specs: Sequence[JailSpec]) -> _core.Matcher:
        return _core.Matcher(
            [_core.Regex(graph, characters.words) for graph in stored.graphs],
            specs,
            [(detector.finds_nothing, detector.none) for detector in self._host.detectors],
            stored.scan,
            list(stored.names),
            self._host,
        )

    @property
    def jails(self) -> Sequence[str]:
        return tuple([matcher.jail.name for matcher in self._served])

    @property
    def problems(self) -> Mapping[str, Sequence[Problem]]:
        return {name: found for name, found in self._filters.problems.items() if name in self.jails}

    def feed(self, chunk: Chunk) -> Sequence[Failure]:
        """The failures in these lines, in order; made into objects only where somebody looks at them."""
        self._filters.begin(chunk)
        if self._core is None:
            return ()
        times = list(chunk.times) if chunk.times else None
        return NativeFindings(self._core.feed(chunk.data, chunk.received, chunk.live, times), self.jails)

    def steps(self) -> int:
        """Steps that the regex engines took since the last call: what lines cost, counted."""
        return self._core.steps() if self._core else 0

    def time_of(self, line: bytes) -> float | None:
        """The time written in the line, as read by the first jail that finds a date."""
        return self._filters.time_of(line)

    @cached_property
    def unfiltered(self) -> Mapping[str, Sequence[str]]:
        """By jail, which regexes are tried on every line."""
        found: dict[str, list[str]] = {}
        for matcher in self._served:
            for rule in matcher.rules.failregexes:
                literal = required_literal(matcher, rule, "utf-8")
                if literal is None or scan_spec([literal]).always:
                    why = f"{rule.label} requires no word that could be searched for: it is tried on every line"
                    found.setdefault(matcher.jail.name, []).append(why)
        return found

    def survey(self, chunk: Chunk, *, every: bool = True) -> Iterable[LineTrace | MissedLines]:
        """As `trace`, with the lines that no regex can match summed up."""
        self._filters.received(chunk.received)
        return self._survey.lines(chunk, every=every) if self._survey else ()

    @cached_property
    def _survey(self) -> Survey | None:
        if not self._served:
            return None
        pairs = self._filters.jail_matchers
        return Survey(*next(pair for pair in pairs if pair[0] is self._served[0]), _scanner)

    def trace(self, chunk: Chunk, *, every: bool = True) -> Iterable[LineTrace]:
        """What happens to each line in the first jail, told by the plain matcher."""
        return self._filters.trace(chunk, every=every)


def _scanner(literals: Sequence[RequiredLiteral]) -> _core.Scanner:
    return _core.Scanner(scan_spec(literals))


class _Host:
    """Answers the core's questions."""

    def __init__(self, characters: Characters) -> None:
        self._characters = characters
        self._dates: list[CoreDates] = []
        self.jails: Sequence[JailMatcher] = ()

    @property
    def detectors(self) -> Sequence[DateDetector]:
        return [dates.detector for dates in self._dates]

    def detector(self, detector: DateDetector) -> int:
        """The number of a detector, which several jails may share."""
        for number, dates in enumerate(self._dates):
            if dates.detector is detector:
                return number
        self._dates.append(CoreDates(detector, self._characters))
        return len(self._dates) - 1

    def date(self, detector: int, line: bytes, now: float, uses: int, last_use: float) -> Answer | None:
        return self._dates[detector].of(line, now, uses, last_use)

    def identify(self, jail: int, groups: Sequence[tuple[int, str]]) -> tuple[str, str, str, bool]:
        named = {NAMES[name]: text for name, text in groups}
        who = identify(named, self.jails[jail].jail.usedns)
        return who.id, who.address, who.resolve, who.genuine

    def warn(self, jail: int, kind: int, now: float, line: str) -> None:
        self.jails[jail].age_rules.warn(KINDS[kind], now, line=line)

    def judge(self, jail: int, time: float, now: float, zoned: bool) -> float | None:
        return self.jails[jail].age_rules.effective_time(time, now, live=True, zoned=zoned)

    def exhausted(self, jail: int, kind: str, index: int, text: str) -> None:
        label = kind if kind == "prefregex" else f"{kind} {index + 1}"
        self.jails[jail].report_timeout(label, text)

    def page(self, number: int) -> bytes:
        return self._characters.page(number)
