"""How many files one source may read, so that a glob which somebody fills leaves room for the rest of the daemon."""

from __future__ import annotations

import resource
import threading
from collections.abc import Collection
from typing import Final
from weakref import WeakKeyDictionary

MOST: Final = 1000
"""Files of one source."""
_RESERVED: Final = 256
"""Descriptors that are left to socket, actions and ledger; half of them all where there are few."""


class OpenFiles:
    """What all sources of the process have open, by the object that reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: WeakKeyDictionary[object, int] = WeakKeyDictionary()

    def choose(self, reader: object, paths: Collection[str], known: Collection[str], most: int = MOST) -> list[str]:
        """The paths that a reader may have open, in order; those that it knows come first, then the others by name."""
        with self._lock:
            others = sum(number for other, number in self._used.items() if other is not reader)
            room = max(1, min(most, _limit() - others))
            chosen = sorted(paths, key=lambda path: (path not in known, path))[:room]
            self._used[reader] = len(chosen)
        return sorted(chosen)


def _limit() -> int:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return soft - min(_RESERVED, soft // 2)


SHARED: Final = OpenFiles()
"""That of the process."""
