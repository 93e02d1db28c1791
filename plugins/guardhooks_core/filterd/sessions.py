"""Sessions: several lines of one connection (`<F-MLFID>`) merged into one failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from .groups import Groups

LIMIT: Final = 100
"""Sessions kept at most; the oldest gives way."""
LIFETIME: Final = 300.0
"""Seconds that a session lives from its first line, however busy it is."""
LINES: Final = 100
"""Log lines of one session kept at most; the oldest give way."""
_MARKS: Final = ("nofail", "mlfgained", "mlfforget")


@dataclass(slots=True)
class Session:
    """What is known of one connection.

    `helpers` are lines that count only if a failure follows, `lines` those of the failure so far. `pending` is a
    failure that waits for an id.
    """

    groups: Groups
    born: float = 0.0
    users: set[str] = field(default_factory=set)
    helpers: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    pending: bool = False
    nofail: bool = False
    gained: bool = False


class Sessions:
    """The open sessions of one jail."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}

    def merge(self, key: str, groups: Groups, lines: Sequence[str], now: float) -> Session:
        """The session of `key` with this match added. `lines` are the log lines of the match."""
        gained = bool(groups.get("mlfgained"))
        nofail = gained or bool(groups.get("nofail"))
        forget = groups.get("mlfforget") is not None
        user = groups.get("user")
        values: Groups = {name: value for name, value in groups.items() if value is not None and name not in _MARKS}
        session = self._find(key, now)
        if session is None:
            session = Session(values, born=now)
            if not forget:
                self._store(key, session)
        else:
            self._update(session, values, gained=gained)
            if forget:
                del self._open[key]
        if isinstance(user, str) and user:
            session.users.add(user)
        if session.pending or len(session.users) > 1:
            nofail = gained = False
        session.pending, session.nofail, session.gained = False, nofail, gained
        if not nofail:
            session.lines = [*session.helpers, *session.lines, *lines]
            session.helpers = []
        elif not forget:
            session.helpers.extend(lines)
        del session.lines[:-LINES], session.helpers[:-LINES]
        return session

    def _find(self, key: str, now: float) -> Session | None:
        session = self._open.get(key)
        if session is not None and now - session.born > LIFETIME:
            del self._open[key]
            return None
        return session

    def _store(self, key: str, session: Session) -> None:
        while len(self._open) >= LIMIT:
            del self._open[next(iter(self._open))]
        self._open[key] = session

    @staticmethod
    def _update(session: Session, values: Groups, *, gained: bool) -> None:
        if gained:
            session.pending = False
        if not (session.nofail or session.gained or session.pending):
            session.lines = []
        session.groups.update(values)
