"""What can be asked of a running daemon: the commands of the control socket, their arguments checked."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import os
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Final, Protocol

import guardhooks
from guardhooks.control.protocol import RequestError
from guardhooks.control.server import Handler, client_pid
from guardhooks.errors import ConfigError, GuardhooksError, PluginError
from guardhooks.model import PERMANENT, Ban, Jail
from guardhooks.net.addresses import canonical
from guardhooks.system.ssh_sessions import claims_of
from guardhooks.text import safe_text

_ID_LIMIT: Final = 512
"""Longest id in characters."""


_IN_FORCE_TIME: Final = 5.0
"""Seconds to wait until actions have done a ban by hand, so that the answer can tell."""
_LOOK_AGAIN: Final = 0.01


class Enforcement(Protocol):
    """Knows how far a ban has come: `active`, `pending` or `failing`."""

    def state(self, jail: str, id: str) -> str: ...


class ControlledGuard(Protocol):
    """The part of `guardhooks.Guard` that commands use."""

    @property
    def jails(self) -> Mapping[str, Jail]: ...
    @property
    def enforcer(self) -> Enforcement: ...
    @property
    def observing(self) -> bool: ...
    async def ban(
        self,
        jail: str,
        id: str,
        *,
        length: float | None = None,
        reason: str = "by hand",
        force: bool = False,
        protected: Collection[str] = (),
    ) -> Ban: ...
    async def unban(self, id: str, jail: str | None = None) -> list[Ban]: ...
    async def unban_all(self, jail: str | None = None) -> int: ...
    def is_banned(self, address: str, jail: str | None = None) -> bool: ...
    def status(self) -> dict[str, object]: ...
    def jail_status(self, jail: str) -> dict[str, object]: ...
    def plugins_report(self) -> list[dict[str, object]]: ...


class Stop(Protocol):
    """Makes the daemon end soon; with `flush` every ban is lifted before."""

    def __call__(self, *, flush: bool) -> Awaitable[object]: ...


def commands(
    guard: ControlledGuard,
    *,
    reload: Callable[[], Awaitable[object]],
    stop: Stop,
    doctor: Callable[[str], Awaitable[object]],
) -> Mapping[str, Handler]:
    """The commands by name.

    `reload` reads the configuration again, `doctor` examines an address, or the whole where it is empty. What they and
    `stop` return is what the client is told, as JSON-able data.
    """
    served = _Commands(guard, reload, stop, doctor)
    return {
        "ping": served.ping,
        "version": served.version,
        "status": served.status,
        "doctor": served.doctor,
        "plugins": served.plugins,
        "is_banned": served.is_banned,
        "ban": served.ban,
        "unban": served.unban,
        "unban_all": served.unban_all,
        "reload": served.reload,
        "stop": served.stop,
    }


class _Commands:
    def __init__(
        self,
        guard: ControlledGuard,
        reload: Callable[[], Awaitable[object]],
        stop: Stop,
        doctor: Callable[[str], Awaitable[object]],
    ) -> None:
        self._guard = guard
        self._reload = reload
        self._stop = stop
        self._doctor = doctor

    async def ping(self, arguments: Mapping[str, object]) -> object:
        _only(arguments)
        return {"pid": os.getpid()}

    async def version(self, arguments: Mapping[str, object]) -> object:
        _only(arguments)
        return {"version": guardhooks.__version__}

    async def status(self, arguments: Mapping[str, object]) -> object:
        _only(arguments, "jail")
        jail = _text(arguments, "jail")
        return self._guard.status() if jail is None else self._of_jail(jail)

    def _of_jail(self, jail: str) -> dict[str, object]:
        """A jail that is configured but broken does not run; the overview still knows what is wrong with it."""
        if jail in self._guard.jails:
            return self._guard.jail_status(jail)
        rows = self._guard.status().get("jails")
        if isinstance(rows, Sequence):
            for row in rows:
                if isinstance(row, Mapping) and row.get("name") == jail:
                    return dict(row)
        raise self._unknown(jail)

    async def doctor(self, arguments: Mapping[str, object]) -> object:
        _only(arguments, "address")
        text = _text(arguments, "address") or ""
        address = canonical(text.strip())
        if text and (not address or "/" in address):
            raise RequestError(f"{safe_text(text, 100)!r} is no single address", "usage")
        return await self._doctor(address)

    async def plugins(self, arguments: Mapping[str, object]) -> object:
        _only(arguments, "jail")
        jail = self._jail(arguments)
        rows = self._guard.plugins_report()
        return [row for row in rows if jail is None or row["jail"] == jail]

    async def is_banned(self, arguments: Mapping[str, object]) -> object:
        _only(arguments, "ids", "jail")
        jail = self._jail(arguments)
        return {each: self._guard.is_banned(each, jail) for each in _ids(arguments)}

    async def ban(self, arguments: Mapping[str, object]) -> object:
        _only(arguments, "jail", "ids", "length", "text", "force")
        jail, length, ids = self._jail(arguments), _length(arguments), _ids(arguments)
        force = _flag(arguments, "force")
        if jail is None:
            raise RequestError('ban needs a "jail"', "usage")
        for each in ids:
            _refuse_everybody(each)
        protected = frozenset() if force else await asyncio.to_thread(claims_of, client_pid.get())
        bans = await self._ban_all(
            [self._guard.ban(jail, each, length=length, force=force, protected=protected) for each in ids]
        )
        states = await self._settled(bans)
        told = [{**_ban_to_dict(ban), "state": state} for ban, state in zip(bans, states, strict=True)]
        return {"banned": told, "observing": self._guard.observing}

    async def _ban_all(self, asked: Sequence[Awaitable[Ban]]) -> list[Ban]:
        """All at once, so that they share what is slow. One that is refused does not stop the others."""
        answers = await asyncio.gather(*asked, return_exceptions=True)
        bans = [answer for answer in answers if isinstance(answer, Ban)]
        for answer in answers:
            if isinstance(answer, GuardhooksError) and bans:
                raise RequestError(f"{answer}; the other {len(bans)} are banned", "refused") from answer
            if isinstance(answer, BaseException):
                raise answer
        return bans

    async def _settled(self, bans: Sequence[Ban]) -> list[str]:
        """How far the bans have come, once none is pending or when it takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_IN_FORCE_TIME):
                while any(  # noqa: ASYNC110 -- for a moment only, and not worth an event for each ban
                    self._guard.enforcer.state(ban.jail, ban.id) == "pending" for ban in bans
                ):
                    await asyncio.sleep(_LOOK_AGAIN)
        return [self._guard.enforcer.state(ban.jail, ban.id) for ban in bans]

    async def unban(self, arguments: Mapping[str, object]) -> object:
        """Never an error for one that is not banned: those are listed as `absent`."""
        _only(arguments, "jail", "ids", "text")
        jail, lifted, absent = self._jail(arguments), list[Ban](), list[str]()
        for each in _ids(arguments):
            bans = await self._guard.unban(each, jail)
            lifted += bans
            if not bans:
                absent.append(each)
        return {"unbanned": [_ban_to_dict(ban) for ban in lifted], "absent": absent}

    async def unban_all(self, arguments: Mapping[str, object]) -> object:
        _only(arguments, "jail")
        return {"count": await self._guard.unban_all(self._jail(arguments))}

    async def reload(self, arguments: Mapping[str, object]) -> object:
        _only(arguments)
        try:
            return await self._reload()
        except (ConfigError, PluginError) as error:
            raise RequestError(f"the running configuration stays: {error}", "config") from error

    async def stop(self, arguments: Mapping[str, object]) -> object:
        _only(arguments, "flush")
        return await self._stop(flush=_flag(arguments, "flush"))

    def _jail(self, arguments: Mapping[str, object]) -> str | None:
        jail = _text(arguments, "jail")
        if jail is not None and jail not in self._guard.jails:
            raise self._unknown(jail)
        return jail

    def _unknown(self, jail: str) -> GuardhooksError:
        names = sorted(self._guard.jails)
        near = get_close_matches(jail, names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names[:20]) or 'none'}"
        return RequestError(f"no jail is called {safe_text(jail, 100)!r}; {hint}", "unknown-jail")


