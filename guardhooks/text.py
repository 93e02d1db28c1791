"""Texts for people: what attackers wrote, made safe; numbers with their nouns, times, the name that was meant."""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

_LIMIT: Final = 2000
_UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def plural(number: int, noun: str) -> str:
    """A number with its noun: `1 failure`, `2 failures`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float | None) -> str:
    """The two largest units that matter: `45s`, `10m`, `1h 5m`, `3d 4h`; None and infinity are permanent."""
    if seconds is None or seconds == math.inf:
        return "forever"
    left, words = round(max(0.0, seconds)), list[str]()
    for unit, length in _UNITS:
        count, left = divmod(left, length)
        if count or words:
            words.append(f"{count}{unit}" if count else "")
        if len(words) == 2:
            break
    return " ".join(filter(None, words)) or "0s"


def safe_text(text: str, limit: int = _LIMIT) -> str:
    r"""`text` on one line, control and other unprintable characters shown as `\xNN` or `\uNNNN`, cut to `limit`."""
    if len(text) > limit:
        text = text[:limit] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def did_you_mean(word: str, allowed: Iterable[str], likeness: float = 0.7) -> str:
    """`; did you mean 'enabled'?`, or nothing where no allowed name is near."""
    near = nearest(word, allowed, likeness)
    return f"; did you mean {near!r}?" if near else ""


def nearest(word: str, allowed: Iterable[str], likeness: float = 0.7) -> str:
    """The allowed name that is most like the word; empty where none is near."""
    return _nearest(word.lower(), tuple(allowed), likeness)


def nearest_or_all(word: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'port'?`, or all that is allowed where nothing is near."""
    names = sorted(set(allowed))
    return did_you_mean(word, names) or f"; allowed: {', '.join(names) or 'none'}"


@lru_cache(maxsize=256)
def _nearest(word: str, allowed: tuple[str, ...], likeness: float) -> str:
    """Remembered, as a hundred jails ask about the same words."""
    from difflib import get_close_matches  # a command that finds nothing wrong does without

    return next(iter(get_close_matches(word, allowed, n=1, cutoff=likeness)), "")
