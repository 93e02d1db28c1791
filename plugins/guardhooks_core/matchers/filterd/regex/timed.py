"""Regex search that a hostile line cannot hold up: the standard engine where it is safe, else one with a time limit.

The standard `re` cannot be interrupted and holds the interpreter, so it only sees short texts, and none at all for a
regex whose cost can explode. The rest goes to the `regex` module, whose searches end when the line's budget is spent.
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from time import perf_counter
from typing import Any, Final, Protocol
from weakref import WeakValueDictionary

from guardhooks_core.matchers.filterd.regex.complexity import EXPONENTIAL, growth
from guardhooks_core.matchers.filterd.regex.parsing import checked, compiled

SHORT: Final = 256
"""Texts up to this length are searched by `re` unless the regex is exponential."""
LINE_BUDGET: Final = 0.04
"""Seconds of CPU that the long or dangerous searches on one line may use together."""

SLOW: Final = 0.01
"""Seconds after which a search by `re` was too slow; the regex then loses its trust for texts of that length."""

_TICK: Final = 0.001

# Syntax that the `regex` module reads in another way than `re`, escapes removed: fuzzy counts and POSIX classes.
_ESCAPE: Final = re.compile(r"\\.", re.DOTALL)
_FOREIGN: Final = re.compile(r"\{[a-z<]|\[:\^?\w+:\]")


class Match(Protocol):
    """What both engines' match objects have in common."""

    def groupdict(self) -> dict[str, str | None]: ...
    def start(self, group: int | str = 0, /) -> int: ...
    def end(self, group: int | str = 0, /) -> int: ...


class OutOfBudgetError(Exception):
    """The line's budget ended before the search did."""


class Budget:
    """CPU seconds that are left for one line."""

    __slots__ = ("left",)

    def __init__(self, seconds: float = LINE_BUDGET) -> None:
        self.left = seconds


class BoundedRegex:
    """A regex whose `search` costs no more than the budget it is given. Compiled when it is first searched for."""

    def __init__(self, expression: str, flags: int = 0, *, groups: Sequence[str] | None = None) -> None:
        """`groups` are the names of its groups where it is known from before, and known to compile.

        :raises re.error: if `expression` does not compile.
        """
        self.expression = expression
        self.flags = flags
        self.groups = tuple(checked(expression, flags) if groups is None else groups)

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return compiled(self.expression, self.flags)

    @cached_property
    def _search(self) -> Callable[[str], Match | None]:
        return self._compiled.search

    @cached_property
    def exponential(self) -> bool:
        """Whether a hostile text could hold up the standard engine however short it is."""
        try:
            return growth(self.expression, self.flags).degree >= EXPONENTIAL
        except RecursionError:
            return True

    @cached_property
    def _short(self) -> int:
        """Texts up to this length are left to the standard engine; lowered when it proves slow."""
        return -1 if self.exponential else SHORT

    def prepare(self) -> None:
        """Compile now what a dangerous or long text needs, instead of when the first one comes."""
        _ = self._interruptible

    def search(self, text: str, budget: Budget) -> Match | None:
        """The first match, or None.

        :raises OutOfBudgetError: when the budget is spent.
        """
        if len(text) > self._short:
            return self._search_long(text, budget)
        begun = perf_counter()
        found = self._search(text)
        if perf_counter() - begun > SLOW:
            self._distrust(text)
        return found

    def _distrust(self, text: str) -> None:
        """Leave texts like this one to the other engine, if it was the search that was slow and not the machine."""
        begun = time.thread_time()
        self._compiled.search(text)
        if time.thread_time() - begun > SLOW:
            self._short = len(text) // 2

    def _search_long(self, text: str, budget: Budget) -> Match | None:
        engine = self._interruptible
        if engine is None:
            raise OutOfBudgetError
        # Half of what is left: a regex that runs away leaves the others something to match with.
        share = budget.left / 2
        while share > 0:
            begun = time.thread_time()
            try:
                found: Match | None = engine.search(text, timeout=share)
            except TimeoutError:
                # The engine's clock counts all threads; only what this one used is charged.
                used = max(time.thread_time() - begun, _TICK)
                budget.left -= used
                share -= used
            else:
                budget.left -= time.thread_time() - begun
                return found
        raise OutOfBudgetError

    @cached_property
    def _interruptible(self) -> Any:  # noqa: ANN401 -- an untyped library
        """The same regex for the `regex` module; None where that would read it differently."""
        import regex

        if _FOREIGN.search(_ESCAPE.sub("", self.expression)):
            return None
        try:
            with warnings.catch_warnings(action="ignore"):
                return regex.compile(self.expression, self._compiled.flags & ~re.UNICODE | regex.VERSION0)
        except regex.error:
            return None


_known: WeakValueDictionary[tuple[str, int], BoundedRegex] = WeakValueDictionary()


def shared(expression: str, flags: int = 0, *, groups: Sequence[str] | None = None) -> BoundedRegex:
    """The one `BoundedRegex` of this expression, for all jails that use it.

    :raises re.error: if `expression` does not compile.
    """
    key = (expression, flags)
    regex = _known.get(key)
    if regex is None:
        regex = _known[key] = BoundedRegex(expression, flags, groups=groups)
    return regex
