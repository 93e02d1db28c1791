"""The line matcher: all jails of one source, fed with its chunks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

from guardhooks import Chunk, Failure, Jail, LineTrace, MissedLines, Problem
from guardhooks.filters import CompiledFilters, Survey
from guardhooks_core.matchers.filterd.cache import Cache
from guardhooks_core.matchers.filterd.cache_entry import CacheEntry
from guardhooks_core.matchers.filterd.layout import lay_out
from guardhooks_core.matchers.filterd.plan import Plan
from guardhooks_core.matchers.filterd.prefilter import build_for

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
        self._filters = CompiledFilters(jails, clock=clock)
        self._jail_matchers = self._filters.jail_matchers

    @property
    def jails(self) -> Sequence[str]:
        return self._filters.jails

    @property
    def problems(self) -> Mapping[str, Sequence[Problem]]:
        return self._filters.problems

    def feed(self, chunk: Chunk) -> Iterator[Failure]:
        """The failures in these lines, in order."""
        now = chunk.received
        self._filters.begin(chunk)
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
        return self._filters.time_of(line)

    def trace(self, chunk: Chunk, *, every: bool = True) -> Iterator[LineTrace]:
        """What happens to each line in the first usable jail."""
        return self._filters.trace(chunk, every=every)

    def survey(self, chunk: Chunk, *, every: bool = True) -> Iterator[LineTrace | MissedLines]:
        """As `trace`, with the lines that no regex can match summed up."""
        self._filters.received(chunk.received)
        return self._survey.lines(chunk, every=every) if self._survey else iter(())

    @cached_property
    def _survey(self) -> Survey | None:
        return Survey(*self._jail_matchers[0], build_for) if self._jail_matchers else None
