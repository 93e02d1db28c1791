"""Texts for people: what attackers wrote, made safe for a terminal and a log line; numbers with their nouns."""

import math
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
