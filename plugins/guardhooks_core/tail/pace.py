"""How much is read at a time: as much as who takes it can digest in a moment."""

from __future__ import annotations

from typing import Final

from guardhooks_core.tail.reader import BLOCK

LEAST: Final = BLOCK // 4
_LONG: Final = 0.1
"""Seconds that a block may take: whatever else the daemon does waits so long, and has the rest in its memory."""
_SHORT: Final = _LONG / 4


class Pace:
    """`size` is what to read at most, in bytes. A log without attacks is read in big blocks, which is faster."""

    def __init__(self) -> None:
        self.size = LEAST

    def digested(self, length: int, seconds: float) -> None:
        """So many bytes took so long. Few of them say nothing about many."""
        if seconds > _LONG:
            self.size = max(LEAST, min(self.size, length) // 2)
        elif seconds < _SHORT and length > self.size // 2:
            self.size = min(BLOCK, 2 * self.size)
