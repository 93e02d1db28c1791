"""`get JAIL …` and `set JAIL …`: which word does what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from guardhooks import canonical
from guardhooks_core.fail2ban_socket import jail_values as values
from guardhooks_core.fail2ban_socket.daemon import Daemon, word
from guardhooks_core.fail2ban_socket.jail_status import ban_ends, banned_in
from guardhooks_core.fail2ban_socket.replies import VALUE_ERROR, CommandError

_Work: TypeAlias = Callable[[Daemon, str, list[str]], Awaitable[object]]

_IDLE: Final = {"on": True, "off": False}


async def get(daemon: Daemon, jail: str, words: list[str]) -> object:
    """`get JAIL WORD …`."""
    name, rest = word(words, 0), words[1:]
    if name in values.READABLE:
        return await values.value(daemon, jail, name)
    work = _GET.get(name)
    if work is None:
        await daemon.of_jail("status", jail)  # an unknown jail is the greater mistake
        raise CommandError(f"Invalid command {name!r} (no get action or not yet implemented)")
    return await work(daemon, jail, rest)


async def set_(daemon: Daemon, jail: str, words: list[str]) -> object:
    """`set JAIL WORD …`."""
    name, rest = word(words, 0), words[1:]
    if name in values.CHANGEABLE:
        return await values.change(daemon, jail, name, word(rest, 0))
    work = _SET.get(name)
    if work is None:
        raise CommandError(f"Invalid command {name!r} (no set action or not yet implemented)")
    return await work(daemon, jail, rest)


async def _idle(daemon: Daemon, jail: str, words: list[str]) -> object:
    idle = _IDLE.get(word(words, 0))
    if idle is None:
        raise CommandError("Invalid idle option, must be 'on' or 'off'")
    await daemon.of_jail("jail_pause" if idle else "jail_start", jail)
    return idle


async def _attempt(daemon: Daemon, jail: str, words: list[str]) -> object:
    await daemon.of_jail("attempt", jail, ids=[word(words, 0)], lines=words[1:] or None)
    return 1


async def _ban(daemon: Daemon, jail: str, words: list[str]) -> object:
    word(words, 0)
    before = set((await daemon.of_jail("banned", jail))[jail])
    answer = await daemon.of_jail("ban", jail, ids=words, text=True)
    new = {ban["id"] for ban in answer["banned"]} - before
    if answer["refused"] and not answer["banned"]:
        raise CommandError("; ".join(each["reason"] for each in answer["refused"]))
    return len(new)


async def _unban(daemon: Daemon, jail: str, words: list[str]) -> object:
    report_absent = words[:1] == ["--report-absent"]
    ids = words[1:] if report_absent else words
    word(ids, 0)
    answer = await daemon.of_jail("unban", jail, ids=ids, text=True)
    absent = [each for each in ids if (canonical(each) or each) in answer["absent"]]
    if report_absent and absent:
        raise CommandError(f"not banned: {absent!r}", VALUE_ERROR)
    return len(answer["unbanned"])


async def _names(daemon: Daemon, jail: str, _words: list[str]) -> object:
    return await values.action_names(daemon, jail)


async def _no_action(daemon: Daemon, jail: str, words: list[str]) -> object:
    await daemon.of_jail("status", jail)
    raise CommandError(f"Action {' '.join(words[:1])} cannot be added or removed while the jail runs; change `action` "
                       "in jail.local and reload")  # fmt: skip


_GET: Final[dict[str, _Work]] = {
    "banned": banned_in,
    "banip": ban_ends,
    "actions": _names,
    "action": values.action_property,
    "actionproperties": values.action_properties,
    "actionmethods": values.action_methods,
}
_SET: Final[dict[str, _Work]] = {
    "idle": _idle,
    "attempt": _attempt,
    "banip": _ban,
    "unbanip": _unban,
    "addignoreip": values.add_ignored,
    "delignoreip": values.remove_ignored,
    "addlogpath": values.add_path,
    "dellogpath": values.remove_path,
    "addjournalmatch": values.add_match,
    "deljournalmatch": values.remove_match,
    "addfailregex": values.add_line("failregex"),
    "delfailregex": values.remove_line("failregex"),
    "addignoreregex": values.add_line("ignoreregex"),
    "delignoreregex": values.remove_line("ignoreregex"),
    "action": values.action_property,
    "addaction": _no_action,
    "delaction": _no_action,
}
