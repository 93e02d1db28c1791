"""Sessions: several lines of one connection (`<F-MLFID>`) merged into one failure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from .groups import Groups
from .rules import Candidates, View

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


@dataclass(slots=True)
class Unread:
    """A helper line that no failregex has been asked about yet."""

    view: View
    line: str
    candidates: Candidates
    received: float


class Sessions:
    """The open sessions of one jail.

    A session that has seen helper lines only can bring no failure, so it is kept as those lines are. Most sessions on a
    healthy host end like that, and their failregexes, the dearest part, are never run.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[str, Session | list[Unread]] = OrderedDict()

    def postpone(self, key: str, line: Unread) -> bool:
        """Keep a helper line unread. False if it may matter now: its session is read, or it may name a second user."""
        candidates = line.candidates
        known = self._find(key, line.received)
        if known is None:
            if not candidates.forgets:
                self._store(key, [line])
            return True
        if isinstance(known, Session) or (candidates.names_user and any(e.candidates.names_user for e in known)):
            return False
        if len(known) >= LINES:
            return False
        known.append(line)
        if candidates.forgets:
            del self._open[key]
        return True

    def unread(self, key: str, now: float) -> Sequence[Unread]:
        """The helper lines of this session that are to be merged before what comes now; they are handed out once."""
        known = self._open.get(key)
        if known is None or isinstance(known, Session):
            return ()
        del self._open[key]
        return known if now - known[0].received <= LIFETIME else ()

    def merge(self, key: str, groups: Groups, lines: Sequence[str], now: float) -> Session:
        """The session of `key` with this match added; `groups`, all with a value, become its own.

        `lines` are the log lines of the match.
        """
        gained = bool(groups.get("mlfgained"))
        nofail = gained or bool(groups.get("nofail"))
        forget = "mlfforget" in groups
        user = groups.get("user")
        for mark in _MARKS:
            groups.pop(mark, None)
        session = self._find(key, now)
        if not isinstance(session, Session):
            session = Session(groups, born=now)
            if not forget:
                self._store(key, session)
        else:
            self._update(session, groups, gained=gained)
            if forget:
                del self._open[key]
        if isinstance(user, str) and user:
            session.users.add(user)
        if session.pending or len(session.users) > 1:
            nofail = gained = False
        session.pending, session.nofail, session.gained = False, nofail, gained
        _take(session, lines, nofail=nofail, forget=forget)
        return session

    def _find(self, key: str, now: float) -> Session | list[Unread] | None:
        known = self._open.get(key)
        if known is None:
            return None
        born = known.born if isinstance(known, Session) else known[0].received
        if now - born > LIFETIME:
            del self._open[key]
            return None
        return known

    def _store(self, key: str, session: Session | list[Unread]) -> None:
        while len(self._open) >= LIMIT:
            self._open.popitem(last=False)
        self._open[key] = session

    @staticmethod
    def _update(session: Session, values: Groups, *, gained: bool) -> None:
        if gained:
            session.pending = False
        if not (session.nofail or session.gained or session.pending):
            session.lines = []
        session.groups.update(values)


def _take(session: Session, lines: Sequence[str], *, nofail: bool, forget: bool) -> None:
    """Add the log lines of a match to those that count, or to those that only help."""
    if not nofail:
        if session.helpers or session.lines:
            session.lines = [*session.helpers, *session.lines, *lines][-LINES:]
            session.helpers = []
        else:
            session.lines = list(lines)[-LINES:]
    elif not forget:
        session.helpers = [*session.helpers, *lines][-LINES:]
