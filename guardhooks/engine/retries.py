"""Bans that a working action could not put in force (a set is full): the reasons, and when to retry."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from guardhooks.model import Ban, Op

_BACKOFF: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds until the next try, by how many have failed."""
_SOONEST: Final = 2.0
"""Seconds between two tries, when bans that ended may have made room."""


class Retries:
    """The bans of one action that failed while others of the same batch did not. Times are the event loop's."""

    def __init__(self) -> None:
        self._bans: dict[str, Ban] = {}
        self._reasons: dict[str, str] = {}
        self._tries = 0
        self._tried_at = -math.inf
        self.retry_at = math.inf

    def __len__(self) -> int:
        return len(self._bans)

    def __contains__(self, id: str) -> bool:
        return id in self._bans

    @property
    def ids(self) -> Iterable[str]:
        """The ids of these bans."""
        return self._bans.keys()

    def reason(self, id: str = "") -> str:
        """Why this ban is not in force; without an id the first of all reasons, empty if there is none."""
        return self._reasons.get(id, "") if id else next(iter(self._reasons.values()), "")

    def due(self, now: float) -> list[Ban]:
        """The bans to retry now."""
        return list(self._bans.values()) if now >= self.retry_at else []

    def record(self, op: Op, bans: Sequence[Ban], failed: Mapping[str, str], now: float) -> list[Ban]:
        """Record the result of a batch; returns the bans that had failed before and are in force now."""
        if op is Op.UNBAN:
            self._drop(ban.id for ban in bans)
            if self._bans:
                self.retry_at = min(self.retry_at, self._tried_at + _SOONEST)
            return []
        recovered = [ban for ban in bans if ban.id in self._bans and ban.id not in failed]
        again = any(id in self._bans for id in failed)
        if op is Op.BAN:
            self._drop(ban.id for ban in recovered)
        else:
            self._bans, self._reasons = {}, {}
        self._bans |= {ban.id: ban for ban in bans if ban.id in failed}
        self._reasons |= {id: failed[id] for id in failed if id in self._bans}
        self._plan(now, again=again)
        return recovered

    def forget(self, id: str) -> None:
        """The ban is over, or was requested again."""
        self._drop((id,))

    def clear(self) -> None:
        """The action starts again."""
        self._bans, self._reasons = {}, {}
        self._plan(0.0, again=False)

    def _drop(self, ids: Iterable[str]) -> None:
        for id in ids:
            self._bans.pop(id, None)
            self._reasons.pop(id, None)
        if not self._bans:
            self.retry_at = math.inf

    def _plan(self, now: float, *, again: bool) -> None:
        if not self._bans:
            self._tries, self.retry_at = 0, math.inf
        elif again or math.isinf(self.retry_at):
            self._tried_at = now
            self.retry_at = now + _BACKOFF[min(self._tries, len(_BACKOFF) - 1)]
            self._tries += 1
