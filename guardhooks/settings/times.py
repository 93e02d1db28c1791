"""Time expressions (`10m`, `1h 30m`, `1d*7`, `-1`) and plain arithmetic, by a small parser; nothing is `eval`ed."""

from __future__ import annotations

import math
import re
from typing import Final

from guardhooks.errors import ConfigError
from guardhooks.text import did_you_mean

_YEAR: Final = 31557600.0
_UNITS: Final = (
    (("y", "yy", "ye", "yea", "year", "years"), _YEAR),
    (("mo", "mon", "month", "months"), _YEAR / 12),
    (("w", "ww", "we", "wee", "week", "weeks"), 604800.0),
    (("d", "dd", "da", "day", "days"), 86400.0),
    (("h", "hh", "ho", "hou", "hour", "hours"), 3600.0),
    (("m", "mm", "mi", "min", "minute", "minutes"), 60.0),
    (("s", "ss", "se", "sec", "second", "seconds"), 1.0),
)
_SECONDS: Final = {spelling: seconds for spellings, seconds in _UNITS for spelling in spellings}
_TOKEN = re.compile(r"(?P<blank>\s*)(?:(?P<number>\d+(?:\.\d*)?|\.\d+)|(?P<unit>[a-z]+)|(?P<sign>[-+*/()]))")
_MAX_TEXT: Final = 200
_MAX_DEPTH: Final = 20


def parse_duration(text: str) -> float:
    """Seconds of a time expression: numbers with units, `+ - * / ( )`; numbers side by side add up.

    `1h30m` is 5400, `1year-6mo` 15778800, `1M` one minute. A `#` begins a comment, as in fail2ban, where the text is an
    expression of Python: `1w # seven days` is 604800. Raises ConfigError for anything else.
    """
    return _evaluate(text, _SECONDS, "time")


def parse_number(text: str) -> float:
    """The value of an arithmetic expression without units, as in `bantime.factor`; `#` as above. Raises ConfigError."""
    return _evaluate(text, {}, "number")


def without_comment(text: str) -> str:
    """The text before the first `#`, without the blanks around it."""
    return text.partition("#")[0].strip()


def _evaluate(text: str, units: dict[str, float], kind: str) -> float:
    try:
        return _Expression(_tokens(without_comment(text).lower(), units)).value()
    except (ValueError, ArithmeticError) as error:
        allowed = "a number of seconds or units such as 10m, 1h30m, 1d, 2w" if units else "a number such as 1 or 24*60"
        raise ConfigError(f"{text[:60]!r} is not a {kind} ({error}); use {allowed}") from None


def _tokens(text: str, units: dict[str, float]) -> list[str | float]:
    """Signs as text and numbers as float; a unit becomes a multiplication, a blank between numbers an addition."""
    if len(text) > _MAX_TEXT:
        raise ValueError("too long")
    tokens: list[str | float] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"cannot read {text[position : position + 10]!r}")
        position = match.end()
        after_number = bool(tokens) and isinstance(tokens[-1], float)
        if match["number"]:
            tokens += ["+"] * after_number
            tokens.append(float(match["number"]))
        elif match["unit"]:
            _check_unit(
                match, units, after_number=after_number or bool(tokens and tokens[-1] == ")" and match["blank"])
            )
            tokens += ["*", units[match["unit"]]]
        else:
            tokens.append(match["sign"])
    return tokens


def _check_unit(match: re.Match[str], units: dict[str, float], *, after_number: bool) -> None:
    if match["unit"] not in units:
        kind = "unit" if units else "word"
        raise ValueError(f"unknown {kind} {match['unit']!r}{did_you_mean(match['unit'], units)}")
    if not after_number:
        raise ValueError(f"no number before {match['unit']!r}")


class _Expression:
    def __init__(self, tokens: list[str | float]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    def value(self) -> float:
        if not self._tokens:
            raise ValueError("nothing there")
        value = self._sum()
        if self._next < len(self._tokens):
            raise ValueError(f"unexpected {self._tokens[self._next]!r}")
        if not math.isfinite(value):
            raise ValueError("not finite")
        return value

    def _take(self, *signs: str) -> str | None:
        if self._next < len(self._tokens) and self._tokens[self._next] in signs:
            self._next += 1
            return str(self._tokens[self._next - 1])
        return None

    def _sum(self) -> float:
        value = self._product()
        while sign := self._take("+", "-"):
            value = value + self._product() if sign == "+" else value - self._product()
        return value

    def _product(self) -> float:
        value = self._factor()
        while sign := self._take("*", "/"):
            value = value * self._factor() if sign == "*" else value / self._factor()
        return value

    def _factor(self) -> float:
        negative = False
        while sign := self._take("+", "-"):
            negative ^= sign == "-"
        value = self._primary()
        return -value if negative else value

    def _primary(self) -> float:
        if self._take("("):
            self._depth += 1
            if self._depth > _MAX_DEPTH:
                raise ValueError("too many parentheses")
            value = self._sum()
            if not self._take(")"):
                raise ValueError("')' is missing")
            self._depth -= 1
            return value
        if self._next >= len(self._tokens) or isinstance(self._tokens[self._next], str):
            raise ValueError("a number is missing")
        self._next += 1
        return float(self._tokens[self._next - 1])
