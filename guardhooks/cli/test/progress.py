"""How far a long run is: one line on a terminal, from the third second on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

from guardhooks.cli.test.log import Extent
from guardhooks.text import duration

_PATIENCE: Final = 2.0
"""Seconds that a run may take without any word."""
_PAUSE: Final = 0.5
"""Seconds between two words."""
_CLEAR: Final = "\r\x1b[K"


class Progress:
    """Says on stderr how many lines are done, how fast, and how long the rest will take.

    :param extent: how far the log is read; None where nobody knows how much there is.
    """

    def __init__(self, extent: Callable[[], Extent] | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._extent, self._clock = extent, clock
        self._began = clock()
        self._next = self._began + _PATIENCE
        self._wanted = sys.stderr.isatty()
        self._lines = 0
        self._shown = False

    def advance(self, lines: int) -> None:
        """So many more lines are done."""
        self._lines += lines
        if self._wanted and (now := self._clock()) >= self._next:
            self._next = now + _PAUSE
            self._shown = True
            sys.stderr.write(_CLEAR + self.text(now))
            sys.stderr.flush()

    def text(self, now: float) -> str:
        """`42 %  1,234,567 lines  812,000 lines/s  2s left`; without share and rest where the extent is unknown."""
        took = max(now - self._began, 1e-9)
        words = [f"{self._lines:,} lines", f"{self._lines / took:,.0f} lines/s"]
        extent = self._extent() if self._extent is not None else None
        if extent is not None and 0 < extent.done <= extent.total:
            share = extent.done / extent.total
            words = [f"{share:.0%}", *words, f"{duration(took / share - took)} left"]
        return "  ".join(words)

    def clear(self) -> None:
        """Take the line away, before something else is printed."""
        if self._shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
            self._shown = False
