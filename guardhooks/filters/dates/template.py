"""A date pattern in use: compiled at first use, with a cache of the times it found and where it found them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from guardhooks.filters.dates.defaults import ANY_EPOCH, Entry
from guardhooks.filters.dates.fields import Resolved, resolve
from guardhooks.filters.dates.language import compile_pattern, human_name
from guardhooks.filters.dates.zones import Calendar

_CACHED_TIMES: Final = 256
# Seconds after a full minute for which a cached minute is valid, leap seconds included.
_MINUTE: Final = 62
# Of a longer line, only this many characters are searched, from the first position that looks like a date.
_REACH: Final = 1024
# No date starts this far before that position, nor, in practice, does a pattern around `{DATE}`.
_BEFORE: Final = 80
_BEFORE_AROUND: Final = 512
# What may follow a date and extend it: a fraction, a zone.
_BEHIND: Final = 64
# A custom pattern with `*` or `+` may take time quadratic in the line's length; with two of them before the date even
# if it is anchored.
_OPEN_ENDED: Final = re.compile(r"(?<!\\)[*+]|\{\d*,\}")
_HEAD: Final = 4096
_ANCHORED_HEAD: Final = 16384
_CLOCK: Final = re.compile(r"\d:[0-5]?\d:\d")
_LOOKS: Final[Mapping[str, re.Pattern[str]]] = {
    "EPOCH": re.compile(r"^\W{0,2}\d{10}|audit\("),
    ANY_EPOCH: re.compile(r"\d{10}"),
    "TAI64N": re.compile("@[0-9a-f]"),
    r"%ExY%Exm%Exd(?:-|T|  ?)%ExH:?%ExM:?%ExS(?:[.,]%f)?(?:\s*%z)?": re.compile(r"2\d{7}"),
}

# The position of the first hit of each quick test in the line (-1: none), shared by all templates tried on that line.
Looked = dict[re.Pattern[str], int]


@dataclass(frozen=True, slots=True)
class DateMatch:
    """A date text in a line."""

    time: float | None
    """Epoch seconds. None: the date is invalid (29 Feb in a common year), or the text is empty (`start == end`, as with
    `{NONE}`)."""
    start: int
    """Start of the part of the line that is cut out…"""
    end: int
    """…and its end (exclusive)."""
    pattern: str
    """The name of the pattern that matched."""


class Template:
    """A pattern of the list. `start` and `end` are the columns of its last match."""

    def __init__(self, entry: Entry) -> None:
        self.name: Final = human_name(entry.pattern)
        self.weight: Final = entry.weight
        self.hits = 0
        self.last_used = 0.0
        self.start = 0
        self.end = 0
        self.anchored = False
        self._pattern: Final = entry.pattern
        self._look: Final = _LOOKS.get(entry.date, _CLOCK) if entry.date else None
        self._before: Final = _BEFORE if entry.stock else _BEFORE_AROUND
        self._open_ended: Final = 0 if entry.stock else len(_OPEN_ENDED.findall(entry.pattern))
        self._lead: Final = len(_OPEN_ENDED.findall(re.split(r"%|\(\?P<", entry.pattern, maxsplit=1)[0]))
        self._from_begin = False
        self._cut = 0
        self._regex: re.Pattern[str] | None = None
        self._fields: tuple[str, ...] = ()
        self._begin = 0
        self._edges = ("", "", "", "")
        self._times: dict[str, Resolved] = {}
        self._latest: tuple[str, Resolved, DateMatch] | None = None
        # Fields in a look-around are not part of the matched text, so the text does not determine the time.
        self._cached: Final = "(?=" not in entry.pattern and "(?<" not in entry.pattern

    def prepare(self, year: int) -> re.Pattern[str]:
        """Compile, with `%ExY` as of `year`.

        :raises ConfigError: if the pattern is invalid.
        """
        compiled = compile_pattern(self._pattern, year)
        self._fields = tuple(name for name in compiled.regex.groupindex if not name.startswith("_"))
        self._cut, self._from_begin = compiled.cut, compiled.from_begin
        self.anchored = compiled.from_begin or compiled.to_end
        self._regex = compiled.regex
        return compiled.regex

    def forget(self) -> None:
        """Compile again at the next use, perhaps for another year."""
        self._regex = None

    def columns(self, match: re.Match[str]) -> tuple[int, int]:
        """Start and end of what `match` cuts out."""
        begin, end = match.span(self._cut)
        return (begin, end) if begin >= 0 else (match.start(), match.start())

    def search(self, line: str, year: int, looked: Looked) -> re.Match[str] | None:
        """The leftmost date of this pattern in `line`."""
        regex = self._regex or self.prepare(year)
        if len(line) > _REACH:
            return self._search_long(regex, line, looked)
        if self._look is not None and _first(self._look, line, looked) < 0:
            return None
        return regex.match(line) if self._from_begin else regex.search(line)

    def _search_long(self, regex: re.Pattern[str], line: str, looked: Looked) -> re.Match[str] | None:
        """As `search`, but only in a part of the line, so that a hostile line costs little."""
        begin, end = 0, len(line)
        if self._look is not None:
            place = _first(self._look, line, looked)
            if place < 0:
                return None
            if not self._from_begin:
                begin = max(0, place - self._before)
                end = begin + self._before + _REACH
        if self._open_ended:
            end = min(end, begin + (_ANCHORED_HEAD if self._from_begin and self._lead < 2 else _HEAD))
        match = regex.match(line, begin, end) if self._from_begin else regex.search(line, begin, end)
        if match is None or end >= len(line):
            return match
        # Again, as the end of the searched part may have been taken for the end of the line.
        return regex.match(line, match.start(), match.end() + _BEHIND)

    def same_place(self, line: str, calendar: Calendar, now: float) -> DateMatch | None:
        """The date in `line` if this pattern matches exactly where it did last; counted like any other hit."""
        regex = self._regex
        if regex is None or len(line) > _REACH or not (self._from_begin or self._same_place(line)):
            return None
        match = regex.match(line, self._begin)
        if match is None or match.span(self._cut) != (self.start, self.end):
            return None
        self.hits += 1
        self.last_used = now
        if self._latest is not None:
            known, held, result = self._latest
            if known == match[0] and held.since <= now < held.until and result.start == self.start:
                return result
        return self.date(match, calendar, now)

    def repeated(self, line: str) -> re.Match[str] | None:
        """The match of this pattern in `line` if `same_place` would find it, and its text alone tells the time."""
        regex = self._regex
        if regex is None or not self._cached or not (self._from_begin or self._same_place(line)):
            return None
        match = regex.match(line, self._begin)
        return match if match is not None and match.span(self._cut) == (self.start, self.end) else None

    def used_again(self, times: int, now: float) -> None:
        """Count so many lines whose dates somebody knew without asking, the last one at `now`."""
        self.hits += times
        self.last_used = now

    @property
    def state(self) -> tuple[object, ...]:
        """As long as it stays the same, `same_place` answers alike for lines that look alike."""
        return self._regex, self._begin, self.start, self.end, self._edges

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the date that this pattern finds, such as `S`."""
        return self._fields

    def held_minute(self, match: re.Match[str]) -> Resolved | None:
        """What is known of the minute in which the date of `match` is."""
        return self._times.get(self._minute(match, match[0])[0])

    def held_text(self, match: re.Match[str]) -> Resolved | None:
        """What is known of the very date of `match`, if it was the last one."""
        return self._latest[1] if self._latest is not None and self._latest[0] == match[0] else None

    def same_in_long_lines(self, head: str) -> bool:
        """Whether a line of any length that begins like `head` has the same date, its other characters aside."""
        if not self._from_begin:
            return True
        return not self._open_ended and (self._look is None or self._look.search(head) is not None)

    def again(self, line: str, year: int, looked: Looked) -> re.Match[str] | None:
        """The date in `line`, searched first where this pattern matched last if the surrounding characters agree."""
        regex = self._regex or self.prepare(year)
        if self._from_begin:
            return regex.match(line) if len(line) <= _REACH else self._search_long(regex, line, looked)
        if self._same_place(line):
            match = regex.match(line, self._begin)
            if match is not None and self.columns(match) == (self.start, self.end):
                return match
        return self.search(line, year, looked)

    def _same_place(self, line: str) -> bool:
        """Whether the characters around the last columns, or inside at their ends, are the same as then."""
        before, first, final, behind = self._edges
        start, end = self.start, self.end
        left = line[start - 1 : start] == before or (line[start : start + 1] == first and not first.isalnum())
        return left and (line[end : end + 1] == behind or (line[end - 1 : end] == final and not final.isalnum()))

    def won(self, match: re.Match[str], now: float) -> None:
        """Record a hit, for the ranking of the patterns."""
        self.hits += 1
        self.last_used = now
        self.start, self.end = self.columns(match)
        if not self._from_begin:
            self._begin = match.start()
            line, start, end = match.string, self.start, self.end
            self._edges = line[start - 1 : start], line[start : start + 1], line[end - 1 : end], line[end : end + 1]

    @property
    def rank(self) -> float:
        """The rank: higher with more hits, and nearer to the start of the line."""
        return self.hits * self.weight / max(1, self.start)

    def date(self, match: re.Match[str], calendar: Calendar, now: float) -> DateMatch:
        """The date that `match` found."""
        text = match[0]
        start, end = self.columns(match)
        if self._latest is not None:
            known, held, result = self._latest
            if known == text and result.start == start and held.since <= now < held.until:
                return result
        held = self._time(match, text, calendar, now) if end > start or self._fields else _NO_TIME
        result = DateMatch(held.time, start, end, self.name)
        if self._cached:
            self._latest = text, held, result
        return result

    def _time(self, match: re.Match[str], text: str, calendar: Calendar, now: float) -> Resolved:
        if not self._cached:
            return resolve(_told(match), calendar, now)
        minute, seconds = self._minute(match, text)
        held = self._times.get(minute)
        if held is None or not held.since <= now < held.until:
            held = resolve({name: value for name, value in _told(match).items() if name != "S"}, calendar, now)
            if len(self._times) >= _CACHED_TIMES:
                self._times.clear()
            self._times[minute] = held
        since = held.since + _MINUTE
        if held.time is None or not since <= now < held.until:
            return resolve(_told(match), calendar, now)
        return Resolved(held.time + seconds, since, held.until)

    def _minute(self, match: re.Match[str], text: str) -> tuple[str, int]:
        """The matched text without its seconds and their fraction (which is ignored), and those seconds."""
        seconds = match["S"] if "S" in self._fields else None
        if seconds is None or not seconds.isdecimal():
            return text, 0
        begin, end = match.span("S")
        if "f" in self._fields and match.start("f") == end + 1:
            end = match.end("f")
        offset = match.start()
        return f"{text[: begin - offset]}{text[end - offset :]}", int(seconds)


def _told(match: re.Match[str]) -> dict[str, str]:
    return {name: value for name, value in match.groupdict().items() if value}


_NO_TIME: Final = Resolved(None)


def _first(look: re.Pattern[str], line: str, looked: Looked) -> int:
    place = looked.get(look)
    if place is None:
        found = look.search(line)
        place = looked[look] = -1 if found is None else found.start()
    return place
