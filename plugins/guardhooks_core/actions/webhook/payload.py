"""What is sent: JSON, made of text that attackers may have written. Documented in docs/actions.md."""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from guardhooks import Ban

Event: TypeAlias = Mapping[str, object]

VERSION: Final = 1
_LONGEST: Final = 1000
"""Characters of one text; more is cut and marked with `…`."""
_MOST_LINES: Final = 20


def event(kind: str, jail: str, ban: Ban, *, with_matches: bool) -> Event:
    """One ban or unban. Times are seconds since the epoch; what never ends has neither `length` nor `end`."""
    told: dict[str, object] = {
        "event": kind,
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
    if with_matches:
        told["matches"] = [_text(line) for line in ban.matches[-_MOST_LINES:]]
    return told


def body(events: Sequence[Event], delivery: str) -> bytes:
    """The whole message. `delivery` stays the same when it is tried again."""
    message = {"version": VERSION, "host": socket.gethostname(), "delivery": delivery, "events": list(events)}
    return json.dumps(message, allow_nan=False).encode("ascii")


def _text(text: str) -> str:
    """Cut, and without halves of characters, at which many a JSON reader stumbles."""
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return cut.encode("utf-8", "replace").decode()
