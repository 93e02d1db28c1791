"""The words that a text must hold, in order, for a regex to match: what a prefilter can look for in raw bytes.

Only runs of word characters are taken. What stands between them is forgotten, and with it anchors, look-arounds,
classes and the place of the date, which is cut out of the text before it is matched but still stands in the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from guardhooks_core.matchers.filterd.regex import charsets
from guardhooks_core.matchers.filterd.regex.parsing import parsed

_CHOICES: Final = 4
"""A class of more characters than this ends a word."""
_MOST: Final = 3
"""Factors of one sequence that are kept, the weightiest: more make the engine's database slow to build."""
_CHOICE_COSTS: Final = 3
"""Characters by which a choice of words must be longer than a single word to be preferred."""


@dataclass(frozen=True, slots=True)
class Word:
    """Bytes in a row; each place holds the spellings of one character."""

    places: tuple[frozenset[bytes], ...]

    @property
    def weight(self) -> int:
        return len(self.places)


@dataclass(frozen=True, slots=True)
class AllOf:
    """All parts, in this order, anything between them."""

    parts: tuple[Factor, ...]

    @property
    def weight(self) -> int:
        return sum(part.weight for part in self.parts)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of the parts."""

    parts: tuple[Factor, ...]

    @property
    def weight(self) -> int:
        return min(part.weight for part in self.parts)


Node: TypeAlias = tuple[charsets.Argument, charsets.Argument]
Factor: TypeAlias = Word | AllOf | AnyOf


def required(expression: str, encoding: str, flags: int = 0) -> list[Factor]:
    """What any text that `expression` matches holds, in order; empty if nothing is certain."""
    tree = parsed(expression, flags)
    return _Collector(tree.state.flags, encoding).collect(list(tree))


def around_group(expression: str, group: str, encoding: str) -> tuple[list[Factor], list[Factor]] | None:
    """What must stand before and behind `group`; None unless the group always matches something."""
    tree = parsed(expression)
    number = tree.state.groupdict.get(group)
    items = list(tree)
    for place, (operation, argument) in enumerate(items):
        if str(operation) == "SUBPATTERN" and argument[0] == number and argument[3].getwidth()[0] > 0:
            flags = tree.state.flags
            before, behind = items[:place], items[place + 1 :]
            return _Collector(flags, encoding).collect(before), _Collector(flags, encoding).collect(behind)
    return None


def heaviest(factors: Sequence[Factor], most: int = _MOST) -> tuple[Factor, ...]:
    """The `most` weightiest of them, still in order."""

    def rank(number: int) -> int:
        factor = factors[number]
        return factor.weight - (_CHOICE_COSTS if isinstance(factor, AnyOf) else 0)

    return tuple(factors[n] for n in sorted(sorted(range(len(factors)), key=rank, reverse=True)[:most]))


def one_may_miss(factors: Sequence[Factor]) -> Factor | None:
    """What remains certain if a date may stand inside any one of the factors, which breaks it."""
    if len(factors) == 1 and isinstance(factors[0], Word) and factors[0].weight >= 4:
        places, half = factors[0].places, factors[0].weight // 2
        return AnyOf((Word(places[: len(places) - half]), Word(places[half:])))
    if len(factors) < 2:
        return None
    return AnyOf(tuple(AllOf((*factors[:n], *factors[n + 1 :])) for n in range(len(factors))))


class _Collector:
    """Walks a sequence and gathers words; anything that is not a certain word character ends the current one."""

    def __init__(self, flags: int, encoding: str) -> None:
        self._flags = flags
        self._encoding = encoding
        self._found: list[Factor] = []
        self._places: list[frozenset[bytes]] = []

    def collect(self, items: Sequence[Node]) -> list[Factor]:
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
        """The byte spellings of a word character or small class of them; none if it is anything else."""
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

    def _composite(self, kind: str, argument: charsets.Argument) -> list[Factor]:
        """Factors of a repeat, branch or conditional, which stand for themselves."""
        if kind in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
            return self._inner(argument[2]) if argument[0] > 0 else []
        if kind == "BRANCH":
            return self._either([list(branch) for branch in argument[1]])
        if kind == "GROUPREF_EXISTS":
            return self._either([list(argument[1]), list(argument[2] or ())])
        return []

    def _either(self, branches: Sequence[Sequence[Node]]) -> list[Factor]:
        """One word of each branch; deeper alternatives would cost the engine more than they keep out."""
        words: dict[Word, None] = {}
        for branch in branches:
            best = heaviest(self._inner(branch), 1)
            if not best:
                return []
            words.update(dict.fromkeys(best[0].parts if isinstance(best[0], AnyOf) else best))  # type: ignore[arg-type]
        return [next(iter(words)) if len(words) == 1 else AnyOf(tuple(words))]

    def _inner(self, items: Sequence[Node]) -> list[Factor]:
        return _Collector(self._flags, self._encoding).collect(list(items))

    def _end_word(self) -> None:
        if len(self._places) > 1:
            self._found.append(Word(tuple(self._places)))
        self._places = []
