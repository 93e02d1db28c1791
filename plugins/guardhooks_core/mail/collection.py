"""What one message will be about: bans and unbans as they come, counted; the first of them kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from guardhooks import Ban

KEPT: Final = 100
"""So many of each are listed; of the rest there is the number."""


@dataclass(slots=True)
class Collection:
    """Bans, unbans, and whether the jail was started or stopped meanwhile."""

    bans: list[Ban] = field(default_factory=list)
    banned: int = 0
    unbans: list[Ban] = field(default_factory=list)
    unbanned: int = 0
    started: bool = False
    stopped: bool = False

    def __bool__(self) -> bool:
        return bool(self.banned or self.unbanned or self.started or self.stopped)

    def __len__(self) -> int:
        return self.banned + self.unbanned

    def ban(self, ban: Ban) -> None:
        """Count a ban."""
        self.banned += 1
        if len(self.bans) < KEPT:
            self.bans.append(ban)

    def unban(self, ban: Ban) -> None:
        """Count an unban."""
        self.unbanned += 1
        if len(self.unbans) < KEPT:
            self.unbans.append(ban)

    def merge(self, later: Collection) -> None:
        """Take in what was collected after this."""
        self._extend(self.bans, later.bans)
        self._extend(self.unbans, later.unbans)
        self.banned += later.banned
        self.unbanned += later.unbanned
        self.started = self.started or later.started
        self.stopped = self.stopped or later.stopped

    def _extend(self, mine: list[Ban], later: Iterable[Ban]) -> None:
        mine.extend(later)
        del mine[KEPT:]
