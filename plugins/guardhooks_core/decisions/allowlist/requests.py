"""The allowlist's requests of the control socket."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import asdict
from typing import Final

from guardhooks import (
    Access,
    Argument,
    ArgumentKind,
    GuardView,
    Request,
    RequestError,
    canonical,
    current_uid,
    safe_text,
)
from guardhooks_core.decisions.allowlist.entries import Allowlist, Entry

_NOTICE: Final = 25
_MOST: Final = 100_000
"""Entries of a list."""
_LONGEST: Final = 500
"""Characters of an id or a reason."""

logger = logging.getLogger("guardhooks.allowlist")


class AllowlistRequests:
    """What can be asked of one guard's list."""

    def __init__(self, guard: GuardView, allowlist: Allowlist) -> None:
        self._guard, self._allowlist = guard, allowlist
        self._one_change_at_a_time = asyncio.Lock()

    def table(self) -> list[Request]:
        """The entries for the daemon's table of requests."""
        ids = Argument("ids", ArgumentKind.IDS, "addresses, networks or other ids", required=True)
        jail = Argument("jail", help="in this jail only; in all if left out")
        length = Argument("length", ArgumentKind.DURATION, "seconds; for good if left out")
        return [
            Request("ignore_add", self.add, "Never ban these, from now on; their bans are lifted",
                    "`added`, `unbanned`", (ids, jail, length, Argument("reason", help="why"))),
            Request("ignore_remove", self.remove, "Take entries off the list", "`removed`, `absent`", (ids, jail)),
            Request("ignore_list", self.entries, "Who is on the list", "a list of entries", access=Access.READ),
        ]  # fmt: skip

    async def add(
        self, ids: list[str], jail: str | None = None, length: float | None = None, reason: str = ""
    ) -> object:
        """Add entries and lift the bans that hit them."""
        if jail is not None and jail not in self._guard.jails:
            raise RequestError(f"no jail is called {safe_text(jail, 100)!r}", "unknown-jail")
        if len(reason) > _LONGEST or len(self._allowlist.entries()) + len(ids) > _MOST:
            raise RequestError(f"a reason has up to {_LONGEST} characters, the list up to {_MOST} entries", "usage")
        now, uid = self._guard.clock(), current_uid()
        until = None if length is None or math.isinf(length) else now + length
        new = [Entry(_checked(each), jail or "", until, reason, uid, now) for each in ids]
        async with self._one_change_at_a_time:
            await asyncio.to_thread(self._allowlist.add, new)
        lifted = [ban for entry in new for ban in await self._guard.unban(entry.id, jail)]
        for entry in new:
            logger.log(_NOTICE, "%s is never banned%s: added by uid %s%s", safe_text(str(entry)),
                       "" if until is None else f" for {length:.0f} seconds", uid,
                       f", {safe_text(reason)}" if reason else "")  # fmt: skip
        return {"added": [asdict(each) for each in new], "unbanned": [{"id": b.id, "jail": b.jail} for b in lifted]}

    async def remove(self, ids: list[str], jail: str | None = None) -> object:
        """Take entries off; their next failures count."""
        wanted = [_checked(each) for each in ids]
        async with self._one_change_at_a_time:
            gone = await asyncio.to_thread(self._allowlist.remove, wanted, jail)
        for entry in gone:
            logger.log(_NOTICE, "%s can be banned again: removed by uid %s", safe_text(str(entry)), current_uid())
        removed = {entry.id for entry in gone}
        return {"removed": [asdict(each) for each in gone], "absent": [each for each in wanted if each not in removed]}

    async def entries(self) -> object:
        """All entries in effect."""
        return [asdict(entry) for entry in self._allowlist.entries()]


def _checked(text: str) -> str:
    """An id in canonical spelling."""
    id_ = canonical(text.strip()) or text
    if id_.endswith("/0"):
        raise RequestError(f"{id_} is everybody, nobody would be banned; name a smaller network", "refused")
    if not id_ or len(id_) > _LONGEST or not id_.isprintable():
        raise RequestError(f"an id is 1 to {_LONGEST} printable characters", "usage")
    return id_
