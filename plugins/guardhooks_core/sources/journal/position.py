"""The position of reading: the cursor of the last entry, or a time until there is one."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from guardhooks import Position, StartAt
from guardhooks_core.sources.journal.entry_lines import CURSOR, received_at
from guardhooks_core.sources.journal.export_format import Entry

ORIGIN: Final = "journal"
_SAVED: Final = re.compile(r"(\d{1,20}) ([!-~]{1,512})")


@dataclass(slots=True)
class ReadPosition:
    """`newest` is the latest time of the entries read, in microseconds; `cursor` is that of the last entry."""

    since: float
    cursor: str = ""
    newest: int = 0

    @classmethod
    def at(cls, start: StartAt) -> ReadPosition:
        """The saved position; `start.since` if that is later, or if no valid position is saved."""
        since = max(0.0, start.since) if math.isfinite(start.since) else 0.0
        saved = start.positions.get(ORIGIN)
        match = _SAVED.fullmatch(saved.cursor) if saved else None
        if match is None or int(match[1]) / 1e6 < since:
            return cls(since)
        return cls(since, match[2], int(match[1]))

    @property
    def done(self) -> int:
        """Microseconds; entries up to this time have been read, or are before the start."""
        return max(self.newest, int(self.since * 1e6) - 1)

    def arguments(self) -> tuple[str, ...]:
        """The options of journalctl to continue from here. With a cursor, its entry is returned again first.

        `--after-cursor` would lose an entry if the one of the cursor is gone (journalctl before 253).
        """
        return (f"--cursor={self.cursor}",) if self.cursor else (f"--since=@{self.since:.6f}",)

    def advance(self, entries: Sequence[Entry]) -> None:
        """Advance behind these entries."""
        self.newest = max(self.newest, *(received_at(entry) for entry in entries))
        self.cursor = entries[-1].get(CURSOR, b"").decode("ascii", "replace")

    def drop_cursor(self) -> None:
        """Continue by time, after the newest entry read."""
        self.since = max(self.since, (self.newest + 1) / 1e6)
        self.cursor = ""

    def position(self, source: str) -> Position | None:
        """The position to save; None without a cursor."""
        return Position(source, ORIGIN, f"{self.newest} {self.cursor}") if self.cursor else None
