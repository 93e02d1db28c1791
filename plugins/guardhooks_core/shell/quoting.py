"""Where in a shell text a tag stands: how it is quoted there, and whether it begins a word.

No parser of the shell, and none is needed: the values are never shell text, so a wrong guess costs a value its shape,
never its harmlessness.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class Quote(Enum):
    """How the shell reads a place of a text."""

    BARE = auto()
    DOUBLE = auto()
    SINGLE = auto()
    UNKNOWN = auto()
    """Inside or behind a here-document."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A `<name>` in a text, from `start` to `end`. `begins` a word: what is put there may be taken for an option."""

    name: str
    start: int
    end: int
    quote: Quote
    begins: bool


_TOKEN: Final = re.compile(
    r"""<(?P<tag>[^ <>]+)> | (?P<here><<) | (?P<escape>\\.) | (?P<single>') | (?P<double>") | (?P<open>\$?\()
      | (?P<close>\)) | (?P<tick>`) | (?P<comment>\#[^\n]*)""",
    re.VERBOSE | re.DOTALL,
)
_BEFORE_WORD: Final = " \t\n;&|()`"


def tags(text: str) -> Iterator[Tag]:
    """All tags of a shell text, in order."""
    scanner = _Scanner(text)
    position = 0
    while match := _TOKEN.search(text, position):
        position = match.end()
        kind = match.lastgroup
        if kind == "tag":
            yield Tag(match["tag"], match.start(), match.end(), scanner.quote, scanner.begins(match.start()))
        else:
            position = scanner.take(kind or "", match)


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._frames: list[tuple[str, Quote]] = []
        """What encloses the present command substitution: its opening, and the quote in which that stands."""
        self.quote = Quote.BARE
        self._opened = -1

    def begins(self, place: int) -> bool:
        """Whether a word begins here, its opening quote left out of account."""
        if self.quote is Quote.UNKNOWN or self._text[place - 1 : place] == ">":
            return True  # behind another tag, which may turn out empty
        if self.quote is not Quote.BARE:
            if self._opened != place - 1:
                return False
            place -= 1
        while self._text[max(0, place - 2) : place] in {"''", '""'}:
            place -= 2
        return place == 0 or self._text[place - 1] in _BEFORE_WORD

    def take(self, kind: str, match: re.Match[str]) -> int:
        """Go over one token; where to read on."""
        if self.quote is Quote.UNKNOWN:
            return match.end()
        if self.quote is Quote.SINGLE:
            if kind == "single":
                self.quote = Quote.BARE
            # What looks like an escape or a comment has no meaning here, and may hold the closing quote.
            return match.start() + 1
        if kind == "single" and self.quote is Quote.BARE:
            self._enter(Quote.SINGLE, match)
        elif kind == "double":
            self._enter(Quote.BARE if self.quote is Quote.DOUBLE else Quote.DOUBLE, match)
        elif kind == "here" and self.quote is Quote.BARE:
            self.quote = Quote.UNKNOWN
        elif kind == "comment":
            return self._comment(match)
        else:
            self._substitution(kind, match)
        return match.end()

    def _enter(self, quote: Quote, match: re.Match[str]) -> None:
        self.quote = quote
        self._opened = match.start()

    def _comment(self, match: re.Match[str]) -> int:
        is_comment = self.quote is Quote.BARE and self.begins(match.start())
        return match.end() if is_comment else match.start() + 1

    def _substitution(self, kind: str, match: re.Match[str]) -> None:
        inside = self._frames[-1][0] if self._frames else ""
        closes = kind == "tick" == inside or (kind == "close" and inside == "open" and self.quote is Quote.BARE)
        if closes:
            self.quote = self._frames.pop()[1]
        elif kind == "tick" or (kind == "open" and (self.quote is Quote.BARE or match[0] == "$(")):
            self._frames.append((kind, self.quote))
            self.quote = Quote.BARE
