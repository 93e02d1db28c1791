"""A clock that a test moves."""

from __future__ import annotations


class Clock:
    """Stands still until the test moves it: set `now`, in seconds since the epoch."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
