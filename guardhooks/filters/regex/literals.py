"""The literals that a text must contain, in order, for a regex to match: what a prefilter searches for in raw bytes.

Only runs of word characters are used. Whatever is between them is dropped: anchors, look-arounds, classes and the date,
which is cut out of the text before matching but is still there in the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from guardhooks.filters.regex import charsets
from guardhooks.filters.regex.parsing import parsed

_CHOICES: Final = 4
"""A class of more characters than this ends a word."""
_MOST: Final = 3
"""Literals of one sequence that are used, the heaviest: more make Hyperscan's database slow to build."""
_CHOICE_COSTS: Final = 3
"""Characters by which a choice of words must be longer than a single word to be preferred."""


@dataclass(frozen=True, slots=True)
class Word:
    """Consecutive characters; each of `places` holds the byte spellings of one of them."""

    places: tuple[frozenset[bytes], ...]

    @property
    def weight(self) -> int:
        return len(self.places)


@dataclass(frozen=True, slots=True)
class AllOf:
    """All parts, in this order, with anything between them."""

    parts: tuple[RequiredLiteral, ...]

    @property
    def weight(self) -> int:
        return sum(part.weight for part in self.parts)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of the parts."""

    parts: tuple[RequiredLiteral, ...]

    @property
    def weight(self) -> int:
        return min(part.weight for part in self.parts)


Node: TypeAlias = tuple[charsets.Argument, charsets.Argument]
RequiredLiteral: TypeAlias = Word | AllOf | AnyOf


def required_literals(expression: str, encoding: str) -> list[RequiredLiteral]:
    """What any text that `expression` matches contains, in order; empty if nothing is certain."""
    tree = parsed(expression)
    return _Collector(tree.state.flags, encoding).collect(list(tree))


def around_group(
    expression: str, group: str, encoding: str
) -> tuple[list[RequiredLiteral], list[RequiredLiteral]] | None:
    """What must come before and after `group`; None unless the group always matches something."""
    tree = parsed(expression)
    number = tree.state.groupdict.get(group)
    items = list(tree)
    for place, (operation, argument) in enumerate(items):
        if str(operation) == "SUBPATTERN" and argument[0] == number and argument[3].getwidth()[0] > 0:
            flags = tree.state.flags
            before, after = items[:place], items[place + 1 :]
            return _Collector(flags, encoding).collect(before), _Collector(flags, encoding).collect(after)
    return None


def heaviest(found: Sequence[RequiredLiteral], most: int = _MOST) -> tuple[RequiredLiteral, ...]:
    """The `most` heaviest of them, still in order."""

    def rank(number: int) -> int:
        literal = found[number]
        return literal.weight - (_CHOICE_COSTS if isinstance(literal, AnyOf) else 0)

    return tuple(found[n] for n in sorted(sorted(range(len(found)), key=rank, reverse=True)[:most]))


def one_may_miss(found: Sequence[RequiredLiteral]) -> RequiredLiteral | None:
    """What remains certain if a date may split any one of the literals."""
    if len(found) == 1 and isinstance(found[0], Word) and found[0].weight >= 4:
        places, half = found[0].places, found[0].weight // 2
        return AnyOf((Word(places[: len(places) - half]), Word(places[half:])))
    if len(found) < 2:
        return None
    return AnyOf(tuple(AllOf((*found[:n], *found[n + 1 :])) for n in range(len(found))))


class _Collector:
    """Walks a sequence and collects words; whatever is not a definite word character ends the current one."""

    def __init__(self, flags: int, encoding: str) -> None:
        self._flags = flags
        self._encoding = encoding
        self._found: list[RequiredLiteral] = []
        self._places: list[frozenset[bytes]] = []

    def collect(self, items: Sequence[Node]) -> list[RequiredLiteral]:
        self._walk(items)
        self._end_word()
        return self._found

    def _walk(self, items: Sequence[Node]) -> None:
        for operation, argument in items:
            kind = str(operation)
            if kind in {"LITERAL", "IN"}:
                self._character(kind, argument)
            elif kind == "SUBPATTERN":
                self._scoped(argument)
            elif kind == "ATOMIC_GROUP":
                self._walk(list(argument))
            elif kind not in {"AT", "ASSERT", "ASSERT_NOT"}:
                self._end_word()
                self._found.extend(self._composite(kind, argument))

    def _character(self, kind: str, argument: charsets.Argument) -> None:
        spellings = frozenset(self._spellings(kind, argument))
        if spellings and len(spellings) <= _CHOICES:
            self._places.append(spellings)
        else:
            self._end_word()

    def _spellings(self, kind: str, argument: charsets.Argument) -> Iterator[bytes]:
        """The byte spellings of a word character or a small class of them; nothing for anything else."""
        codes = [argument] if kind == "LITERAL" else [value for _, value in argument]
        if kind == "IN" and any(str(operation) != "LITERAL" for operation, _ in argument):
            return
        characters = [chr(code) for code in codes]
        if len(characters) > _CHOICES or not all(c.isalnum() or c == "_" for c in characters):
            return
        if self._flags & re.IGNORECASE:
            if not all(c.isascii() for c in characters):
                return
            characters = [
                form for c in characters for form in (c.lower(), c.upper(), *charsets.FOLDED.get(c.lower(), ""))
            ]
        for character in characters:
            try:
                yield character.encode(self._encoding)
            except UnicodeEncodeError:
                continue

    def _scoped(self, argument: charsets.Argument) -> None:
        _, added, removed, body = argument
        outer = self._flags
        self._flags = (outer | added) & ~removed
        self._walk(list(body))
        self._flags = outer

    def _composite(self, kind: str, argument: charsets.Argument) -> list[RequiredLiteral]:
        """Literals of a repeat, branch or conditional."""
        if kind in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
            return self._inner(argument[2]) if argument[0] > 0 else []
        if kind == "BRANCH":
            return self._either([list(branch) for branch in argument[1]])
        if kind == "GROUPREF_EXISTS":
            return self._either([list(argument[1]), list(argument[2] or ())])
        return []

    def _either(self, branches: Sequence[Sequence[Node]]) -> list[RequiredLiteral]:
        """One word of each branch; deeper alternatives would cost the engine more than they exclude."""
        words: dict[Word, None] = {}
        for branch in branches:
            best = heaviest(self._inner(branch), 1)
            if not best:
                return []
            words.update(dict.fromkeys(best[0].parts if isinstance(best[0], AnyOf) else best))  # type: ignore[arg-type]
        return [next(iter(words)) if len(words) == 1 else AnyOf(tuple(words))]

    def _inner(self, items: Sequence[Node]) -> list[RequiredLiteral]:
        return _Collector(self._flags, self._encoding).collect(list(items))

    def _end_word(self) -> None:
        if len(self._places) > 1:
            self._found.append(Word(tuple(self._places)))
        self._places = []
