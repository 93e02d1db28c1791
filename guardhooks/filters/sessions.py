"""Sessions: several lines of one connection (`<F-MLFID>`) merged into one failure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from guardhooks.filters.deferred_lines import process_numbers
from guardhooks.filters.groups import Groups

LIMIT: Final = 100
"""Open sessions at most; beyond that the oldest is dropped."""
LIFETIME: Final = 300.0
"""Seconds from the first line of a session to its end, however busy it is."""
LINES: Final = 100
"""Log lines stored per session at most; beyond that the oldest are dropped."""
_ADDRESSES: Final = ("ip4", "ip6")
_MARKS: Final = ("nofail", "mlfgained", "mlfforget")
_STEPS: Final = {f"step{number}": number for number in range(1, 10)}
"""`<F-STEP1>` to `<F-STEP9>`: which of an attempt's lines it is, in the order in which a server writes them."""


@dataclass(slots=True)
class Session:
    """What is known about one connection.

    `helpers` are lines that count only if a failure follows, `lines` those of the failure so far. `pending`: there is a
    failure without an id yet. `number` is the process number in the key, if it contains one. `step` is that of the last
    line of an attempt; 0: none.
    """

    groups: Groups
    born: float = 0.0
    number: str = ""
    users: set[str] = field(default_factory=set)
    helpers: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    pending: bool = False
    nofail: bool = False
    gained: bool = False
    step: int = 0


class Sessions:
    """The open sessions of one jail."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._numbers: dict[str, int] = {}

    def may_contain(self, numbers: Iterable[str]) -> bool:
        """Whether a line with these process numbers may belong to an open session."""
        known = self._numbers
        return "" in known or any(number in known for number in numbers)

    def merge(self, key: str, groups: Groups, lines: Sequence[str], now: float) -> Session:
        """The session of `key` with this match added. It takes over `groups`, all of which have a value.

        `lines` are the log lines of the match.
        """
        gained = bool(groups.get("mlfgained"))
        nofail = gained or bool(groups.get("nofail"))
        forget = "mlfforget" in groups
        user = groups.get("user")
        step = _take_step(groups)
        for mark in _MARKS:
            groups.pop(mark, None)
        session = self._find(key, now)
        if session is None:
            session = Session(groups, now)
            if not forget:
                self._store(key, session)
        else:
            if _is_of_another(session.groups, groups):
                session.users.clear()
                session.step = 0
                for name in _ADDRESSES:
                    session.groups.pop(name, None)
            self._update(session, groups, gained=gained)
            if forget:
                self._drop(key)
        if isinstance(user, str) and user:
            session.users.add(user)
        # A later step tells of the attempt that an earlier line has counted.
        nofail |= 0 < session.step < step
        session.step = 0 if gained else step or session.step
        if session.pending or len(session.users) > 1:
            nofail = gained = False
        session.pending, session.nofail, session.gained = False, nofail, gained
        _add_lines(session, lines, nofail=nofail, forget=forget)
        return session

    def _find(self, key: str, now: float) -> Session | None:
        session = self._open.get(key)
        if session is not None and now - session.born > LIFETIME:
            self._drop(key)
            return None
        return session

    def _store(self, key: str, session: Session) -> None:
        while len(self._open) >= LIMIT:
            self._release_number(self._open.popitem(last=False)[1])
        numbers = process_numbers(key)
        number = session.number = numbers[0] if numbers else ""
        self._numbers[number] = self._numbers.get(number, 0) + 1
        self._open[key] = session

    def _drop(self, key: str) -> None:
        self._release_number(self._open.pop(key))

    def _release_number(self, session: Session) -> None:
        left = self._numbers[session.number] - 1
        if left:
            self._numbers[session.number] = left
        else:
            del self._numbers[session.number]

    @staticmethod
    def _update(session: Session, values: Groups, *, gained: bool) -> None:
        if gained:
            session.pending = False
        if not (session.nofail or session.gained or session.pending):
            session.lines = []
        session.groups.update(values)


def _take_step(groups: Groups) -> int:
    """The step of an attempt that a match is marked with, its mark taken out; 0: none."""
    marks = _STEPS.keys() & groups.keys()
    for mark in marks:
        del groups[mark]
    return max((_STEPS[mark] for mark in marks), default=0)


def _is_of_another(before: Groups, groups: Groups) -> bool:
    """Whether a match names another address: a daemon serves one client after the other under its process number."""
    new = [groups[name] for name in _ADDRESSES if groups.get(name)]
    old = [before[name] for name in _ADDRESSES if before.get(name)]
    return bool(new and old) and new != old


def _add_lines(session: Session, lines: Sequence[str], *, nofail: bool, forget: bool) -> None:
    """Add the log lines of a match to the lines that count, or to the helpers."""
    if not nofail:
        if session.helpers or session.lines:
            session.lines = [*session.helpers, *session.lines, *lines][-LINES:]
            session.helpers = []
        else:
            session.lines = list(lines)[-LINES:]
    elif not forget:
        session.helpers = [*session.helpers, *lines][-LINES:]