def _only(arguments: Mapping[str, object], *known: str) -> None:
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        allowed = ", ".join(known) or "none"
        raise RequestError(f"unknown argument {safe_text(unknown[0], 100)!r}; allowed: {allowed}", "usage")


def _text(arguments: Mapping[str, object], name: str) -> str | None:
    value = arguments.get(name)
    if value is not None and not isinstance(value, str):
        raise RequestError(f'"{name}" must be text', "usage")
    return value


def _flag(arguments: Mapping[str, object], name: str) -> bool:
    value = arguments.get(name, False)
    if not isinstance(value, bool):
        raise RequestError(f'"{name}" must be true or false', "usage")
    return value


def _length(arguments: Mapping[str, object]) -> float | None:
    """Seconds; -1 is for ever, as in `bantime`."""
    value = arguments.get("length")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RequestError('"length" must be a number of seconds, or -1 for ever', "usage")
    if value == -1:
        return PERMANENT
    if not math.isfinite(value) or not 1 <= value <= 1e10:
        raise RequestError('"length" must be 1 to 1e10 seconds, or -1 for ever', "usage")
    return float(value)


def _ids(arguments: Mapping[str, object]) -> list[str]:
    """The ids in canonical spelling. Text that is no address is a typing error unless `text` says that it is meant."""
    given, any_text = arguments.get("ids"), _flag(arguments, "text")
    if not isinstance(given, list) or not given or not all(isinstance(each, str) for each in given):
        raise RequestError('"ids" must be a list of addresses, networks or other ids, not empty', "usage")
    return list(dict.fromkeys(_id(each, any_text=any_text) for each in given))


def _id(text: str, *, any_text: bool) -> str:
    address = canonical(text.strip())
    if address:
        return address
    if not any_text:
        raise RequestError(
            f"{safe_text(text, 100)!r} is no address and no network; for an id of another kind add --text", "usage"
        )
    if not text or len(text) > _ID_LIMIT or not text.isprintable():
        raise RequestError(f"an id is 1 to {_ID_LIMIT} printable characters", "usage")
    return text


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
