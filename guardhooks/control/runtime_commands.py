"""Requests that look at and change the running guard: options, paused and stopped jails, attempts, the log level."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from guardhooks import log_targets, logs
from guardhooks.control.arguments import ArgumentKind, canonical_ids
from guardhooks.control.peers import current_uid
from guardhooks.control.protocol import RequestError
from guardhooks.control.requests import Access, Argument, Request
from guardhooks.errors import ConfigError
from guardhooks.model import Jail
from guardhooks.status import to_dict
from guardhooks.text import did_you_mean, safe_text
from guardhooks.views import GuardView

_LONGEST: Final = 100_000
"""Characters of a value."""
_MOST_LINES: Final = 1000

logger = logging.getLogger("guardhooks.control")


def runtime_requests(guard: GuardView) -> list[Request]:
    """The entries of the table."""
    own = _RuntimeRequests(guard)
    any_jail = Argument("jail", help="name of a jail; all jails if left out")
    jail = Argument("jail", help="name of a jail", required=True)
    key = Argument("key", help="an option of jails, or action.NAME.PROPERTY", required=True)
    ids = Argument("ids", ArgumentKind.IDS, "addresses, networks or other ids", required=True)
    read = Access.READ
    return [
        Request("get", own.get, "The value of an option in a jail that runs",
                "`value`; `text`, as in a file; `change`, as `changes` gives it, or null", (jail, key), read),
        Request("set", own.set, "Change an option in the running guard; a reload takes it back",
                "the change", (jail, key, Argument("value", help="as in a file", required=True))),
        Request("unset", own.unset, "Take such a change back", "`changed`: whether there was one", (jail, key)),
        Request("changes", own.changes, "What was changed in the running guard",
                "a list of `jail`, `key`, `value`, `former`, `uid`, `since`, `until`", (any_jail,), read),
        Request("jail_pause", own.pause, "Read no logs for a jail; its bans stay in force", "the change",
                (jail, Argument("length", ArgumentKind.DURATION, "seconds; until it is started if left out"))),
        Request("jail_stop", own.stop, "Stop a jail and lift its bans", "the change", (jail,)),
        Request("jail_start", own.start, "Start a jail that was paused or stopped",
                "`changed`: false if it ran already", (jail,)),
        Request("jail_restart", own.restart, "Start the actions of a jail again; its bans are kept", "nothing",
                (jail,)),
        Request("attempt", own.attempt, "Count a failure of each id, as if its log said so", "`banned`: ids",
                (jail, ids, Argument("lines", ArgumentKind.IDS, "what happened; one failure for each"))),
        Request("banned", own.banned, "Who is banned, or which jails ban these ids",
                "ids for each jail; with `ids`, jails for each id",
                (Argument("ids", ArgumentKind.IDS, "addresses, networks or other ids"), any_jail), read),
        Request("logtarget", own.logtarget, "Where the log goes; with `value`, from now on until the next reload",
                "`logtarget`", (Argument("value", help="STDERR, STDOUT, SYSLOG or the path of a file"),)),
        Request("flushlogs", own.flushlogs, "Open the log file again, after it was rotated",
                "`reopened`: false where the log goes elsewhere"),
        Request("loglevel", own.loglevel, "How much is logged; with `value`, from now on until the next reload",
                "`loglevel`", (Argument("value", help=f"one of {', '.join(logs.LEVELS)}"),)),
    ]  # fmt: skip


class _RuntimeRequests:
    def __init__(self, guard: GuardView) -> None:
        self._guard = guard

    async def get(self, jail: str, key: str) -> object:
        value, text = self._asked(jail, key)
        found = next((each for each in self._guard.changes.all(jail) if each.key == key), None)
        return {"value": value, "text": text, "change": found and to_dict(found)}

    def _asked(self, jail: str, key: str) -> tuple[object, str]:
        self._check(jail)
        try:
            value, text = self._guard.changes.value(jail, key)
        except ConfigError as error:
            raise RequestError(str(error), "usage") from error
        return ("" if text == "(hidden)" else _plain(value)), text

    async def set(self, jail: str, key: str, value: str) -> object:
        self._check(jail)
        if len(value) > _LONGEST or not key:
            raise RequestError(f"an option and a value of up to {_LONGEST} characters are needed", "usage")
        try:
            return to_dict(await self._guard.changes.set(jail, key, value, uid=current_uid()))
        except ConfigError as error:
            raise RequestError(str(error), "usage") from error

    async def unset(self, jail: str, key: str) -> object:
        self._check(jail)
        return {"changed": await self._guard.changes.unset(jail, key, uid=current_uid()) if key else False}

    async def changes(self, jail: str | None = None) -> object:
        return [to_dict(change) for change in self._guard.changes.all(jail)]

    async def pause(self, jail: str, length: float | None = None) -> object:
        self._check(jail)
        if length is not None and math.isinf(length):
            length = None
        return to_dict(await self._guard.changes.pause(jail, length, uid=current_uid()))

    async def stop(self, jail: str) -> object:
        self._check(jail)
        return to_dict(await self._guard.changes.stop(jail, uid=current_uid()))

    async def start(self, jail: str) -> object:
        self._check(jail)
        return {"changed": await self._guard.changes.start(jail, uid=current_uid())}

    async def restart(self, jail: str) -> object:
        self._check(jail)
        if self._guard.changes.state(jail):
            await self._guard.changes.start(jail, uid=current_uid())
        else:
            self._guard.restart_actions(jail)
        return None

    async def attempt(self, jail: str, ids: list[str], lines: list[str] | None = None) -> object:
        self._running(jail)
        if len(lines or ()) > _MOST_LINES:
            raise RequestError(f'"lines" are more than {_MOST_LINES}', "usage")
        banned = []
        for id_ in canonical_ids(ids, any_text=True):
            for line in lines or [""]:
                banned += [ban.id for ban in await self._guard.failure(jail, id_, text=line)]
                await asyncio.sleep(0)  # a thousand failures must not keep everybody else waiting
        logger.info("[%s] attempts of %d ids reported by uid %s", jail, len(ids), current_uid())
        return {"banned": banned}

    async def banned(self, ids: list[str] | None = None, jail: str | None = None) -> object:
        if jail is not None:
            self._check(jail)
        ledger = self._guard.ledger
        if ids is None:
            names = [*self._guard.jails] if jail is None else [jail]
            return {name: [ban.id for ban in ledger.active(name)] for name in names}
        found = {each: ledger.find(each, jail) for each in canonical_ids(ids, any_text=True)}
        order = {name: place for place, name in enumerate(self._guard.jails)}
        return {
            id_: sorted(dict.fromkeys(ban.jail for ban in bans), key=lambda name: order.get(name, len(order)))
            for id_, bans in found.items()
        }

    async def loglevel(self, value: str | None = None) -> object:
        if value is not None:
            if value.upper() not in logs.LEVELS:
                raise RequestError(f"{safe_text(value, 100)!r} is none of {', '.join(logs.LEVELS)}", "usage")
            logs.set_up(value.upper())
            logger.log(logs.NOTICE, "loglevel changed to %s by uid %s", value.upper(), current_uid())
        number = logging.getLogger("guardhooks").getEffectiveLevel()
        return {"loglevel": next((name for name, level in logs.LEVELS.items() if level == number), "INFO")}

    async def logtarget(self, value: str | None = None) -> object:
        if value is not None:
            if value not in {*log_targets.STREAMS, log_targets.SYSLOG} and not value.startswith("/"):
                raise RequestError(f"{safe_text(value, 100)!r} is neither STDERR, STDOUT, SYSLOG nor a path", "usage")
            log_targets.set_target(value)
            logger.log(logs.NOTICE, "logtarget changed to %s by uid %s", safe_text(value), current_uid())
        return {"logtarget": log_targets.target()}

    async def flushlogs(self) -> object:
        return {"reopened": log_targets.reopen()}

    def _check(self, jail: str) -> None:
        """Refuse a jail that neither runs nor was stopped."""
        if jail not in self._guard.jails and not self._guard.changes.state(jail):
            raise unknown_jail(jail, self._guard.jails)

    def _running(self, jail: str) -> None:
        if jail not in self._guard.jails:
            raise unknown_jail(jail, self._guard.jails)


def unknown_jail(jail: str, jails: Mapping[str, Jail]) -> RequestError:
    """The error for a jail that does not run, with the nearest name."""
    names = sorted(jails)
    hint = did_you_mean(jail[:100], names, 0.6) or f"; there are {', '.join(names[:20]) or 'none'}"
    return RequestError(f"no jail is called {safe_text(jail, 100)!r}{hint}", "unknown-jail")


def _plain(value: object) -> object:
    """The value of an option as JSON: whole seconds as integers, permanent as -1."""
    if isinstance(value, float):
        if math.isinf(value):
            return -1
        return int(value) if value.is_integer() else value
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    return str(value) if isinstance(value, Path) else value
