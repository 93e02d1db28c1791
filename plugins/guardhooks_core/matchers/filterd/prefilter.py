"""Which lines of a block can match which regexes: one pass over the bytes, no object per innocent line.

The answer may hold too much, never too little. Hyperscan does it where it is installed, plain search for one literal
of each regex elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from guardhooks_core.matchers.filterd.regex.literals import AllOf, AnyOf, Factor, Word

Hits = list[tuple[int, int]]
"""Pairs of the offset behind a line's newline and the number of a factor that the line may hold, sorted."""


class Sought(NamedTuple):
    """One factor as engines look for it: a Hyperscan pattern, and literals of which the line holds at least one."""

    pattern: bytes
    needles: tuple[bytes, ...]


class Compiled(NamedTuple):
    """A Hyperscan database, serialized, and the places of the factors that it holds no pattern of."""

    database: bytes
    refused: tuple[int, ...]


class DamagedError(Exception):
    """A serialized database that Hyperscan does not take."""


class Prefilter(Protocol):
    """Scans blocks of whole lines."""

    def scan(self, data: bytes) -> Hits: ...


def sought(factor: Factor) -> Sought:
    """What to look for so that no line with `factor` is missed."""
    return Sought(expression(factor), literals(factor))


def build(factors: Sequence[Sought], compiled: Compiled | None = None) -> Prefilter:
    """The best prefilter that this machine has; a hit names the place of the factor in `factors`.

    `compiled` is what a `HyperscanPrefilter` of the same factors once gave.

    :raises DamagedError: if `compiled` cannot be used.
    """
    try:
        return HyperscanPrefilter(factors, compiled)
    except ImportError:
        return LiteralPrefilter(factors)


# --- Hyperscan -------------------------------------------------------------------------------------------------------


def expression(factor: Factor) -> bytes:
    """`factor` as a Hyperscan pattern that ends with its line, so that each line is reported once."""
    return _pattern(factor) + rb"[^\n]*\n"


def _pattern(factor: Factor) -> bytes:
    if isinstance(factor, Word):
        return b"".join(_place(spellings) for spellings in factor.places)
    parts = [_pattern(part) for part in factor.parts]
    if isinstance(factor, AllOf):
        return rb"[^\n]*".join(parts)
    return b"(?:" + b"|".join(parts) + b")"


def _place(spellings: frozenset[bytes]) -> bytes:
    forms = sorted(b"".join(b"\\x%02x" % byte for byte in spelling) for spelling in spellings)
    return forms[0] if len(forms) == 1 else b"(?:" + b"|".join(forms) + b")"


class HyperscanPrefilter:
    """All factors in one database, scanned once. Patterns that Hyperscan finds too large are searched by literal."""

    def __init__(self, factors: Sequence[Sought], compiled: Compiled | None = None) -> None:
        """:raises ImportError: where Hyperscan is not installed. :raises DamagedError: if `compiled` is no database."""
        if compiled is None:
            self._database, self._refused = _compiled_all([factor.pattern for factor in factors])
        else:
            self._database, self._refused = _loaded(compiled.database), compiled.refused
        refused = [factors[number] for number in self._refused]
        self._by_literal = LiteralPrefilter(refused) if refused else None

    def compiled(self) -> Compiled:
        """For `build` in another process on the same machine."""
        import hyperscan

        return Compiled(hyperscan.dumpb(self._database) if self._database else b"", self._refused)

    def scan(self, data: bytes) -> Hits:
        hits: Hits = []
        add = hits.append

        def on_match(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
            add((end, number))

        if self._database:
            self._database.scan(data, match_event_handler=on_match)
        if self._by_literal:
            hits.extend((end, self._refused[place]) for end, place in self._by_literal.scan(data))
        hits.sort()
        return hits


def _compiled_all(patterns: Sequence[bytes]) -> tuple[Any, tuple[int, ...]]:
    """A database, and the places of the patterns that Hyperscan refuses."""
    import hyperscan

    numbers = list(range(len(patterns)))
    try:
        return _compiled(patterns, numbers), ()
    except hyperscan.error:
        accepted = [number for number in numbers if _accepted(patterns[number])]
        refused = tuple(sorted(set(numbers).difference(accepted)))
        return _compiled([patterns[number] for number in accepted], accepted), refused


def _loaded(database: bytes) -> Any:  # noqa: ANN401 -- an untyped library
    import hyperscan

    if not database:
        return None
    try:
        loaded = hyperscan.loadb(database, hyperscan.HS_MODE_BLOCK)
        loaded.scratch = hyperscan.Scratch(loaded)
    except hyperscan.error as fault:
        raise DamagedError(f"Hyperscan does not take it: {fault}") from fault
    return loaded


def _compiled(patterns: Sequence[bytes], numbers: Sequence[int]) -> Any:  # noqa: ANN401 -- an untyped library
    import hyperscan

    if not patterns:
        return None
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(expressions=patterns, ids=numbers, elements=len(patterns), flags=[0] * len(patterns))
    return database


def _accepted(pattern: bytes) -> bool:
    import hyperscan

    try:
        _compiled([pattern], [0])
    except hyperscan.error:
        return False
    return True


# --- without it ------------------------------------------------------------------------------------------------------

_LETTER: Final = re.compile(rb"[a-z0-9_]")


class LiteralPrefilter:
    """Searches for one literal, or one of a few, that each factor cannot be without, in any case."""

    def __init__(self, factors: Sequence[Sought]) -> None:
        self._always: list[int] = []
        self._numbers: dict[bytes, list[int]] = {}
        for number, factor in enumerate(factors):
            if not factor.needles:
                self._always.append(number)
            for needle in factor.needles:
                self._numbers.setdefault(needle, []).append(number)

    def scan(self, data: bytes) -> Hits:
        hits: set[tuple[int, int]] = set()
        lowered = data.lower()
        for needle, numbers in self._numbers.items():
            place = lowered.find(needle)
            while place >= 0:
                end = lowered.find(b"\n", place) + 1
                hits.update((end, number) for number in numbers)
                place = lowered.find(needle, end)
        if self._always:
            end = data.find(b"\n") + 1
            while end:
                hits.update((end, number) for number in self._always)
                end = data.find(b"\n", end) + 1
        return sorted(hits)


def literals(factor: Factor) -> tuple[bytes, ...]:
    """Lower-case literals of which any text with `factor` holds at least one; empty if there are none."""
    if isinstance(factor, Word):
        return _longest_run(factor)
    found = [literals(part) for part in factor.parts]
    if isinstance(factor, AnyOf):
        return tuple(dict.fromkeys(needle for needles in found for needle in needles)) if all(found) else ()
    return max(found, key=lambda needles: min(map(len, needles), default=0), default=())


def _longest_run(word: Word) -> tuple[bytes, ...]:
    best = run = b""
    for spellings in word.places:
        forms = {spelling.lower() for spelling in spellings}
        only = forms.pop() if len(forms) == 1 else b""
        run = run + only if _LETTER.fullmatch(only) else b""
        best = max(best, run, key=len)
    return (best,) if best else ()
