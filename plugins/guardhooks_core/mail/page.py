"""The text of a message, line by line: nothing but printable characters, and an end to its length."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from guardhooks import safe_text

LONGEST_LINE: Final = 900
_LONGEST: Final = 256 << 10
"""Characters of a message."""


class Page:
    """Takes lines until it is full, and says so then."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._left = _LONGEST

    def add(self, *lines: str) -> None:
        """Add lines; control characters, tabs save, are shown as escapes."""
        for line in lines:
            shown = safe_text(line[: LONGEST_LINE + 1].expandtabs(), LONGEST_LINE)[:LONGEST_LINE].rstrip()
            if self._left <= 0:
                return
            self._left -= len(shown) + 1
            self._lines.append(shown if self._left > 0 else "… (the message would be too long)")

    def section(self, title: str, lines: Iterable[str]) -> None:
        """A blank line, a title and what belongs under it, indented so that no line stands for itself."""
        self.add("", title)
        for line in lines:
            self.add(f"  {line}")

    def fields(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Names and values, those without a value left out."""
        for name, value in pairs:
            if value:
                self.add(f"  {name + ':':<12} {value}")

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"
