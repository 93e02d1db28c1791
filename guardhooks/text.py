"""Text that attackers wrote, made fit for a terminal and a log line."""

from typing import Final

_LIMIT: Final = 2000


def safe_text(text: str, limit: int = _LIMIT) -> str:
    r"""`text` on one line, control and other unprintable characters shown as `\xNN` or `\uNNNN`, cut to `limit`."""
    if len(text) > limit:
        text = text[:limit] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
