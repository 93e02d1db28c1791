"""The lines of the log that say that somebody is banned or unbanned, in two styles.

`classic` are the lines of fail2ban, which other tools read. `detailed` adds in parentheses why and for how long, and
who or what lifts a ban: `[sshd] Ban 192.0.2.1 (5 failures in 10m, for 20m, 2nd ban, user root)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from time import localtime, strftime
from typing import Final

from guardhooks.model import PERMANENT, Ban, Jail
from guardhooks.text import duration, plural, safe_text

ASKED_BY: Final = "asker"
"""The note of a ban that was made by hand: who asked for it."""
UNBANNED: Final = "unbanned"
"""The note of a ban that ends before its time: by whom or what. Without it, the ban ends by time."""

_ACTING: Final = ("Ban", "Unban", "Restore Ban")
_OBSERVING: Final = ("Would ban", "Would unban", "Would restore the ban of")
_UNUSUAL: Final = re.compile(r"[^\w.@+:/\\=~-]", re.ASCII)
"""What a user name must not bring into a line, where it could look like a part of it: blanks, parentheses."""
_USER: Final = 64
"""Characters of a user name that are shown."""
_WEEK: Final = 604800


class BanLines:
    """Makes the lines, without time and level.

    :param detailed: the style.
    :param observing: nobody is kept out, and the lines do not say so.
    """

    def __init__(self, *, detailed: bool, observing: bool) -> None:
        self._detailed, self._observing = detailed, observing
        self._ban, self._unban, self._restore = _OBSERVING if observing else _ACTING

    def ban(self, jail: Jail, ban: Ban) -> Iterator[str]:
        """The line of a ban; in the classic style also that of a ban that was made longer than the jail's."""
        words = self._restore if ban.restored else self._ban
        head = f"[{ban.jail}] {words} {safe_text(ban.id)}"
        if self._detailed:
            yield f"{head} ({', '.join(_details(ban))})"
            return
        yield head
        if jail.escalation and ban.count > 1 and ban.length > jail.bantime and not (ban.restored or self._observing):
            yield f"[{ban.jail}] Increase Ban {safe_text(ban.id)} ({ban.count} # {_increased(ban)})"

    def unban(self, ban: Ban) -> str:
        """The line of an unban, in the detailed style with its cause: `by time`, `by uid 0 alice`."""
        cause = f" (by {safe_text(ban.notes.get(UNBANNED, 'time'), 200)})" if self._detailed else ""
        return f"[{ban.jail}] {self._unban} {safe_text(ban.id)}{cause}"


def _details(ban: Ban) -> Iterator[str]:
    yield safe_text(ban.reason, 200) or plural(ban.failures, "failure")
    if ban.notes.get(ASKED_BY):
        yield f"by {safe_text(ban.notes[ASKED_BY], 200)}"
    yield "permanently" if ban.length == PERMANENT else f"for {duration(ban.length)}"
    if ban.count > 1:
        yield f"{_ordinal(ban.count)} ban"
    if user := ban.fields.get("user"):
        names = [user] if isinstance(user, str) else [name for name in user if name]
        yield "user " + " ".join(_UNUSUAL.sub(_escaped, name[:_USER]) for name in names[:3])


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def _ordinal(number: int) -> str:
    suffix = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def _increased(ban: Ban) -> str:
    """`13m 20s -> 2026-11-28 21:57:38`: how long and until when, as fail2ban writes it."""
    if ban.length == PERMANENT:
        return "permanent -> infinite"
    weeks, left = divmod(round(ban.length), _WEEK)
    length = " ".join(filter(None, [f"{weeks}w" if weeks else "", duration(left) if left or not weeks else ""]))
    return f"{length} -> {strftime('%Y-%m-%d %H:%M:%S', localtime(ban.end))}"
