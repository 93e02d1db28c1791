r"""Characters as the native core sees them: one byte each, ASCII as it is, all others by the class that they share.

A class holds the characters that no regex tells apart, as far as `\w`, `\d`, `\s`, IGNORECASE and the literals
of the regexes go. What a class means is always asked of Python's own `re`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

OTHER: Final = 128
WORD: Final = 129
DIGIT: Final = 130
SPACE: Final = 131
_FIRST_OWN: Final = 132
_FOLDED: Final = "\u0130\u0131\u017f\u212a"
"""Characters outside ASCII that IGNORECASE takes for an ASCII letter."""
_SAMPLES: Final = {
    OTHER: range(0x2500, 0x2600),
    WORD: range(0x4E00, 0x4F00),
    DIGIT: (*range(0x660, 0x66A), *range(0x966, 0x970)),
    SPACE: (0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000),
}
"""Characters of the shared classes; one that stands in no regex speaks for its class."""
_PAGE: Final = 256
_RUNS: Final = ((WORD, re.compile(r"\w+")), (DIGIT, re.compile(r"\d+")), (SPACE, re.compile(r"\s+")))


class TooManyError(Exception):
    """More characters outside ASCII than there are codes."""


class Characters:
    """The classes of one set of regexes. `literals` are the characters outside ASCII that stand in them."""

    def __init__(self, literals: Iterable[str] = ()) -> None:
        """:raises TooManyError: if there are more than about a hundred."""
        own = sorted({*_FOLDED, *literals})
        if len(own) > 256 - _FIRST_OWN:
            raise TooManyError(f"{len(own)} different characters outside ASCII in its regexes")
        self._own: Final = {character: _FIRST_OWN + place for place, character in enumerate(own)}
        self.samples: Final = {
            **{code: chr(code) for code in range(128)},
            **{code: _sample(points, own) for code, points in _SAMPLES.items()},
            **{code: character for character, code in self._own.items()},
        }
        """A character of each class, by code."""
        self.words: Final = mask_bytes(self._mask(r"\w"))

    def __contains__(self, character: str) -> bool:
        """Whether a character has a code of its own."""
        return character < "\x80" or character in self._own

    def _mask(self, expression: str) -> int:
        match = re.compile(expression).match
        return sum(1 << code for code, character in self.samples.items() if match(character))

    def page(self, number: int) -> bytes:
        """The codes of the 256 characters from `number` * 256 on."""
        text = "".join(map(chr, range(number * _PAGE, (number + 1) * _PAGE)))
        codes = bytearray([OTHER]) * _PAGE
        for code, runs in _RUNS:
            for run in runs.finditer(text):
                codes[run.start() : run.end()] = bytes([code]) * (run.end() - run.start())
        for character, code in self._own.items():
            if ord(character) // _PAGE == number:
                codes[ord(character) % _PAGE] = code
        return bytes(codes)

    def encode(self, text: str) -> bytes:
        """`text`, one code for each character: what the core makes of a line, for tests."""
        pages: dict[int, bytes] = {}
        found = bytearray()
        for character in text:
            point = ord(character)
            if point < 128:
                found.append(point)
                continue
            page = pages.get(point // _PAGE)
            if page is None:
                page = pages[point // _PAGE] = self.page(point // _PAGE)
            found.append(page[point % _PAGE])
        return bytes(found)


def _sample(points: Iterable[int], own: Sequence[str]) -> str:
    """:raises TooManyError: if all of them stand in regexes."""
    for point in points:
        if chr(point) not in own:
            return chr(point)
    raise TooManyError("too many different characters of one kind in its regexes")


def mask_bytes(mask: int) -> bytes:
    """A set of codes as the core reads it: 32 bytes, the lowest code in the lowest bit."""
    return mask.to_bytes(32, "little")
