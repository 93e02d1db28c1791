"""The commands of fail2ban's client: which word does what, and those that are about no jail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from guardhooks import Ask, RequestError
from guardhooks_core.fail2ban_socket.daemon import INVALID, Daemon, word
from guardhooks_core.fail2ban_socket.jail_commands import get, set_
from guardhooks_core.fail2ban_socket.jail_status import banned, stats, status
from guardhooks_core.fail2ban_socket.opcodes import Plain
from guardhooks_core.fail2ban_socket.replies import (
    DUPLICATE_JAIL,
    RUNTIME_ERROR,
    UNKNOWN_JAIL,
    VALUE_ERROR,
    CommandError,
)

VERSION: Final = "1.1.0"
"""What `version` answers: the newest release that programs which ask for it accept."""
_SLEEP_LIMIT: Final = 60.0
"""Seconds."""
_DETAILED_LEVELS: Final = {"TRACEDEBUG": "DEBUG", "HEAVYDEBUG": "DEBUG", "MSG": "INFO"}
_NUMBERED_LEVELS: Final = (("CRITICAL", 50), ("ERROR", 40), ("WARNING", 30), ("NOTICE", 25), ("INFO", 20))
_LOG_TARGETS: Final = {"SYSTEMD-JOURNAL": "STDERR", "SYSOUT": "STDOUT"}

_Work: TypeAlias = Callable[[Daemon, list[str]], Awaitable[object]]


class Commands:
    """Runs commands one after the other: those that add to a list read it first."""

    def __init__(self, ask: Ask) -> None:
        self._daemon = Daemon(ask)
        self._one_change_at_a_time = asyncio.Lock()

    async def run(self, words: list[Plain]) -> object:
        """What a command answers. :raises CommandError: when it fails; errors of the daemon pass through."""
        name, *rest = map(_text, words)
        if name == "reload":
            return await _reload(self._daemon, words[1:])
        work = _COMMANDS.get(name)
        if work is None:
            raise CommandError(INVALID)
        if name != "set":
            return await work(self._daemon, rest)
        async with self._one_change_at_a_time:
            return await work(self._daemon, rest)


def _text(value: Plain) -> str:
    """A word; what is no text where a word is expected is never shown."""
    if isinstance(value, bool | int | float):
        return str(value)
    return value if isinstance(value, str) else ""


# --- the daemon -------------------------------------------------------------------------------------------------------


async def _ping(_daemon: Daemon, _words: list[str]) -> object:
    return "pong"


async def _version(_daemon: Daemon, _words: list[str]) -> object:
    return VERSION


async def _echo(_daemon: Daemon, words: list[str]) -> object:
    return words


async def _ready(_daemon: Daemon, _words: list[str]) -> object:
    return "Server ready"


async def _sleep(_daemon: Daemon, words: list[str]) -> object:
    try:
        seconds = float(word(words, 0)[:20])
    except ValueError as error:
        raise CommandError(str(error), VALUE_ERROR) from None
    await asyncio.sleep(min(max(0.0, seconds), _SLEEP_LIMIT))
    return None


async def _stats(daemon: Daemon, _words: list[str]) -> object:
    return await stats(daemon)


async def _unban(daemon: Daemon, words: list[str]) -> object:
    if not words:
        raise CommandError(INVALID)
    if words[0] == "--all":
        return (await daemon.ask("unban_all"))["count"]
    return len((await daemon.ask("unban", ids=words, text=True))["unbanned"])


async def _flushlogs(daemon: Daemon, _words: list[str]) -> object:
    return "rolled over" if (await daemon.ask("flushlogs"))["reopened"] else "flushed"


async def _reload(daemon: Daemon, words: list[Plain]) -> object:
    """`reload TARGET OPTIONS STREAM`: our own configuration is read again, whatever the client has read."""
    target = _text(words[0]) if words else "--all"
    given = words[1] if len(words) > 1 and isinstance(words[1], list) else []
    options = {_text(each) for each in given}
    if target != "--all" and target not in await daemon.jails():
        if "--if-exists" in options:
            return "OK"
        raise CommandError(target, UNKNOWN_JAIL)
    if "--unban" in options:
        await daemon.ask("unban_all", jail=None if target == "--all" else target)
    await daemon.ask("reload")
    if "--restart" in options:
        for name in await daemon.jails() if target == "--all" else [target]:
            await daemon.of_jail("jail_restart", name)
    return "OK"


async def _start(daemon: Daemon, words: list[str]) -> object:
    await daemon.of_jail("jail_start", word(words, 0))
    return None


async def _stop(daemon: Daemon, words: list[str]) -> object:
    if not words:
        raise CommandError(
            "guardhooks is not stopped through this socket; use `systemctl stop guardhooks` or `guardhooks stop`, "
            "to restart it `systemctl restart guardhooks`"
        )
    if words[0] not in await daemon.jails():
        raise CommandError(words[0], UNKNOWN_JAIL)
    await daemon.of_jail("jail_stop", words[0])
    return None


async def _add(daemon: Daemon, words: list[str]) -> object:
    name = word(words, 0)
    if name in await daemon.jails():
        raise CommandError(name, DUPLICATE_JAIL)
    raise CommandError(f"jail {name} cannot be added while guardhooks runs; write it to jail.local and reload")


# --- get and set of what belongs to no jail ---------------------------------------------------------------------------


async def _get(daemon: Daemon, words: list[str]) -> object:
    name = word(words, 0)
    if name in _SERVER_VALUES:
        return await _SERVER_VALUES[name](daemon)
    return await get(daemon, name, words[1:])


async def _set(daemon: Daemon, words: list[str]) -> object:
    name, value = word(words, 0), word(words, 1)
    if name == "logtarget":
        target = value if value.startswith("/") else _LOG_TARGETS.get(value.upper(), value.upper())
        return (await daemon.ask("logtarget", value=target))["logtarget"]
    if name == "loglevel":
        return await _set_loglevel(daemon, value)
    if name in _SERVER_VALUES:
        return await _keep(daemon, name, value)
    return await set_(daemon, name, words[1:])


async def _set_loglevel(daemon: Daemon, value: str) -> object:
    """By name, or by number as in Python's logging."""
    if value.isdecimal() and value.isascii():
        known = next((name for name, number in _NUMBERED_LEVELS if int(value[:9]) >= number), "DEBUG")
    else:
        known = _DETAILED_LEVELS.get(value.upper(), value.upper())
    try:
        return (await daemon.ask("loglevel", value=known))["loglevel"]
    except RequestError:
        raise CommandError(f"Invalid log level {value!r}", VALUE_ERROR) from None


