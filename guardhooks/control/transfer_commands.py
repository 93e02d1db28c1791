"""Requests that carry bans in and out: `bans_export`, `bans_import`."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from guardhooks.control.arguments import ArgumentKind, canonical_ids
from guardhooks.control.protocol import RequestError
from guardhooks.control.requests import Access, Argument, Request
from guardhooks.model import PERMANENT, Ban
from guardhooks.views import GuardView

_LONGEST_REASON: Final = 500
"""Characters."""
_MOST_MATCHES: Final = 100


def transfer_requests(guard: GuardView) -> list[Request]:
    """The entries of the table."""
    own = _TransferRequests(guard)
    return [
        Request("bans_export", own.export, "Every ban in force, for `bans_import`",
                "a list of `id`, `jail`, `start`, `length` (-1: permanent), `count`, `failures`, `reason`, `matches`",
                (Argument("jail", help="name of a jail; all jails if left out"),), Access.READ),
        Request("bans_import", own.import_, "Take bans over as they were, past ones into the history",
                "for each ban why it was not taken, empty if it was",
                (Argument("bans", ArgumentKind.IDS, "bans as `bans_export` gives them, each as JSON text",
                          required=True),)),
    ]  # fmt: skip


class _TransferRequests:
    def __init__(self, guard: GuardView) -> None:
        self._guard = guard

    async def export(self, jail: str | None = None) -> object:
        return [ban_to_data(ban) for ban in self._guard.ledger.active(jail)]

    async def import_(self, bans: list[str]) -> object:
        return await self._guard.take_over([_ban(text) for text in bans])


def ban_to_data(ban: Ban) -> dict[str, Any]:
    """A ban as JSON-able values."""
    return {
        "id": ban.id,
        "jail": ban.jail,
        "start": ban.start,
        "length": -1 if math.isinf(ban.length) else ban.length,
        "count": ban.count,
        "failures": ban.failures,
        "reason": ban.reason,
        "matches": list(ban.matches),
    }


def _ban(text: str) -> Ban:
    try:
        data = json.loads(text)
        [id_] = canonical_ids([data["id"]], any_text=True)
        length = float(data["length"])
        ban = Ban(
            id=id_,
            jail=_text(data["jail"]),
            start=float(data["start"]),
            length=PERMANENT if length == -1 else length,
            failures=int(data.get("failures", 0)),
            reason=_text(data.get("reason", ""))[:_LONGEST_REASON],
            matches=tuple(_text(line) for line in data.get("matches", ())[:_MOST_MATCHES]),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise RequestError(f"{text[:100]!r} is not a ban: {type(error).__name__} {error}", "usage") from error
    if not (
        math.isfinite(ban.start) and 0 <= ban.start < 1e11 and (ban.length == PERMANENT or 0 <= ban.length <= 1e10)
    ):
        raise RequestError(f"{text[:100]!r} is not a ban: its times are out of range", "usage")
    return ban


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("is not text")
    return value
