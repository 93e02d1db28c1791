"""The line matcher: all jails of one source, fed with its chunks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

from guardhooks import Chunk, ConfigError, Failure, Jail, LineTrace, MissedLines, Problem
from guardhooks_core.matchers.filterd.cache import Cache
from guardhooks_core.matchers.filterd.cache_entry import CacheEntry
from guardhooks_core.matchers.filterd.dates import DateDetector
from guardhooks_core.matchers.filterd.decoding import Decoder
from guardhooks_core.matchers.filterd.jail_matcher import JailMatcher
from guardhooks_core.matchers.filterd.layout import lay_out
from guardhooks_core.matchers.filterd.plan import Plan
from guardhooks_core.matchers.filterd.survey import Survey
from guardhooks_core.matchers.filterd.timestamps import SharedDetector

logger = logging.getLogger("guardhooks.filterd")


class FilterMatcher:
    """Serves all jails of one source that have a filter."""

    def __init__(
        self,
        jails: Sequence[Jail],
        *,
        clock: Callable[[], float] = time.time,
        prefilter: bool = True,
        cache: Cache | None = None,
    ) -> None:
        """`clock` returns the current time in seconds, for dates that are read before the first chunk.

        Without `prefilter`, every line is matched in full: slow, but the reference for tests. `cache` stores what was
        compiled.
        """
        self._entry = CacheEntry(cache, jails) if cache else None
        self._prefilter = prefilter
        self._clock = clock
        self._now: float | None = None
        self._problems: dict[str, list[Problem]] = {jail.name: [] for jail in jails if jail.filter}
        self._detectors: dict[tuple[tuple[str, ...], str], SharedDetector] = {}
        self._decoders: dict[str, Decoder] = {}
        self._jail_matchers: list[tuple[JailMatcher, Decoder]] = []
        for jail in jails:
            if jail.filter:
                self._add(jail)

    @property
    def jails(self) -> Sequence[str]:
        return tuple(self._problems)

    @property
    def problems(self) -> Mapping[str, Sequence[Problem]]:
        return {name: tuple(found) for name, found in self._problems.items() if found}

    def _add(self, jail: Jail) -> None:
        problems = self._problems[jail.name]
        decoder = self._decoder(jail)
        key = "datepattern"
        try:
            detector = self._detector(jail)
            key = "prefregex"
            jail_matcher = JailMatcher(jail, detector, problems.append)
        except ConfigError as fault:
            message = f"{fault}; without it the jail cannot find anything"
            problems.append(Problem(message, section=jail.name, key=key, fatal=True))
            return
        problems.extend(jail_matcher.rules.problems)
        if not jail_matcher.rules.failregexes:
            name = jail.filter.name if jail.filter else ""
            message = f"no failregex of filter {name!r} can be used: the jail cannot find anything"
            problems.append(Problem(message, section=jail.name, key="filter", fatal=True))
            return
        self._jail_matchers.append((jail_matcher, decoder))

    def _detector(self, jail: Jail) -> SharedDetector:
        patterns = jail.filter.datepattern if jail.filter else ()
        key = (patterns, jail.logtimezone)
        if key not in self._detectors:
            self._detectors[key] = SharedDetector(DateDetector(patterns, timezone=jail.logtimezone))
        return self._detectors[key]

    def _decoder(self, jail: Jail) -> Decoder:
        name = jail.logencoding
        try:
            return self._decoders.setdefault(name, Decoder(name))
        except LookupError:
            message = f"unknown encoding {name!r}; UTF-8 is used"
            self._problems[jail.name].append(Problem(message, section=jail.name, key="logencoding"))
            return self._decoders.setdefault("utf-8", Decoder("utf-8"))

    def feed(self, chunk: Chunk) -> Iterator[Failure]:
        """The failures in these lines, in order."""
        self._now = now = chunk.received
        live = chunk.live
        data = chunk.data if chunk.data.endswith(b"\n") else chunk.data + b"\n"
        number = counted = 0
        for start, end, calls in self.plan.lines(data):
            known = None
            if chunk.times:
                number += data.count(b"\n", counted, start)
                counted = start
                known = chunk.times[number]
            decoded, text = None, ""
            for jail_matcher, decoder, only in calls:
                if decoder is not decoded:
                    decoded, text = decoder, decoder.decode(data[start:end])
                yield from jail_matcher.feed(text, known, now, live=live, only=only)

    @cached_property
    def plan(self) -> Plan:
        """Which regexes are tried on which lines. Made at the first chunk: traces and bisecting do not need it."""
        plan = Plan(self._jail_matchers, plain=not self._prefilter, entry=self._entry)
        for jail, reasons in plan.unfiltered.items():
            for reason in reasons:
                logger.info("[%s] %s", jail, reason)
        return plan

    @cached_property
    def unfiltered(self) -> Mapping[str, Sequence[str]]:
        """By jail, why the prefilter cannot be used for some regexes, so that they are tried on every line."""
        return self.plan.unfiltered if "plan" in vars(self) else lay_out(self._jail_matchers).unfiltered

    def time_of(self, line: bytes) -> float | None:
        """The time written in the line, as read by the first jail that finds a date."""
        now = self._now if self._now is not None else self._clock()
        for jail_matcher, decoder in self._jail_matchers:
            date = jail_matcher.detector.detector.peek(decoder.decode(line), now)
            if date is not None and date.time is not None:
                return date.time
        return None

    def trace(self, chunk: Chunk, *, every: bool = True) -> Iterator[LineTrace]:
        """What happens to each line in the first usable jail."""
        self._now = chunk.received
        for number, raw in enumerate(_lines(chunk.data)):
            known = chunk.times[number] if chunk.times else None
            for jail_matcher, decoder in self._jail_matchers[:1]:
                yield jail_matcher.trace(decoder.decode(raw), known, chunk.received, every=every)

    def survey(self, chunk: Chunk, *, every: bool = True) -> Iterator[LineTrace | MissedLines]:
        """As `trace`, with the lines that no regex can match summed up."""
        self._now = chunk.received
        return self._survey.lines(chunk, every=every) if self._survey else iter(())

    @cached_property
    def _survey(self) -> Survey | None:
        return Survey(*self._jail_matchers[0]) if self._jail_matchers else None


def _lines(data: bytes) -> list[bytes]:
    """The lines of a block: split at newlines only, as sources do."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines
