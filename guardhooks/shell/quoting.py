"""The quoting around each tag in a shell text, and whether the tag starts a word.

This is not a full shell parser, and need not be: values never become shell text, so a wrong guess may garble a value
but cannot execute it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class Quote(Enum):
    """How the shell interprets a position in a text."""

    BARE = auto()
    DOUBLE = auto()
    SINGLE = auto()
    HERE = auto()
    """In a here-document: expanded, but not split into words."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A `<name>` in a text, from `start` to `end`. If it `begins` a word, its value may be read as an option."""

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
_HERE_WORD: Final = re.compile(r"<<-?[ \t]*[\"'\\]?(\w+)")
_BEFORE_WORD: Final = " \t\n;&|()`"


def tags(text: str) -> Iterator[Tag]:
    """All tags of a shell text, in order."""
    scanner = _Scanner(text)
    position = 0
    while match := _TOKEN.search(text, position):
        position = match.end()
        if match.lastgroup == "tag":
            quote, begins = scanner.place(match.start())
            yield Tag(match["tag"], match.start(), match.end(), quote, begins)
        elif not scanner.is_in_document(match.start()):
            position = scanner.take(match.lastgroup or "", match)


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._frames: list[tuple[str, Quote]] = []
        """For each enclosing command substitution: its opening token, and the quoting around it."""
        self._quote = Quote.BARE
        self._opened = -1
        self._documents: list[range] = []

    def place(self, position: int) -> tuple[Quote, bool]:
        """The quoting at a position, and whether a word begins there."""
        if self.is_in_document(position):
            return Quote.HERE, False
        return self._quote, self._begins(position)

    def is_in_document(self, position: int) -> bool:
        """Whether a position lies in a here-document."""
        return any(position in document for document in self._documents)

    def _begins(self, place: int) -> bool:
        if self._text[place - 1 : place] == ">":
            return True  # After another tag, whose value may be empty.
        if self._quote is not Quote.BARE:
            if self._opened != place - 1:
                return False
            place -= 1
        while self._text[max(0, place - 2) : place] in {"''", '""'}:
            place -= 2
        return place == 0 or self._text[place - 1] in _BEFORE_WORD

    def take(self, kind: str, match: re.Match[str]) -> int:
        """Process one token; returns the position to continue at."""
        if self._quote is Quote.SINGLE:
            if kind == "single":
                self._quote = Quote.BARE
            # What looks like an escape or a comment has no meaning here, and may contain the closing quote.
            return match.start() + 1
        if kind == "single" and self._quote is Quote.BARE:
            self._enter(Quote.SINGLE, match)
        elif kind == "double":
            self._enter(Quote.BARE if self._quote is Quote.DOUBLE else Quote.DOUBLE, match)
        elif kind == "here" and self._quote is Quote.BARE:
            self._document(match)
        elif kind == "comment":
            return self._comment(match)
        else:
            self._substitution(kind, match)
        return match.end()

    def _document(self, match: re.Match[str]) -> None:
        """Record where the announced here-document begins (after this line) and ends."""
        word = _HERE_WORD.match(self._text, match.start())
        begin = self._text.find("\n", match.end()) + 1
        if word is None or not begin:
            return
        end = re.compile(rf"^\t*{re.escape(word[1])}$", re.MULTILINE).search(self._text, begin)
        self._documents.append(range(begin, end.start() if end else len(self._text)))

    def _enter(self, quote: Quote, match: re.Match[str]) -> None:
        self._quote = quote
        self._opened = match.start()

    def _comment(self, match: re.Match[str]) -> int:
        is_comment = self._quote is Quote.BARE and self._begins(match.start())
        return match.end() if is_comment else match.start() + 1

    def _substitution(self, kind: str, match: re.Match[str]) -> None:
        inside = self._frames[-1][0] if self._frames else ""
        closes = kind == "tick" == inside or (kind == "close" and inside == "open" and self._quote is Quote.BARE)
        if closes:
            self._quote = self._frames.pop()[1]
        elif kind == "tick" or (kind == "open" and (self._quote is Quote.BARE or match[0] == "$(")):
            self._frames.append((kind, self._quote))
            self._quote = Quote.BARE