async def _keep(daemon: Daemon, name: str, value: str) -> object:
    """What guardhooks.conf alone says can be set to what it is."""
    if name == "dbfile":
        raise CommandError("Cannot change database when there are jails present", RUNTIME_ERROR)
    now = await _SERVER_VALUES[name](daemon)
    if value != str(now):
        where = "change guardhooks.conf instead" if name == "dbpurgeage" else "guardhooks has no other value"
        raise CommandError(f"{name} cannot be changed through this socket; {where}", RUNTIME_ERROR)
    return now


async def _loglevel(daemon: Daemon) -> object:
    return (await daemon.ask("loglevel"))["loglevel"]


async def _logtarget(daemon: Daemon) -> object:
    return (await daemon.ask("logtarget"))["logtarget"]


async def _history_age(daemon: Daemon) -> object:
    return int((await daemon.ask("status"))["history_age"])


def _always(value: object) -> Callable[[Daemon], Awaitable[object]]:
    async def answer(_daemon: Daemon) -> object:
        return value

    return answer


_SERVER_VALUES: Final[dict[str, Callable[[Daemon], Awaitable[object]]]] = {
    "loglevel": _loglevel,
    "logtarget": _logtarget,
    "syslogsocket": _always("auto"),
    "allowipv6": _always("auto"),
    "dbfile": _always(None),
    "dbpurgeage": _history_age,
    "dbmaxmatches": _always(10),
    "thread": _always({"stacksize": 0}),
}
_COMMANDS: Final[dict[str, _Work]] = {
    "ping": _ping,
    "version": _version,
    "echo": _echo,
    "server-status": _ready,
    "sleep": _sleep,
    "status": status,
    "stats": _stats,
    "statistic": _stats,
    "statistics": _stats,
    "banned": banned,
    "unban": _unban,
    "flushlogs": _flushlogs,
    "start": _start,
    "stop": _stop,
    "add": _add,
    "get": _get,
    "set": _set,
}
