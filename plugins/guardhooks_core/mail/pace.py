"""When a message may go: not more often than the digest period, the limit for an hour and the failures so far allow."""

from __future__ import annotations

from collections import deque
from typing import Final

_HOUR: Final = 3600.0
_GATHERING: Final = 1.0
"""Seconds that the first ban waits for its like, so that a sudden storm makes one message."""
_BACKOFF: Final = (10.0, 30.0, 60.0, 300.0, 900.0)


class Pace:
    """All times are seconds of one monotonic clock.

    :param digest: seconds between two messages.
    :param limit: messages within an hour; 0 for any number.
    """

    def __init__(self, digest: float, limit: int) -> None:
        self._digest, self._limit = digest, limit
        self._sent: deque[float] = deque(maxlen=limit or 1)
        self._not_before = float("-inf")
        self.failures = 0

    def due(self, first: float) -> float:
        """When a message may go whose first notice came at `first`."""
        due = max(first + min(_GATHERING, self._digest), self._not_before)
        if self._sent:
            due = max(due, self._sent[-1] + self._digest)
        if self._limit and len(self._sent) == self._limit:
            due = max(due, self._sent[0] + _HOUR)
        return due

    def sent(self, now: float) -> None:
        """A message has gone."""
        self._sent.append(now)
        self.failures = 0

    def failed(self, now: float) -> float:
        """A message could not be sent; seconds until the next try."""
        pause = _BACKOFF[min(self.failures, len(_BACKOFF) - 1)]
        self.failures += 1
        self._not_before = now + pause
        return pause

    def changed(self, digest: float, limit: int) -> Pace:
        """The same past under other rules; what had failed is tried at once."""
        new = Pace(digest, limit)
        new._sent.extend(self._sent)
        return new
