"""Helper lines that nobody has read yet.

Logins that succeed write lines which only matter to a failure of the same session. Most sessions never have one, so
such a line is laid aside as it is, under the process number in it (`sshd[4242]:`), until its session has a failure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from guardhooks_core.matchers.filterd.rules import Candidates

KEPT: Final = 256
"""At least so many lines are kept, at most twice as many."""
LONGEST: Final = 1024
"""Characters of a line that may be laid aside."""

_NUMBER: Final = re.compile(r"\[(\d+)\]", re.ASCII)


def process_numbers(text: str) -> Sequence[str]:
    """The numbers in brackets. A session's key that holds one belongs to lines that hold it too."""
    return _NUMBER.findall(text)


@dataclass(slots=True)
class HelperLine:
    """A line laid aside, with what is needed to read it later as if it had been read at once."""

    text: str
    known: float | None
    received: float
    live: bool
    candidates: Candidates
    read: bool = False


class HelperLines:
    """The lines laid aside, the oldest of which are forgotten, by each process number in them."""

    def __init__(self) -> None:
        self._young: dict[str, list[HelperLine]] = {}
        self._old: dict[str, list[HelperLine]] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._young or self._old)

    def keep(self, line: HelperLine, numbers: Sequence[str]) -> bool:
        """Lay the line aside. False if it may matter now, as it might name the second user of a session."""
        others = [other for number in numbers for kept in (self._old, self._young) for other in kept.get(number, ())]
        if line.candidates.names_user and any(other.candidates.names_user for other in others):
            return False
        if line.candidates.forgets and not others:
            return True  # the end of a session of which nothing is known
        if self._count >= KEPT:
            self._old, self._young, self._count = self._young, {}, 0
        for number in numbers:
            self._young.setdefault(number, []).append(line)
        self._count += 1
        return True

    def take(self, numbers: Sequence[str]) -> Sequence[HelperLine]:
        """The lines that may belong to a session with this number in its key, in order; each is handed out once."""
        if numbers:
            taken = [*self._old.pop(numbers[0], ()), *self._young.pop(numbers[0], ())]
        else:
            taken = [line for lines in (self._old, self._young) for of in lines.values() for line in of]
            self._old, self._young, self._count = {}, {}, 0
        fresh = []
        for line in taken:  # one with several numbers is there several times
            if not line.read:
                line.read = True
                fresh.append(line)
        return fresh
