"""How the value of an option is written: a type parses text, renders a value, and says in words what it allows."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final, Generic, TypeVar

from guardhooks.errors import ConfigError
from guardhooks.settings.problems import did_you_mean
from guardhooks.settings.times import parse_duration, parse_number, without_comment

T = TypeVar("T")
N = TypeVar("N", int, float)

_TRUE: Final = ("1", "on", "true", "yes")
_FALSE: Final = ("0", "off", "false", "no")
_UNITS: Final = (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_SHOWN: Final = 60
"""Characters of a wrong value that an error message quotes."""


def _nothing(_text: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class OptionType(Generic[T]):
    """One kind of value.

    `description` says what is allowed, as it stands in documentation: `a whole number from 1 to 10`. `parse` takes the
    text without surrounding blanks and raises `ConfigError` for what is not allowed. `render` is its inverse:
    `parse(render(value)) == value`. `remark` tells what a text that `parse` accepts means where that is not what stands
    there: it is out of range, and the nearest value is used. It is empty where there is nothing to say.
    """

    description: str
    parse: Callable[[str], T]
    render: Callable[[T], str] = str
    remark: Callable[[str], str] = _nothing


def _refuse(text: str, expected: str) -> ConfigError:
    return ConfigError(f"{text[:_SHOWN]!r} is not {expected}")


def _boolean(text: str) -> bool:
    word = text.lower()
    if word not in _TRUE + _FALSE:
        allowed = ", ".join(sorted(_TRUE + _FALSE))
        raise ConfigError(f"{text[:_SHOWN]!r} is neither true nor false; use one of {allowed}")
    return word in _TRUE


def render_number(value: float) -> str:
    """A number without an exponent, since the grammar of numbers and times has none."""
    return str(int(value)) if float(value).is_integer() else format(Decimal(repr(value)), "f")


def render_duration(seconds: float) -> str:
    """A time in the largest unit that divides it: `30d`, `10m`, `90s`, `0.5`."""
    if seconds == 0 or not float(seconds).is_integer():
        return render_number(seconds)
    unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0)
    return f"{int(seconds) // size}{unit}"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _path(text: str) -> Path | None:
    if text and (not text.startswith("/") or "\0" in text):
        raise _refuse(text, "an absolute path")
    return Path(text) if text else None


TEXT: Final = OptionType("text", str)
BOOLEAN: Final = OptionType("true or false", _boolean, lambda value: str(value).lower())
WORDS: Final = OptionType("words separated by blanks or commas", _words, " ".join)
PATH: Final = OptionType("an absolute path", _path, lambda path: str(path or ""))
"""Empty text is None."""


def _positive_duration(text: str) -> float:
    seconds = parse_duration(text)
    if seconds <= 0:
        raise _refuse(text, "a time greater than 0")
    return seconds


def taken_as(text: str, meaning: str) -> str:
    """The remark about a value that is used otherwise than it is written."""
    return f"{text[:_SHOWN]!r} is taken as {meaning}"


def comment_remark(text: str) -> str:
    """The remark about a comment behind a number or a time; empty if there is none."""
    if "#" not in text:
        return ""
    return f"{taken_as(text, without_comment(text))}; write comments on lines of their own"


DURATION: Final = OptionType("a time greater than 0", _positive_duration, render_duration, comment_remark)
"""Seconds."""


def _in_range(
    description: str,
    read: Callable[[str], N],
    limits: tuple[N, N],
    render: Callable[[N], str],
    *,
    nearest: bool,
    below: N | None = None,
) -> OptionType[N]:
    """Numbers between two limits; `nearest` takes the limit for what is beyond it, and says so in a remark."""
    low, high = limits
    least = low if below is None else below

    def parse(text: str) -> N:
        value = read(text)
        if low <= value <= high:
            return value
        if not nearest:
            raise _refuse(text, description)
        return least if value < low else high

    def remark(text: str) -> str:
        if low <= read(text) <= high:
            return comment_remark(text)
        return f"{taken_as(text, render(parse(text)))}: only {description} is possible"

    return OptionType(description, parse, render, remark)


def integer(low: int, high: int, *, nearest: bool = True, below: int | None = None) -> OptionType[int]:
    """Whole numbers from `low` to `high`.

    :param nearest: whether a number out of that range means the nearest in it; else it is refused.
    :param below: what a number below `low` means in place of `low`.
    """
    description = f"a whole number from {low} to {high}"

    def read(text: str) -> int:
        digits = without_comment(text)
        if not re.fullmatch(r"[+-]?[0-9]{1,15}", digits):
            raise _refuse(text, description)
        return int(digits)

    return _in_range(description, read, (low, high), str, nearest=nearest, below=below)


def number(low: float = -math.inf, high: float = math.inf) -> OptionType[float]:
    """Numbers from `low` to `high`, the nearest for what is beyond; arithmetic such as `24*60` is understood."""
    limits = f" from {low:g} to {high:g}" if math.isfinite(low) and math.isfinite(high) else ""
    description = f"a number{limits}"

    def read(text: str) -> float:
        try:
            return parse_number(text)
        except ConfigError:
            if limits:
                raise _refuse(text, description) from None
            raise

    return _in_range(description, read, (low, high), render_number, nearest=True)


def duration(low: float = 0.0, high: float = math.inf, *, below: float | None = None) -> OptionType[float]:
    """Times from `low` to `high` seconds, the nearest for what is beyond: `90`, `10m`, `1h 30m`.

    :param below: what a time below `low` means in place of `low`.
    """
    if math.isfinite(high):
        description = f"a time from {render_duration(low)} to {render_duration(high)}"
    else:
        description = f"a time of {render_duration(low)} or more"
    return _in_range(description, parse_duration, (low, high), render_duration, nearest=True, below=below)


def choice(*allowed: str) -> OptionType[str]:
    """One word out of several, in upper or lower case."""
    listed = ", ".join(f"`{word}`" for word in allowed)

    def parse(text: str) -> str:
        if text.lower() not in allowed:
            shown = text[:_SHOWN]
            raise ConfigError(f"{shown!r} is none of {', '.join(allowed)}{did_you_mean(shown, allowed)}")
        return text.lower()

    return OptionType(listed, parse)
