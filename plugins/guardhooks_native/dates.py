"""The dates of lines, asked of the date detector, and for how many other lines each answer holds."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TypeAlias

from guardhooks.filters import DateDetector, Template
from guardhooks_native import _core
from guardhooks_native.characters import Characters
from guardhooks_native.translate import UntranslatableError, translate

Wild: TypeAlias = tuple[int, int, int]
"""A place, and the lowest and the highest byte that may stand there."""
Kept: TypeAlias = tuple[int, int, list[Wild], int | None, float, float, bool]
"""As `dates.rs` reads it: state, reach, wild places, place of the seconds, since, until, whether long lines too."""
Answer: TypeAlias = tuple[int, int, float | None, Kept | None]

_DIGIT_0, _DIGIT_5, _DIGIT_9 = b"059"
_MINUTE = 62
_SHORT = 1024
"""Characters; longer lines are searched for a date in another way."""


@dataclass(slots=True)
class CoreDates:
    """Answers the core's questions about dates for one detector."""

    detector: DateDetector
    characters: Characters
    _regexes: dict[re.Pattern[str], _core.Regex | None] = field(default_factory=dict)
    _state: object = None
    _number: int = 0

    def of(self, line: bytes, now: float, uses: int, last_use: float) -> Answer | None:
        """The date of a line. `uses` lines had one that was known already, the last at `last_use`."""
        detector = self.detector
        if uses and detector.last is not None:
            detector.last.used_again(uses, last_use)
        text = line.decode("utf-8", "replace")
        found = detector.find(text, now)
        if found is None:
            return None
        kept = None
        if found.time is not None and len(text) <= _SHORT and detector.last is not None:
            kept = self._kept(detector.last, text, found.time, now)
        return found.start, found.end, found.time, kept

    def _kept(self, template: Template, text: str, time: float, now: float) -> Kept | None:
        """For which other lines the answer holds: those that look the same as far as the pattern looks."""
        match = template.repeated(text)
        if match is None:
            return None
        regex = self._regex(match.re)
        if regex is None:
            return None
        subject = self.characters.encode(text)
        wild, seconds = _wild(template, match, text)
        if seconds is not None and (held := template.held_minute(match)) and held.time is not None:
            since, until = held.since + _MINUTE, held.until
            same = since <= now < until and held.time + int(text[seconds : seconds + 2]) == time
            if same and (reach := regex.reach(subject, match.start(), wild)) is not None:
                return self._answer(template, text, reach, wild, seconds, since, until)
        latest = template.held_text(match)
        reach = regex.reach(subject, match.start(), [])
        if latest is None or reach is None:
            return None
        return self._answer(template, text, reach, [], None, latest.since, latest.until)

    def _answer(  # noqa: PLR0917 -- the parts of the answer
        self,
        template: Template,
        text: str,
        reach: int,
        wild: list[Wild],
        seconds: int | None,
        since: float,
        until: float,
    ) -> Kept | None:
        reach = max(reach, template.end + 1)
        if reach > len(text) or not text[:reach].isascii() or any(math.isnan(edge) for edge in (since, until)):
            return None
        if any(place in {template.start - 1, template.end} for place, _, _ in wild):
            return None
        state = (template, template.state)
        if state != self._state:
            self._state = state
            self._number += 1
        long = template.same_in_long_lines(text[:reach])
        return self._number, reach, wild, seconds, since, min(until, self.detector.year_ends), long

    def _regex(self, pattern: re.Pattern[str]) -> _core.Regex | None:
        if pattern not in self._regexes:
            try:
                graph = translate(pattern.pattern, self.characters, pattern.flags & ~re.UNICODE).graph
                self._regexes[pattern] = _core.Regex(graph, self.characters.words)
            except (UntranslatableError, ValueError):
                self._regexes[pattern] = None
        return self._regexes[pattern]


def _wild(template: Template, match: re.Match[str], text: str) -> tuple[list[Wild], int | None]:
    """The places of the seconds and of their fraction, if any digits may stand there."""
    if "S" not in template.fields:
        return [], None
    begin, end = match.span("S")
    digits = text[begin:end]
    if end - begin != 2 or not (digits.isascii() and digits.isdecimal()) or digits[0] > "5":
        return [], None
    wild = [(begin, _DIGIT_0, _DIGIT_5), (begin + 1, _DIGIT_0, _DIGIT_9)]
    if "f" in template.fields and match.start("f") == end + 1:
        fraction = match["f"]
        if not (fraction.isascii() and fraction.isdecimal()):
            return [], None
        wild += [(place, _DIGIT_0, _DIGIT_9) for place in range(match.start("f"), match.end("f"))]
    return wild, begin
