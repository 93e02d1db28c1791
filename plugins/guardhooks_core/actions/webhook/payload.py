"""The JSON that is sent; it contains text that attackers may have written. Documented in docs/actions.md."""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from guardhooks import Ban

Event: TypeAlias = Mapping[str, object]

VERSION: Final = 1
NOT_IN_FORCE: Final = "not-in-force"
"""The kind of event that is sent in place of `ban` while a decided ban keeps nobody out."""
_LONGEST: Final = 1000
"""Characters of one text; longer ones are cut and marked with `…`."""
_MOST_LINES: Final = 20
"""Matched lines, and notes, of one event."""


def event(kind: str, jail: str, ban: Ban, *, with_matches: bool) -> Event:
    """One ban or unban. Times are seconds since the epoch; `length` and `end` of a permanent ban are null.

    A ban that is not in force is an event of another kind, whose `problem` says why.
    """
    fields: dict[str, object] = {
        "event": NOT_IN_FORCE if ban.not_in_force else kind,
        "jail": _text(jail),
        "id": _text(ban.id),
        "start": ban.start,
        "length": None if math.isinf(ban.length) else ban.length,
        "end": None if math.isinf(ban.end) else ban.end,
        "count": ban.count,
        "failures": ban.failures,
        "reason": _text(ban.reason),
        "restored": ban.restored,
        "notes": {_text(key): _text(value) for key, value in list(ban.notes.items())[:_MOST_LINES]},
    }
    if ban.not_in_force:
        fields["problem"] = _text(ban.not_in_force)
    if with_matches:
        fields["matches"] = [_text(line) for line in ban.matches[-_MOST_LINES:]]
    return fields


def body(events: Sequence[Event], delivery: str) -> bytes:
    """The whole message. `delivery` stays the same on a retry."""
    message = {"version": VERSION, "host": socket.gethostname(), "delivery": delivery, "events": list(events)}
    return json.dumps(message, allow_nan=False).encode("ascii")


def _text(text: str) -> str:
    """Cut to the limit, and without lone surrogates, which many JSON readers reject."""
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return cut.encode("utf-8", "replace").decode()
