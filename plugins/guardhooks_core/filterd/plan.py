"""Who must look at which line: the prefilter of all jails of one source, and the jails that read every line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final, TypeAlias

from . import factors, prefilter
from .decoding import Decoder
from .factors import AllOf, Factor
from .rules import Candidates, Rule
from .watch import Watch

Call: TypeAlias = tuple[Watch, Decoder, Candidates | None]
"""A jail that must look at a line, and the failregexes that can match (None: all)."""

_END: Final = itemgetter(0)
_REMEMBERED: Final = 4096
_ENDS_WITH_DIRECTIVE: Final = re.compile(
    r"(?:%(?:Ex)?[a-zA-Z]|\{DATE\}|L?EPOCH|TAI64N)\)*(?:\(\?:[^()]*%(?:Ex)?[a-zA-Z]\)\?)*\)*", re.IGNORECASE
)


def keeps_words(patterns: Sequence[str]) -> bool:
    """Whether a date that one of `patterns` finds can never stand between two characters of a word.

    Dates begin or end at a word boundary, unless the pattern switches that off or ends with something else.
    """
    return all(_keeps_words(pattern.strip()) for pattern in patterns)


def _keeps_words(pattern: str) -> bool:
    if "%" not in pattern and pattern.upper() in {"{NONE}", "{DEFAULT}", "{^LN-BEG}"}:
        return True
    if "()" in pattern.replace(r"\(", ""):
        return True  # the first plain group is empty: nothing is cut out
    if "**" in pattern or "{UNB}" in pattern.upper():
        return False
    cuts_all = not re.search(r"\((?!\?)", pattern.replace(r"\(", ""))
    if cuts_all and pattern.upper().startswith(("^", "{^LN-BEG}")):
        return True
    tail = max((match.end() for match in _ENDS_WITH_DIRECTIVE.finditer(pattern)), default=0)
    return tail == len(pattern)


class Plan:
    """Finds the lines of a block that somebody must look at."""

    def __init__(self, watches: Sequence[tuple[Watch, Decoder]], *, plain: bool = False) -> None:
        """With `plain`, everybody looks at every line, as a check of the prefilter."""
        self._plain = plain
        self._watches = list(watches)
        self._calls: dict[tuple[int, ...], list[Call]] = {}
        self.costly: dict[str, list[str]] = {}
        wanted: dict[Factor, list[tuple[int, int]]] = {}
        self._always: dict[int, tuple[int, ...] | None] = {}
        for number, (watch, decoder) in enumerate(self._watches):
            self._place(number, watch, decoder, wanted)
        self._targets = list(wanted.values())
        self._filter = prefilter.build(list(wanted)) if wanted else None

    def _place(self, number: int, watch: Watch, decoder: Decoder, wanted: dict[Factor, list[tuple[int, int]]]) -> None:
        if self._plain:
            self._always[number] = None
            return
        if watch.rules.buffer is not None or not decoder.ascii_bytes:
            self._always[number] = None
            watch.rules.prepare()
            why = "maxlines above 1" if watch.rules.buffer else f"the encoding {decoder.name}"
            self.costly[watch.jail.name] = [f"{why} makes every line pay"]
            return
        always = []
        for place, rule in enumerate(watch.rules.failregexes):
            factor = needed(watch, rule, decoder.name)
            if factor is None:
                always.append(place)
                self.costly.setdefault(watch.jail.name, []).append(f"{rule.label} makes every line pay")
            else:
                wanted.setdefault(factor, []).append((number, place))
        if always:
            self._always[number] = tuple(always)

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


def needed(watch: Watch, rule: Rule, encoding: str) -> Factor | None:
    """What a line must hold so that `rule` can match it; None if nothing is certain."""
    found = factors.required(rule.regex.expression, encoding)
    prefix = watch.rules.prefix
    if prefix is not None:
        around = factors.around_group(prefix.regex.expression, "content", encoding)
        if around:
            found = [*around[0], *found, *around[1]]
        else:
            found = max(found, factors.required(prefix.regex.expression, encoding), key=_weight)
    kept = factors.heaviest(found)
    patterns = watch.jail.filter.datepattern if watch.jail.filter else ()
    if not keeps_words(patterns):
        return factors.one_may_miss(kept)
    return AllOf(kept) if kept else None


def _weight(found: Sequence[Factor]) -> int:
    return sum(factor.weight for factor in found)
