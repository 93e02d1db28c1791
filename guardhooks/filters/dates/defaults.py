"""The default date patterns, and the keywords for them in `datepattern`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from guardhooks.errors import ConfigError
from guardhooks.filters.dates.language import EPOCH, LINE_BEGIN, TAI64N, UNBOUND
from guardhooks.text import safe_text

NONE: Final = "{NONE}"
_DEFAULT: Final = "{DEFAULT}"
_DATE: Final = "{DATE}"
_ISO8601: Final = r"%ExY-?%Exm-?%Exd[T ]%ExH:?%ExM:?%ExS(?:[.,]%f)?(?:\s*%z)?"
_ANCHORED_WEIGHT: Final = 100
# Within another pattern an epoch number may be anywhere, unlike in the default pattern.
ANY_EPOCH: Final = "{EPOCH}"

DEFAULTS: Final = (
    r"%ExY(?P<_sep>[-/.])%m(?P=_sep)%d(?:T|  ?)%H:%M:%S(?:[.,]%f)?(?:\s*%z)?",
    r"(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?",
    r"(?:%a )?%b %d %ExY %k:%M:%S(?:\.%f)?",
    r"%d(?P<_sep>[-/])%m(?P=_sep)(?:%ExY|%Exy) %k:%M:%S",
    r"%d(?P<_sep>[-/])%b(?P=_sep)%ExY[ :]?%H:%M:%S(?:\.%f)?(?: %z)?",
    r"%m/%d/%ExY:%H:%M:%S",
    r"%m-%d-%ExY %k:%M:%S(?:\.%f)?",
    "EPOCH",
    "{^LN-BEG}%H:%M:%S",
    "^<%m/%d/%Exy@%H:%M:%S>",
    r"%Exy%Exm%Exd  ?%H:%M:%S",
    r"%b %d, %ExY %I:%M:%S %p",
    r"^%b-%d-%Exy %k:%M:%S",
    r"%ExY%Exm%Exd(?:-|T|  ?)%ExH:?%ExM:?%ExS(?:[.,]%f)?(?:\s*%z)?",
    r"(?:%Z )?(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?",
    r"(?:%z )?(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?",
    "TAI64N",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One pattern of the effective list."""

    pattern: str
    weight: int  # how readily it moves up in the list
    date: str = ""  # the default whose dates it finds, if it is known to find such
    stock: bool = False  # that default itself, at most anchored


def effective_list(patterns: Sequence[str]) -> list[Entry]:
    """All patterns that `patterns` expand to, in order; without any, the 31 defaults.

    :raises ConfigError: if a pattern is listed twice.
    """
    chosen: dict[str, Entry] = {}
    own: set[str] = set()
    for pattern in patterns:
        entries = list(_entries(pattern))
        if len(entries) == 1:
            if pattern in own:
                msg = f"datepattern {safe_text(pattern, 200)!r} is listed twice; remove one"
                raise ConfigError(msg)
            own.add(pattern)
        for entry in entries:
            chosen.setdefault(entry.pattern, entry)
    return list(chosen.values()) or list(_defaults())


def _entries(pattern: str) -> Iterator[Entry]:
    word = "" if "%" in pattern else pattern.strip().upper()
    if word == LINE_BEGIN:
        yield from _anchored(inherent=True)
    elif word == _DEFAULT:
        yield from _defaults()
    elif _DATE in (pattern if "%" in pattern else word):
        yield from _around_dates(pattern)
    elif word.removeprefix(LINE_BEGIN).removeprefix("^") == "ISO8601":
        yield Entry((LINE_BEGIN if word != "ISO8601" else "") + _ISO8601, 1)
    else:
        yield Entry(pattern, 1, date=word if word in DEFAULTS else "")


def _defaults() -> Iterator[Entry]:
    yield from _anchored(inherent=False)
    yield from (Entry(pattern, 1, pattern, stock=True) for pattern in DEFAULTS)


def _anchored(*, inherent: bool) -> Iterator[Entry]:
    for pattern in DEFAULTS:
        if not pattern.startswith(("^", LINE_BEGIN)):
            yield Entry(LINE_BEGIN + pattern, _ANCHORED_WEIGHT, pattern, stock=True)
        elif inherent:
            yield Entry(pattern, _ANCHORED_WEIGHT, pattern, stock=True)


def _around_dates(pattern: str) -> Iterator[Entry]:
    place = re.compile(re.escape(_DATE), re.NOFLAG if "%" in pattern else re.IGNORECASE)
    for default in DEFAULTS:
        kind = ANY_EPOCH if default == "EPOCH" else default
        date = {ANY_EPOCH: EPOCH, "TAI64N": TAI64N}.get(kind, kind)
        date = date.removeprefix(LINE_BEGIN).removeprefix(UNBOUND).removeprefix("^")
        yield Entry(place.sub(date.replace("\\", r"\\"), pattern), 1, kind)
