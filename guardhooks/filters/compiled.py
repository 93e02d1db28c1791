"""The filters of all jails of one source, compiled: what every matcher of `filter.d` filters begins with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Final

from guardhooks.errors import ConfigError
from guardhooks.filters.dates import DateDetector
from guardhooks.filters.dates.zones import configured_zone
from guardhooks.filters.decoding import Decoder
from guardhooks.filters.jail_matcher import JailMatcher
from guardhooks.filters.timestamps import SharedDetector
from guardhooks.model import Chunk, Jail, Problem
from guardhooks.workers import LineTrace

_NEWEST_LINES: Final = 10
"""Lines in which the last date of a block is looked for."""
_NEWEST_BYTES: Final = 16 << 10


class CompiledFilters:
    """The jails that have a filter. `jail_matchers` are those that can run, each with the decoder of its log."""

    def __init__(self, jails: Sequence[Jail], *, clock: Callable[[], float] = time.time) -> None:
        """`clock` returns the current time in seconds, for dates that are read before the first chunk."""
        self._clock = clock
        self._now: float | None = None
        self._problems: dict[str, list[Problem]] = {jail.name: [] for jail in jails if jail.filter}
        self._detectors: dict[tuple[tuple[str, ...], str], SharedDetector] = {}
        self._decoders: dict[str, Decoder] = {}
        self.jail_matchers: list[tuple[JailMatcher, Decoder]] = []
        for jail in jails:
            if jail.filter:
                self._add(jail)

    @property
    def jails(self) -> Sequence[str]:
        """The names of all jails that have a filter."""
        return tuple(self._problems)

    @property
    def problems(self) -> Mapping[str, Sequence[Problem]]:
        """What could not be compiled, or ran out of its time since, by jail name."""
        return {name: tuple(found) for name, found in self._problems.items() if found}

    def received(self, now: float) -> None:
        """A chunk was received at `now`; dates that are read later are judged by that."""
        self._now = now

    def _add(self, jail: Jail) -> None:
        problems = self._problems[jail.name]
        decoder = self._decoder(jail)
        key = "logtimezone"
        try:
            configured_zone(jail.logtimezone, None)
            key = "datepattern"
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
        self.jail_matchers.append((jail_matcher, decoder))

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

    def begin(self, chunk: Chunk) -> None:
        """The lines of this chunk are matched next."""
        self.received(chunk.received)
        newest = cache(partial(self._newest, chunk.data))
        for jail_matcher, _ in self.jail_matchers:
            jail_matcher.begin(chunk.origin, newest)

    def _newest(self, data: bytes) -> float | None:
        """The date of the last line of a block that has one; looks at a few lines only."""
        lines = data[-_NEWEST_BYTES:].splitlines()[-_NEWEST_LINES:]
        return next((time for line in reversed(lines) if (time := self.time_of(line)) is not None), None)

    def time_of(self, line: bytes) -> float | None:
        """The time written in the line, as read by the first jail that finds a date."""
        now = self._now if self._now is not None else self._clock()
        for jail_matcher, decoder in self.jail_matchers:
            date = jail_matcher.detector.detector.peek(decoder.decode(line), now)
            if date is not None and date.time is not None:
                return date.time
        return None

    def trace(self, chunk: Chunk, *, every: bool = True) -> Iterator[LineTrace]:
        """What happens to each line in the first usable jail."""
        self._now = chunk.received
        for number, raw in enumerate(_lines(chunk.data)):
            known = chunk.times[number] if chunk.times else None
            for jail_matcher, decoder in self.jail_matchers[:1]:
                yield jail_matcher.trace(decoder.decode(raw), known, chunk.received, every=every)


def _lines(data: bytes) -> list[bytes]:
    """The lines of a block: split at newlines only, as sources do."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines
