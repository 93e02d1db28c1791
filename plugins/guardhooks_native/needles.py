"""What the native core looks for in raw bytes, from what each failregex requires (`scan.rs`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from guardhooks.filters import AllOf, AnyOf, RequiredLiteral, Word

_SHORTEST = 3
"""Bytes; a shorter needle would be found in too many lines."""
_LONG_ENOUGH = 8
"""Bytes from which on a needle gains nothing from being longer."""
_WORD, _ALL, _ANY, _UNKNOWN = range(4)


@dataclass(slots=True)
class ScanSpec:
    """As the core reads it. `factors` has an item for each rule, `always` names the rules that read every line."""

    needles: list[tuple[bytes, bool, list[int]]] = field(default_factory=list)
    words: list[bytes] = field(default_factory=list)
    factors: list[list[tuple[int, int]]] = field(default_factory=list)
    always: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Choice:
    """Needles of which any line with a literal holds at least one: (bytes, in any case)."""

    needles: tuple[tuple[bytes, bool], ...]

    @property
    def quality(self) -> tuple[float, int]:
        shortest = min(min(len(text), _LONG_ENOUGH) for text, _ in self.needles)
        folded = any(folded for _, folded in self.needles)
        many = min(1.0, 0.05 * (len(self.needles) - 1))  # they are looked for together, at little cost
        return shortest - 2 * folded - many, sum(len(text) for text, _ in self.needles)


def scan_spec(literals: Sequence[RequiredLiteral | None]) -> ScanSpec:
    """What to look for; `literals` are what each rule requires, None for nothing."""
    spec = ScanSpec()
    words: dict[bytes, int] = {}
    needles: dict[tuple[bytes, bool], list[int]] = {}
    for number, literal in enumerate(literals):
        choice = None if literal is None else _choice(literal)
        if literal is None or choice is None:
            spec.always.append(number)
            spec.factors.append([(_UNKNOWN, 0)])
            continue
        spec.factors.append(list(_factor(literal, words)))
        for needle in choice.needles:
            needles.setdefault(needle, []).append(number)
    spec.words = list(words)
    spec.needles = [(text, folded, numbers) for (text, folded), numbers in needles.items()]
    return spec


def _choice(literal: RequiredLiteral) -> _Choice | None:
    if isinstance(literal, Word):
        exact, folded = exact_run(literal), _folded_run(literal)
        if len(exact) >= _SHORTEST:
            return _Choice(((exact, False),))
        return _Choice(((folded, True),)) if len(folded) >= _SHORTEST else None
    found = [_choice(part) for part in literal.parts]
    if isinstance(literal, AnyOf):
        needles = dict.fromkeys(needle for choice in found if choice for needle in choice.needles)
        return _Choice(tuple(needles)) if all(found) else None
    return max((choice for choice in found if choice), key=lambda choice: choice.quality, default=None)


def exact_run(word: Word) -> bytes:
    """The longest part of a word that is spelt in one way only."""
    best = run = b""
    for spellings in word.places:
        run = run + next(iter(spellings)) if len(spellings) == 1 else b""
        best = max(best, run, key=len)
    return best


def _folded_run(word: Word) -> bytes:
    """The longest part of a word that is spelt in one way but for upper and lower case, in lower case."""
    best = run = b""
    for spellings in word.places:
        forms = {spelling.lower() for spelling in spellings if spelling.isascii()}
        alike = len(forms) == 1 and all(spelling.isascii() for spelling in spellings)
        run = run + forms.pop() if alike else b""
        best = max(best, run, key=len)
    return best


def _factor(literal: RequiredLiteral, words: dict[bytes, int]) -> list[tuple[int, int]]:
    """Kind and argument of a literal, then those of its parts."""
    if isinstance(literal, Word):
        text = exact_run(literal)
        return [(_WORD, words.setdefault(text, len(words)))] if len(text) > 1 else [(_UNKNOWN, 0)]
    kind = _ALL if isinstance(literal, AllOf) else _ANY
    return [(kind, len(literal.parts)), *(pair for part in literal.parts for pair in _factor(part, words))]
