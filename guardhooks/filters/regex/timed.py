"""Regex searches with a time limit: the standard engine where it is safe, else one that can be interrupted.

The standard `re` cannot be interrupted and holds the GIL, so it only gets short texts, and never a regex of exponential
complexity. All other searches use the `regex` module and end when the line's budget is spent.
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

from guardhooks.filters.regex.complexity import EXPONENTIAL, complexity
from guardhooks.filters.regex.parsing import checked, compiled

SHORT: Final = 256
"""Texts up to this length are searched by `re` unless the regex is exponential."""
LINE_BUDGET: Final = 0.04
"""Seconds of CPU that the long or dangerous searches on one line may use in total."""
SLOW: Final = 0.01
"""Seconds after which a search by `re` counts as slow; texts of that length then go to the other engine."""
_TICK: Final = 0.001
"""Seconds charged at least for a search that timed out."""

# Syntax that the `regex` module interprets differently from `re`, escapes removed: fuzzy counts, POSIX classes.
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
    """The CPU time left for one line, in seconds."""

    __slots__ = ("left",)

    def __init__(self, seconds: float = LINE_BUDGET) -> None:
        self.left = seconds


class TimedRegex:
    """A regex whose `search` takes no longer than the given budget. It is compiled at the first search."""

    def __init__(self, expression: str, flags: int = 0, *, groups: Sequence[str] | None = None) -> None:
        """`groups` are the names of its groups, given where it is already known to compile.

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
        """Whether even a short hostile text could block the standard engine."""
        try:
            return complexity(self.expression, self.flags) >= EXPONENTIAL
        except RecursionError:
            return True

    @cached_property
    def _short(self) -> int:
        """The longest text that goes to the standard engine; lowered when that turns out to be slow."""
        return -1 if self.exponential else SHORT

    def prepare(self) -> None:
        """Compile now for the interruptible engine, instead of at the first long text."""
        _ = self._interruptible

    def search(self, text: str, budget: Budget) -> Match | None:
        """The first match, or None.

        :raises OutOfBudgetError: when the budget is spent.
        """
        if len(text) > self._short:
            return self._search_long(text, budget)
        started = perf_counter()
        found = self._search(text)
        if perf_counter() - started > SLOW:
            self._distrust(text)
        return found

    def _distrust(self, text: str) -> None:
        """Send texts of this length to the other engine, provided that the search was slow and not the machine."""
        started = time.thread_time()
        self._compiled.search(text)
        if time.thread_time() - started > SLOW:
            self._short = len(text) // 2

    def _search_long(self, text: str, budget: Budget) -> Match | None:
        engine = self._interruptible
        if engine is None:
            raise OutOfBudgetError
        # Half of the rest, so that a regex that uses all of its share leaves time for the others.
        share = budget.left / 2
        while share > 0:
            started = time.thread_time()
            try:
                found: Match | None = engine.search(text, timeout=share)
            except TimeoutError:
                # The engine's clock counts all threads; only this thread's time is charged.
                used = max(time.thread_time() - started, _TICK)
                budget.left -= used
                share -= used
            else:
                budget.left -= time.thread_time() - started
                return found
        raise OutOfBudgetError

    @cached_property
    def _interruptible(self) -> Any:  # noqa: ANN401 -- an untyped library
        """The same regex for the `regex` module; None where that would interpret it differently."""
        import regex

        if _FOREIGN.search(_ESCAPE.sub("", self.expression)):
            return None
        try:
            with warnings.catch_warnings(action="ignore"):
                return regex.compile(self.expression, self._compiled.flags & ~re.UNICODE | regex.VERSION0)
        except regex.error:
            return None


_shared: WeakValueDictionary[tuple[str, int], TimedRegex] = WeakValueDictionary()


def shared(expression: str, flags: int = 0, *, groups: Sequence[str] | None = None) -> TimedRegex:
    """The one `TimedRegex` of this expression, for all jails that use it.

    :raises re.error: if `expression` does not compile.
    """
    key = (expression, flags)
    regex = _shared.get(key)
    if regex is None:
        regex = _shared[key] = TimedRegex(expression, flags, groups=groups)
    return regex
