"""Finds the date of a line; of several patterns, those that match the log are learned from its lines."""

import re
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from itertools import zip_longest
from typing import Final

from guardhooks.filters.dates.defaults import NONE, effective_list
from guardhooks.filters.dates.language import year_for
from guardhooks.filters.dates.template import DateMatch, Looked, Template
from guardhooks.filters.dates.zones import configured_zone

# Seconds after which an unused pattern ranks below a used one, whatever their hits.
_STALE: Final = 300.0
_EMPTY: Final = DateMatch(None, 0, 0, NONE)

_Hit = tuple[Template, re.Match[str]]


class DateDetector:
    """The dates of one log, as one jail sees them.

    :param patterns: lines of `datepattern`, with single `%`; none: the default patterns.
    :param timezone: `logtimezone`, for dates without a zone: `UTC`, `CET`, `+0200`, `UTC+0200`.
    :param default_zone: their zone if `timezone` is empty; None: the one of this machine.

    :raises ConfigError: naming the pattern and the fault.
    """

    def __init__(self, patterns: Sequence[str] = (), *, timezone: str = "", default_zone: tzinfo | None = None) -> None:
        lines = [line for line in patterns if line.strip()]
        dated = [line for line in lines if line.strip().upper() != NONE]
        self.none: Final = len(dated) < len(lines)
        self._calendar: Final = configured_zone(timezone, default_zone)
        entries = effective_list(dated) if dated or not lines else []
        self._templates = [Template(entry) for entry in entries]
        self._last: Template | None = None
        self._year = year_for(0)
        self._year_ends = float("-inf")
        self._undated = 0
        for template, entry in zip(self._templates, entries, strict=True):
            if not entry.stock:
                template.prepare(self._year)

    def find(self, line: str, now: float) -> DateMatch | None:
        """The date of `line` at `now` (epoch seconds), or None; learns from it to find similar dates faster."""
        if now >= self._year_ends:
            self._enter_year(now)
        if self._last is not None:
            date = self._last.same_place(line, self._calendar, now)
            if date is not None:
                return date
        hit = self._choose(line)
        if hit is None:
            self._undated += self.none
            return _EMPTY if self.none else None
        template, match = hit
        template.won(match, now)
        if template is not self._last:
            self._move_up(template, now)
            self._last = template
        return template.date(match, self._calendar, now)

    def peek(self, line: str, now: float) -> DateMatch | None:
        """Like `find`, but learns nothing; may be called from any thread."""
        hit = self._choose(line)
        if hit is None:
            return _EMPTY if self.none else None
        return hit[0].date(hit[1], self._calendar, now)

    @property
    def last(self) -> Template | None:
        """The pattern that found the last date."""
        return self._last

    @property
    def year_ends(self) -> float:
        """Epoch seconds from which on the patterns are compiled for another year."""
        return self._year_ends

    @property
    def finds_nothing(self) -> bool:
        """Whether there is no pattern at all but `{NONE}`."""
        return not self._templates

    @property
    def names(self) -> Sequence[str]:
        """The names of the patterns, in the order in which they are tried; both variants of a default are listed."""
        return [template.name for template in self._templates] + [NONE] * self.none

    @property
    def hits(self) -> Mapping[str, int]:
        """How many lines each pattern matched, by name."""
        counted = {template.name: template.hits for template in self._templates}
        return {**counted, NONE: self._undated} if self.none else counted

    def _enter_year(self, now: float) -> None:
        today = self._calendar.day(now)[0]
        self._year_ends = self._calendar.epoch(today.replace(year=today.year + 1, month=1, day=1))
        if self._year != year_for(today.year):
            self._year = year_for(today.year)
            for template in self._templates:
                template.forget()

    def _choose(self, line: str) -> _Hit | None:
        looked: Looked = {}
        last, best = self._last, None
        if last is not None:
            match = last.again(line, self._year, looked)
            if match is not None:
                if last.anchored or len(self._templates) == 1 or last.columns(match) == (last.start, last.end):
                    return last, match
                best = last, match
        return self._compete(line, looked, best)

    def _compete(self, line: str, looked: Looked, best: _Hit | None) -> _Hit | None:
        """The date of the first pattern that matches at its usual position, else the leftmost."""
        last = self._last
        templates = self._templates
        least = best[0].columns(best[1])[0] if best else len(line) + 1
        for template, following in zip_longest(templates, templates[1:]):
            match = None if template is last else template.search(line, self._year, looked)
            if match is None:
                continue
            if template.anchored:
                return template, match
            start = template.columns(match)[0]
            if start < least:
                best, least = (template, match), start
            proven = template.hits > 0 and following is not None and not following.hits
            usual = start <= template.start and start <= (last.start if last else 0)
            if best is not None and best[0] is template and ((start == 0 and proven) or usual):
                break
        return best

    def _move_up(self, template: Template, now: float) -> None:
        """Move a pattern half way up, or before those that never matched, if its rank allows; else one step."""
        order = list(self._templates)
        place = order.index(template)
        unused = next((index for index in range(place) if not order[index].hits), place)
        for target in (unused if unused < place else place // 2, place - 1):
            if target < 0:
                return
            holder = order[target]
            if template.rank > holder.rank or now - holder.last_used > _STALE:
                order.insert(target, order.pop(place))
                self._templates = order
                return
