"""Helper lines whose reading is deferred.

Successful logins also write lines that matter only to a failure in the same session. Most sessions never fail, so such
a line is stored unread under the process number in it (`sshd[4242]:`) until its session has a failure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from guardhooks.filters.rules import Candidates

_GENERATION: Final = 256
"""Lines per generation; two generations are stored."""
LONGEST: Final = 1024
"""Characters of the longest line that may be deferred."""

_NUMBER: Final = re.compile(r"\[(\d+)\]", re.ASCII)


def process_numbers(text: str) -> Sequence[str]:
    """The numbers in brackets. A session whose key contains one belongs to lines that contain it too."""
    return _NUMBER.findall(text)


@dataclass(slots=True)
class DeferredLine:
    """A deferred line, with what is needed to read it later as if it had been read at once."""

    text: str
    known: float | None
    received: float
    live: bool
    candidates: Candidates
    read: bool = False


class DeferredLines:
    """Deferred lines by each process number in them; the oldest are dropped."""

    def __init__(self) -> None:
        self._young: dict[str, list[DeferredLine]] = {}
        self._old: dict[str, list[DeferredLine]] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._young or self._old)

    def defer(self, line: DeferredLine, numbers: Sequence[str]) -> bool:
        """Store the line for later. False if it must be read now, because it may name a session's second user."""
        both = (self._old, self._young)
        others = [other for number in numbers for lines in both for other in lines.get(number, ())]
        if line.candidates.names_user and any(other.candidates.names_user for other in others):
            return False
        if line.candidates.ends_session and not others:
            return True  # The end of an unknown session needs no storing.
        if self._count >= _GENERATION:
            self._old, self._young, self._count = self._young, {}, 0
        for number in numbers:
            self._young.setdefault(number, []).append(line)
        self._count += 1
        return True

    def take(self, numbers: Sequence[str]) -> Sequence[DeferredLine]:
        """The lines that may belong to a session with these numbers in its key, in order; each is returned once."""
        if numbers:
            taken = [*self._old.pop(numbers[0], ()), *self._young.pop(numbers[0], ())]
        else:
            taken = [line for lines in (self._old, self._young) for deferred in lines.values() for line in deferred]
            self._old, self._young, self._count = {}, {}, 0
        fresh = []
        for line in taken:  # A line with several numbers is stored several times.
            if not line.read:
                line.read = True
                fresh.append(line)
        return fresh
