"""guardhooks' own requests: each is one entry of the table in `own_requests` and one method."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import math
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import guardhooks
from guardhooks.control.arguments import ArgumentKind, canonical_ids
from guardhooks.control.peers import asker, current_peer
from guardhooks.control.protocol import RELOAD_TIMEOUT, RequestError
from guardhooks.control.requests import Access, Argument, Request, Requests
from guardhooks.control.runtime_commands import runtime_requests, unknown_jail
from guardhooks.control.transfer_commands import transfer_requests
from guardhooks.errors import ConfigError, GuardhooksError, PluginError
from guardhooks.model import Ban
from guardhooks.net.addresses import canonical
from guardhooks.status import to_dict
from guardhooks.system.ssh_sessions import claims_of
from guardhooks.text import safe_text
from guardhooks.views import GuardView

_IN_FORCE_TIME: Final = 5.0
"""Seconds to wait until actions have done a ban by hand, so that the answer can tell."""
_POLL: Final = 0.01
_LONGEST_REASON: Final = 500
"""Characters."""
_NAMED: Final = 5
"""Ids that the log names for a request."""

logger = logging.getLogger("guardhooks.control")


class Stop(Protocol):
    """Makes the daemon end soon; with `flush` every ban is lifted first."""

    def __call__(self, *, flush: bool) -> Awaitable[object]: ...


def own_requests(
    guard: GuardView,
    *,
    reload: Callable[[], Awaitable[object]],
    stop: Stop,
    doctor: Callable[[str], Awaitable[object]],
) -> Requests:
    """The table.

    :param reload: reads the configuration again. :param stop: ends the daemon. :param doctor: examines an address, or
        the whole guard if it is empty. What they return is the answer, as JSON-able data.
    """
    own = _OwnRequests(guard, reload, stop, doctor)
    jail = Argument("jail", help="name of a jail; all jails if left out")
    ids = Argument("ids", ArgumentKind.IDS, "addresses, networks or other ids", required=True)
    text = Argument("text", ArgumentKind.FLAG, "ids may be any text")
    force = Argument("force", ArgumentKind.FLAG, "ban even what must not be banned")
    length = Argument("length", ArgumentKind.DURATION, "seconds, -1: permanent; the jail's bantime if left out")
    flush = Argument("flush", ArgumentKind.FLAG, "lift every ban first")
    address = Argument("address", ArgumentKind.ADDRESS, "a single address; the whole guard if left out")
    read = Access.READ
    return Requests(
        [
            Request("ping", own.ping, "Whether the daemon answers", "`pid`", access=read),
            Request("version", own.version, "The daemon's version", "`version`", access=read),
            Request("status", own.status, "State of the guard, or of one jail with its bans",
                    "as `guardhooks status --json`", (jail,), read),
            Request("doctor", own.doctor, "Examine the guard, or one address",
                    "as `guardhooks doctor --json`", (address,), read),
            Request("plugins", own.plugins, "Which plugins are asked, in which order",
                    "as `guardhooks plugins --json`", (jail,), read),
            Request("is_banned", own.is_banned, "Whether ids are banned", "true or false for each id",
                    (ids, jail, text), read),
            Request("ban", own.ban, "Ban ids in a jail; one that is refused does not stop the others",
                    "`banned`: the bans with their `state`; `refused`: `id` and `reason` of the others; `observing`; "
                    "`unsaved`: why they will not survive a restart",
                    (Argument("jail", help="name of a jail", required=True), ids, length, text, force,
                     Argument("replace", ArgumentKind.FLAG, "make a ban that lasts longer shorter"),
                     Argument("reason", help="why, for status and mail"))),
            Request("unban", own.unban, "Lift bans; one that is not banned is no error",
                    "`unbanned`: the bans; `absent`: ids that were not banned; `still_banned`: bans by other jails",
                    (jail, ids, text)),
            Request("unban_all", own.unban_all, "Lift every ban", "`count`", (jail,)),
            Request("reload", own.reload, "Read the configuration again; every ban is kept",
                    "as `guardhooks status --json`, and `reload`: what changed, and was `taken_back`",
                    timeout=RELOAD_TIMEOUT),
            Request("stop", own.stop, "End the daemon", "nothing", (flush,)),
            *runtime_requests(guard),
            *transfer_requests(guard),
        ]
    )  # fmt: skip


class _OwnRequests:
    def __init__(
        self,
        guard: GuardView,
        reload: Callable[[], Awaitable[object]],
        stop: Stop,
        doctor: Callable[[str], Awaitable[object]],
    ) -> None:
        self._guard = guard
        self._reload = reload
        self._stop = stop
        self._doctor = doctor

    async def ping(self) -> object:
        return {"pid": os.getpid()}

    async def version(self) -> object:
        return {"version": guardhooks.__version__}

    async def status(self, jail: str | None = None) -> object:
        if jail is None:
            return to_dict(self._guard.status())
        if jail in self._guard.jails:
            return to_dict(self._guard.jail_status(jail))
        # A jail that is configured but broken does not run; the overview still knows what is wrong with it.
        rows = [row for row in self._guard.status().jails if row.name == jail]
        if not rows:
            raise unknown_jail(jail, self._guard.jails)
        return to_dict(rows[0])

    async def doctor(self, address: str = "") -> object:
        return await self._doctor(address)

    async def plugins(self, jail: str | None = None) -> object:
        self._check_jail(jail)
        return [row for row in self._guard.plugins_report() if jail is None or row["jail"] in {"", jail}]

    async def is_banned(self, ids: list[str], jail: str | None = None, *, text: bool = False) -> object:
        self._check_jail(jail)
        return {each: self._guard.is_banned(each, jail) for each in canonical_ids(ids, any_text=text)}

    async def ban(
        self,
        jail: str,
        ids: list[str],
        length: float | None = None,
        *,
        text: bool = False,
        force: bool = False,
        replace: bool = False,
        reason: str = "",
    ) -> object:
        self._check_jail(jail)
        if len(reason) > _LONGEST_REASON:
            raise RequestError(f'"reason" is longer than {_LONGEST_REASON} characters', "usage")
        ids = canonical_ids(ids, any_text=text)
        for each in ids:
            _refuse_everybody(each)
        peer = current_peer.get()
        protected = frozenset() if force or peer is None else await asyncio.to_thread(claims_of, peer.pid)
        who = await asyncio.to_thread(asker)
        options: dict[str, Any] = {
            "length": length, "force": force, "replace": replace, "reason": reason, "asker": who,
        }  # fmt: skip
        logger.info("ban of %s in jail %s, asked for by %s", _some(ids), jail, who)
        # All at once, so that they share what is slow.
        answers = await asyncio.gather(
            *(self._guard.ban(jail, each, protected=protected, **options) for each in ids), return_exceptions=True
        )
        bans, refused = list[Ban](), list[dict[str, str]]()
        for each, answer in zip(ids, answers, strict=True):
            if isinstance(answer, GuardhooksError):
                refused.append({"id": each, "reason": str(answer)})
            elif isinstance(answer, BaseException):
                raise answer
            else:
                bans.append(answer)
        states = await self._settled_states(bans)
        banned = [{**_ban_to_dict(ban), "state": state} for ban, state in zip(bans, states, strict=True)]
        return {
            "banned": banned,
            "refused": refused,
            "observing": self._guard.observing,
            "unsaved": self._guard.state_problem if banned else "",
        }

    async def _settled_states(self, bans: Sequence[Ban]) -> list[str]:
        """How far the bans have come, once none is pending or when it takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_IN_FORCE_TIME):
                while any(  # noqa: ASYNC110 -- for a moment only, and not worth an event for each ban
                    self._guard.ban_state(ban.jail, ban.id) == "pending" for ban in bans
                ):
                    await asyncio.sleep(_POLL)
        return [self._guard.ban_state(ban.jail, ban.id) for ban in bans]

    async def unban(self, ids: list[str], jail: str | None = None, *, text: bool = False) -> object:
        self._check_jail(jail)
        lifted, absent = list[Ban](), list[str]()
        ids, who = canonical_ids(ids, any_text=text), await asyncio.to_thread(asker)
        logger.info("unban of %s in %s, asked for by %s", _some(ids), f"jail {jail}" if jail else "all jails", who)
        for each in ids:
            bans = await self._guard.unban(each, jail, asker=who)
            lifted += bans
            if not bans:
                absent.append(each)
        still = [] if jail is None else [other for ban in lifted for other in self._guard.ledger.find(ban.id)]
        return {
            "unbanned": [_ban_to_dict(ban) for ban in lifted],
            "absent": absent,
            "still_banned": [_ban_to_dict(ban) for ban in still],
        }

    async def unban_all(self, jail: str | None = None) -> object:
        self._check_jail(jail)
        who = await asyncio.to_thread(asker)
        logger.info("unban of everybody in %s, asked for by %s", f"jail {jail}" if jail else "all jails", who)
        return {"count": await self._guard.unban_all(jail, asker=who)}

    async def reload(self) -> object:
        logger.info("reload asked for by %s", await asyncio.to_thread(asker))
        try:
            return await self._reload()
        except (ConfigError, PluginError) as error:
            raise RequestError(f"the running configuration stays: {error}", "config") from error

    async def stop(self, *, flush: bool = False) -> object:
        logger.info("stop%s asked for by %s", " with unban" if flush else "", await asyncio.to_thread(asker))
        return await self._stop(flush=flush)

    def _check_jail(self, jail: str | None) -> None:
        if jail is not None and jail not in self._guard.jails:
            raise unknown_jail(jail, self._guard.jails)


def _some(ids: Sequence[str]) -> str:
    """The first ids of a request, for the log."""
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return safe_text(", ".join(ids[:_NAMED]), 500) + more


def _refuse_everybody(text: str) -> None:
    if "/" in text and canonical(text) and ipaddress.ip_network(text).prefixlen == 0:
        raise RequestError(f"{text} is everybody, you too; name a smaller network", "refused")


def _ban_to_dict(ban: Ban) -> dict[str, object]:
    permanent = math.isinf(ban.length)
    return {
        "id": ban.id,
        "jail": ban.jail,
        "start": ban.start,
        "end": None if permanent else ban.end,
        "length": None if permanent else ban.length,
        "count": ban.count,
    }
