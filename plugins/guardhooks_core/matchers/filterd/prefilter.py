"""Which lines of a block can match which regexes: one pass over the bytes, no object for a line that none can match.

The result may contain false positives, never false negatives. Hyperscan scans where it is installed; elsewhere each
regex is represented by one literal, found by plain search.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from guardhooks.filters import AllOf, AnyOf, RequiredLiteral, Word

Hits = list[tuple[int, int]]
"""Pairs (offset behind a line's newline, number of a search pattern that the line may contain), sorted."""


class SearchPattern(NamedTuple):
    """A required literal as engines search for it.

    `expression` is the Hyperscan pattern. The line contains at least one of the `needles` (lower-case); without any,
    every line counts as a hit.
    """

    expression: bytes
    needles: tuple[bytes, ...]


class Compiled(NamedTuple):
    """A serialized Hyperscan database, and the numbers of the search patterns that it does not contain."""

    database: bytes
    refused: tuple[int, ...]


class DamagedError(Exception):
    """Hyperscan does not accept the serialized database."""


class Prefilter(Protocol):
    """Scans blocks of whole lines."""

    def scan(self, data: bytes) -> Hits: ...


def search_pattern(literal: RequiredLiteral) -> SearchPattern:
    """What to search for so that no line that contains `literal` is missed."""
    return SearchPattern(expression(literal), needles(literal))


def build(patterns: Sequence[SearchPattern], compiled: Compiled | None = None) -> Prefilter:
    """The fastest prefilter available on this machine; a hit gives the index in `patterns`.

    `compiled` is the result of `HyperscanPrefilter.compiled` for the same patterns.

    :raises DamagedError: if `compiled` cannot be used.
    """
    try:
        return HyperscanPrefilter(patterns, compiled)
    except ImportError:
        return LiteralPrefilter(patterns)


def build_for(literals: Sequence[RequiredLiteral]) -> Prefilter:
    """The same for literals."""
    return build([search_pattern(literal) for literal in literals])


# --- Hyperscan -------------------------------------------------------------------------------------------------------


def expression(literal: RequiredLiteral) -> bytes:
    """`literal` as a Hyperscan pattern that ends with its line, so that each line is reported once."""
    return _unterminated(literal) + rb"[^\n]*\n"


def _unterminated(literal: RequiredLiteral) -> bytes:
    if isinstance(literal, Word):
        return b"".join(_character(spellings) for spellings in literal.places)
    parts = [_unterminated(part) for part in literal.parts]
    if isinstance(literal, AllOf):
        return rb"[^\n]*".join(parts)
    return b"(?:" + b"|".join(parts) + b")"


def _character(spellings: frozenset[bytes]) -> bytes:
    forms = sorted(b"".join(b"\\x%02x" % byte for byte in spelling) for spelling in spellings)
    return forms[0] if len(forms) == 1 else b"(?:" + b"|".join(forms) + b")"


class HyperscanPrefilter:
    """All patterns in one database, scanned once. Those that Hyperscan refuses as too large are searched by needle."""

    def __init__(self, patterns: Sequence[SearchPattern], compiled: Compiled | None = None) -> None:
        """:raises ImportError: where Hyperscan is not installed.

        :raises DamagedError: if Hyperscan does not accept `compiled`.
        """
        if compiled is None:
            self._database, self._refused = _compiled_all([pattern.expression for pattern in patterns])
        else:
            self._database, self._refused = _loaded(compiled.database), compiled.refused
        refused = [patterns[number] for number in self._refused]
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
            hits.extend((end, self._refused[index]) for end, index in self._by_literal.scan(data))
        hits.sort()
        return hits


def _compiled_all(patterns: Sequence[bytes]) -> tuple[Any, tuple[int, ...]]:
    """A database, and the numbers of the patterns that Hyperscan refuses."""
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
        raise DamagedError(f"Hyperscan does not accept it: {fault}") from fault
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


# --- without Hyperscan -----------------------------------------------------------------------------------------------

_LETTER: Final = re.compile(rb"[a-z0-9_]")


class LiteralPrefilter:
    """Searches for the needles of each pattern, ignoring case."""

    def __init__(self, patterns: Sequence[SearchPattern]) -> None:
        self._always: list[int] = []
        self._numbers: dict[bytes, list[int]] = {}
        for number, pattern in enumerate(patterns):
            if not pattern.needles:
                self._always.append(number)
            for needle in pattern.needles:
                self._numbers.setdefault(needle, []).append(number)

    def scan(self, data: bytes) -> Hits:
        hits: set[tuple[int, int]] = set()
        lowered = data.lower()
        for needle, numbers in self._numbers.items():
            start = lowered.find(needle)
            while start >= 0:
                end = lowered.find(b"\n", start) + 1
                hits.update((end, number) for number in numbers)
                start = lowered.find(needle, end)
        if self._always:
            end = data.find(b"\n") + 1
            while end:
                hits.update((end, number) for number in self._always)
                end = data.find(b"\n", end) + 1
        return sorted(hits)


def needles(literal: RequiredLiteral) -> tuple[bytes, ...]:
    """Lower-case byte strings; any text that contains `literal` contains at least one of them. Empty: none is known."""
    if isinstance(literal, Word):
        return _longest_run(literal)
    found = [needles(part) for part in literal.parts]
    if isinstance(literal, AnyOf):
        return tuple(dict.fromkeys(needle for part in found for needle in part)) if all(found) else ()
    return max(found, key=lambda part: min(map(len, part), default=0), default=())


def _longest_run(word: Word) -> tuple[bytes, ...]:
    best = run = b""
    for spellings in word.places:
        forms = {spelling.lower() for spelling in spellings}
        only = forms.pop() if len(forms) == 1 else b""
        run = run + only if _LETTER.fullmatch(only) else b""
        best = max(best, run, key=len)
    return (best,) if best else ()
