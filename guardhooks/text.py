"""Texts for people: what attackers wrote, made safe for a terminal and a log line; numbers with their nouns."""

from typing import Final

_LIMIT: Final = 2000


def plural(number: int, noun: str) -> str:
    """A number with its noun: `1 failure`, `2 failures`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def safe_text(text: str, limit: int = _LIMIT) -> str:
    r"""`text` on one line, control and other unprintable characters shown as `\xNN` or `\uNNNN`, cut to `limit`."""
    if len(text) > limit:
        text = text[:limit] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
