"""Regexes and texts at random, for comparing the core's engines with Python's own."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Mapping
from functools import lru_cache

from guardhooks_native import _core
from guardhooks_native.characters import Characters
from guardhooks_native.translate import Translation, UntranslatableError, translate

LETTERS = "ab1_ .-[]:\té½٣\u2028\u00a0—\u0130\u0131\u017f\u212a\ufffdkKsSiI"
CHARACTERS = Characters("é—")

_ATOMS = (
    *("a", "b", "1", "_", " ", "-", r"\.", ".", r"\d", r"\D", r"\s", r"\S", r"\w", r"\W", "[ab]", "[^a]", r"[^\s]"),
    *("k", "s", "i", "é", "[a-k]", "[^b1]", r"[\w.]", r"\[", r"\]", ":"),
)
_LOOKS = ("^", "$", r"\b", r"\B", r"\A", r"\Z", "(?<=a)", "(?<!b)", r"(?<=\w)", r"(?<!\s)")
_REPEATS = ("", "", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}?", "{2,}")
_SHAPES = ("(?:{0}){2}", "(?:{0}|{1}){2}", "(?={0})", "(?!{0})", "{0}{1}")
_KEPT = "[ab-]"


def expression(source: random.Random, depth: int = 3) -> str:
    """A regex; groups have names of their own, references lead to groups that stand before them."""
    return _Maker(source).sequence(depth)


class _Maker:
    def __init__(self, source: random.Random) -> None:
        self._source = source
        self._groups: list[str] = []
        self._characters: list[str] = []

    def sequence(self, depth: int) -> str:
        return "".join(self._part(depth) for _ in range(self._source.randint(1, 4)))

    def _part(self, depth: int) -> str:
        choose, roll = self._source.choice, self._source.random()
        if roll < 0.5 or depth == 0:
            return choose(_ATOMS) + choose(_REPEATS)
        if roll < 0.6:
            return choose(_LOOKS)
        if roll < 0.75:
            name = f"g{len(self._groups)}"
            self._groups.append(name)
            return f"(?P<{name}>{self.sequence(depth - 1)}){choose(_REPEATS)}"
        if roll < 0.8:
            return self._reference()
        return choose(_SHAPES).format(self.sequence(depth - 1), self.sequence(depth - 1), choose(_REPEATS))

    def _reference(self) -> str:
        known = [*self._groups, *self._characters]
        if self._characters and self._source.random() < 0.4:
            return f"(?P={self._source.choice(self._characters)})"
        if known and self._source.random() < 0.5:
            return f"(?({self._source.choice(known)})a|b)"
        self._characters.append(f"c{len(self._characters)}")
        return f"(?P<{self._characters[-1]}>{_KEPT})"


def text(source: random.Random, most: int = 14) -> str:
    """A line; most of its characters are plain."""
    alphabet = LETTERS if source.random() < 0.5 else LETTERS[:9]
    return "".join(source.choices(alphabet, k=source.randint(0, most))) + "\n"


@lru_cache(maxsize=256)
def compiled(expression: str, flags: int = 0) -> tuple[re.Pattern[str], Translation, _core.Regex] | None:
    """None where the regex does not compile or the core refuses it."""
    try:
        with warnings.catch_warnings(action="ignore"):
            pattern = re.compile(expression, flags)
        translation = translate(expression, CHARACTERS, flags)
        return pattern, translation, _core.Regex(translation.graph, CHARACTERS.words)
    except (re.error, UntranslatableError, ValueError, OverflowError):
        return None


def spans(pattern: re.Pattern[str], text: str) -> Mapping[str, tuple[int, int]] | None:
    """By Python: where the whole match and each named group is; None: there is no match."""
    found = pattern.search(text)
    return None if found is None else {"": found.span(), **{name: found.span(name) for name in pattern.groupindex}}


def core_spans(
    translation: Translation, regex: _core.Regex, text: str, *, linear: bool = False
) -> Mapping[str, tuple[int, int]] | None:
    """The same by the core."""
    found = regex.search(CHARACTERS.encode(text), linear=linear)
    if found is None:
        return None
    named = {name: translation.span(name) for name in translation.groups}
    return {"": (found[0], found[1]), **{name: (found[one], found[two]) for name, (one, two) in named.items()}}
