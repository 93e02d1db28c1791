"""The characters that one item of a parsed regex can match, as bit masks: ASCII by code, bit 128 for all others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

Argument: TypeAlias = Any
"""The argument of a node of the parse tree; the parser's types are private."""

OTHERS: Final = 1 << 128
EVERYTHING: Final = (1 << 129) - 1
NEWLINE: Final = 1 << 10

# Characters outside ASCII that IGNORECASE equates with an ASCII letter: dotted and dotless i, Kelvin sign, long s.
FOLDED: Final = {"i": "\u0130\u0131", "k": "\u212a", "s": "\u017f"}


def _class_mask(escape: str, flags: int) -> int:
    matches = re.compile(escape, flags & re.ASCII).match
    ascii_part = sum(1 << code for code in range(128) if matches(chr(code)))
    return ascii_part | (OTHERS if any(matches(c) for c in "\u00e9\u0660\u00a0\u2014") else 0)


_CATEGORIES: Final = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}
_MASKS: Final = {
    (name, flags): _class_mask(escape, flags) for name, escape in _CATEGORIES.items() for flags in (0, re.ASCII)
}


def of_character(code: int, flags: int) -> int:
    """The mask of one literal character."""
    if code >= 128:
        lowered = chr(code).lower()[:1]
        return OTHERS | (of_ascii(ord(lowered)) if flags & re.IGNORECASE and lowered < "\x80" else 0)
    if not flags & re.IGNORECASE:
        return 1 << code
    character = chr(code)
    mask = of_ascii(ord(character.lower())) | of_ascii(ord(character.upper()))
    return mask | OTHERS if character.lower() in FOLDED and not flags & re.ASCII else mask


def of_ascii(code: int) -> int:
    return 1 << code


def of_class(items: Iterable[tuple[Argument, Argument]], flags: int) -> int:
    """The mask of a bracket class: the argument of an `IN` node."""
    mask, negated = 0, False
    for operation, argument in items:
        if str(operation) == "NEGATE":
            negated = True
        else:
            mask |= _CLASS_ITEM[str(operation)](argument, flags)
    # Beyond ASCII the mask cannot tell which characters are meant, so the complement contains them all.
    return (EVERYTHING & ~mask) | OTHERS if negated else mask


def of_category(name: Argument, flags: int) -> int:
    return _MASKS[str(name), flags & re.ASCII]


def _of_range(bounds: tuple[int, int], flags: int) -> int:
    low, high = bounds
    mask = OTHERS if high >= 128 else 0
    for code in range(low, min(high, 127) + 1):
        mask |= of_character(code, flags)
    return mask


_CLASS_ITEM: Final[dict[str, Callable[[Argument, int], int]]] = {
    "LITERAL": of_character,
    "RANGE": _of_range,
    "CATEGORY": of_category,
}


def of_item(operation: str, argument: Argument, flags: int) -> int | None:
    """The mask of a node that matches exactly one character, None for any other node."""
    if operation == "LITERAL":
        return of_character(argument, flags)
    if operation == "NOT_LITERAL":
        return (EVERYTHING & ~of_character(argument, flags)) | OTHERS
    if operation == "ANY":
        return EVERYTHING if flags & re.DOTALL else EVERYTHING & ~NEWLINE
    if operation == "IN":
        return of_class(argument, flags)
    return None
