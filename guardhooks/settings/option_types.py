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
from guardhooks.settings.times import parse_duration, parse_number

T = TypeVar("T")

_TRUE: Final = ("1", "on", "true", "yes")
_FALSE: Final = ("0", "off", "false", "no")
_UNITS: Final = (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_SHOWN: Final = 60
"""Characters of a wrong value that an error message quotes."""


@dataclass(frozen=True, slots=True)
class OptionType(Generic[T]):
    """One kind of value.

    `description` says what is allowed, as it stands in documentation: `a whole number from 1 to 10`. `parse` takes the
    text without surrounding blanks and raises `ConfigError` for what is not allowed. `render` is its inverse:
    `parse(render(value)) == value`.
    """

    description: str
    parse: Callable[[str], T]
    render: Callable[[T], str] = str


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


DURATION: Final = OptionType("a time greater than 0", _positive_duration, render_duration)
"""Seconds."""


def integer(low: int, high: int) -> OptionType[int]:
    """Whole numbers from `low` to `high`."""
    description = f"a whole number from {low} to {high}"

    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,15}", text) or not low <= int(text) <= high:
            raise _refuse(text, description)
        return int(text)

    return OptionType(description, parse)


def number(low: float = -math.inf, high: float = math.inf) -> OptionType[float]:
    """Numbers from `low` to `high`; arithmetic such as `24*60` is understood."""
    limits = f" from {low:g} to {high:g}" if math.isfinite(low) and math.isfinite(high) else ""
    description = f"a number{limits}"

    def parse(text: str) -> float:
        try:
            value = parse_number(text)
        except ConfigError:
            if limits:
                raise _refuse(text, description) from None
            raise
        if not low <= value <= high:
            raise _refuse(text, description)
        return value

    return OptionType(description, parse, render_number)


def duration(low: float = 0.0, high: float = math.inf) -> OptionType[float]:
    """Times from `low` to `high` seconds: `90`, `10m`, `1h 30m`."""
    if math.isfinite(high):
        description = f"a time from {render_duration(low)} to {render_duration(high)}"
    else:
        description = f"a time of {render_duration(low)} or more"

    def parse(text: str) -> float:
        seconds = parse_duration(text)
        if not low <= seconds <= high:
            raise _refuse(text, description)
        return seconds

    return OptionType(description, parse, render_duration)


def choice(*allowed: str) -> OptionType[str]:
    """One word out of several, in upper or lower case."""
    listed = ", ".join(f"`{word}`" for word in allowed)

    def parse(text: str) -> str:
        if text.lower() not in allowed:
            shown = text[:_SHOWN]
            raise ConfigError(f"{shown!r} is none of {', '.join(allowed)}{did_you_mean(shown, allowed)}")
        return text.lower()

    return OptionType(listed, parse)
