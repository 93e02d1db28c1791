"""The line matcher: all jails of one source, fed with its chunks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

from guardhooks import Chunk, ConfigError, Failure, Jail, LineTrace, MissedLines, Problem
from guardhooks_core.matchers.filterd.cache import Cache
from guardhooks_core.matchers.filterd.cache_entry import Entry
from guardhooks_core.matchers.filterd.dates import DateDetector
from guardhooks_core.matchers.filterd.decoding import Decoder
from guardhooks_core.matchers.filterd.jail_matcher import Watch
from guardhooks_core.matchers.filterd.layout import lay_out
from guardhooks_core.matchers.filterd.plan import Plan
from guardhooks_core.matchers.filterd.survey import Survey
from guardhooks_core.matchers.filterd.timestamps import SharedDetector

_log = logging.getLogger("guardhooks.filterd")


class FilterMatcher:
    """Serves every jail of a source that has a filter."""

    def __init__(
        self,
        jails: Sequence[Jail],
        *,
        clock: Callable[[], float] = time.time,
        prefilter: bool = True,
        cache: Cache | None = None,
    ) -> None:
        """`clock` gives now, in seconds, where a date must be judged and no chunk has come yet.

        Without `prefilter`, every line is matched in full: slow, and by definition right. `cache` keeps what is
        compiled.
        """
        self._entry = Entry(cache, jails) if cache else None
        self._prefilter = prefilter
        self._clock = clock
        self._now: float | None = None
        self._problems: dict[str, list[Problem]] = {jail.name: [] for jail in jails if jail.filter}
        self._detectors: dict[tuple[tuple[str, ...], str], SharedDetector] = {}
        self._decoders: dict[str, Decoder] = {}
        self._watches: list[tuple[Watch, Decoder]] = []
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
            watch = Watch(jail, detector, problems.append)
        except ConfigError as fault:
            message = f"{fault}; without it the jail cannot find anything"
            problems.append(Problem(message, section=jail.name, key=key, fatal=True))
            return
        problems.extend(watch.rules.problems)
        if not watch.rules.failregexes:
            name = jail.filter.name if jail.filter else ""
            message = f"no failregex of filter {name!r} can be used: the jail cannot find anything"
            problems.append(Problem(message, section=jail.name, key="filter", fatal=True))
            return
        self._watches.append((watch, decoder))

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
        for start, end, calls in self._plan.lines(data):
            known = None
            if chunk.times:
                number += data.count(b"\n", counted, start)
                counted = start
                known = chunk.times[number]
            decoded, text = None, ""
            for watch, decoder, only in calls:
                if decoder is not decoded:
                    decoded, text = decoder, decoder.decode(data[start:end])
                yield from watch.feed(text, known, now, live=live, only=only)

    @cached_property
    def _plan(self) -> Plan:
        """Made when the first chunk comes: testers and bisecting need none."""
        plan = Plan(self._watches, plain=not self._prefilter, entry=self._entry)
        for jail, reasons in plan.costly.items():
            for reason in reasons:
                _log.info("[%s] %s", jail, reason)
        return plan

    @cached_property
    def costly(self) -> Mapping[str, Sequence[str]]:
        """By jail, the regexes and settings that no prefilter can serve, so that every line is matched."""
        return self._plan.costly if "_plan" in vars(self) else lay_out(self._watches).costly

    def time_of(self, line: bytes) -> float | None:
        """The time written in the line, as the first jail that finds one reads it."""
        now = self._now if self._now is not None else self._clock()
        for watch, decoder in self._watches:
            date = watch.detector.detector.peek(decoder.decode(line), now)
            if date is not None and date.time is not None:
                return date.time
        return None

    def trace(self, chunk: Chunk, *, every: bool = True) -> Iterator[LineTrace]:
        """What happens to each line in the first jail that can run."""
        self._now = chunk.received
        for number, raw in enumerate(_lines(chunk.data)):
            known = chunk.times[number] if chunk.times else None
            for watch, decoder in self._watches[:1]:
                yield watch.trace(decoder.decode(raw), known, chunk.received, every=every)

    def survey(self, chunk: Chunk, *, every: bool = True) -> Iterator[LineTrace | MissedLines]:
        """As `trace`, with the lines that no regex can match summed up."""
        self._now = chunk.received
        return self._survey.lines(chunk, every=every) if self._survey else iter(())

    @cached_property
    def _survey(self) -> Survey | None:
        return Survey(*self._watches[0]) if self._watches else None


def _lines(data: bytes) -> list[bytes]:
    """The lines of a block: split at newlines only, as sources do."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines
