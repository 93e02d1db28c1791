"""Where reading stands: the journal's cursor of the last entry, or a time before there is one."""

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
class Place:
    """`newest` is the greatest time of the entries that were read, in microseconds; `cursor` that of the last one."""

    since: float
    cursor: str = ""
    newest: int = 0

    @classmethod
    def at(cls, start: StartAt) -> Place:
        """The saved position; `start.since` where that is later, or where nothing usable is saved."""
        since = max(0.0, start.since) if math.isfinite(start.since) else 0.0
        saved = start.positions.get(ORIGIN)
        match = _SAVED.fullmatch(saved.cursor) if saved else None
        if match is None or int(match[1]) / 1e6 < since:
            return cls(since)
        return cls(since, match[2], int(match[1]))

    @property
    def done(self) -> int:
        """Nothing that is older will be read, microseconds."""
        return max(self.newest, int(self.since * 1e6) - 1)

    def arguments(self) -> tuple[str, ...]:
        """Options of journalctl to go on from here. With a cursor its entry comes first once more.

        `--after-cursor` would lose an entry where the one of the cursor has gone (journalctl before 253).
        """
        return (f"--cursor={self.cursor}",) if self.cursor else (f"--since=@{self.since:.6f}",)

    def took(self, entries: Sequence[Entry]) -> None:
        """These entries are read."""
        self.newest = max(self.newest, *(received_at(entry) for entry in entries))
        self.cursor = entries[-1].get(CURSOR, b"").decode("ascii", "replace")

    def forget_cursor(self) -> None:
        """Go on by time, behind the newest entry that was read."""
        self.since = max(self.since, (self.newest + 1) / 1e6)
        self.cursor = ""

    def position(self, source: str) -> Position | None:
        """What is saved of this place; None where there is no cursor."""
        return Position(source, ORIGIN, f"{self.newest} {self.cursor}") if self.cursor else None
