"""`get JAIL …` and `set JAIL …` for options: our values in fail2ban's shapes, its words as our texts."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from guardhooks import ConfigError, GuardhooksError, Op, parse_duration
from guardhooks_core.fail2ban_socket.daemon import Daemon, word
from guardhooks_core.fail2ban_socket.replies import ATTRIBUTE_ERROR, KEY_ERROR, VALUE_ERROR, CommandError

_NUMBERS: Final = frozenset({"findtime", "maxretry", "maxmatches", "maxlines", "bantime", "ignoreself"})
_TEXTS: Final = frozenset({"prefregex", "usedns"})
_WORD_LISTS: Final = frozenset({"ignoreip"})
_LINE_LISTS: Final = frozenset({"failregex", "ignoreregex"})
_UNLESS_DEFAULT: Final = {
    "bantime.increment": False, "bantime.factor": 1, "bantime.formula": "", "bantime.multipliers": [],
    "bantime.maxtime": -1, "bantime.rndtime": 0, "bantime.overalljails": False, "logtimezone": "",
}  # fmt: skip
"""Options that fail2ban knows no value of until somebody sets them."""
_AS_TEXT: Final = frozenset({"bantime.factor", "bantime.formula", "bantime.multipliers", "logtimezone"})
READABLE: Final = frozenset(
    {*_NUMBERS, *_TEXTS, *_WORD_LISTS, *_LINE_LISTS, *_UNLESS_DEFAULT,
     "ignorecommand", "ignorecache", "logencoding", "logpath", "journalmatch", "datepattern"}
)  # fmt: skip
CHANGEABLE: Final = READABLE - {"logpath", "ignoreip", "journalmatch", "failregex", "ignoreregex"}

_DATE_PARTS: Final = {
    "Y": "Year", "y": "Year2", "m": "Month", "d": "Day", "H": "24hour", "I": "12hour", "M": "Minute", "S": "Second",
    "f": "Microseconds", "b": "MON", "B": "MON", "a": "DAY", "A": "DAY", "p": "AMPM", "z": "Zone offset",
    "Z": "Zone name", "j": "Yearday",
}  # fmt: skip


async def value(daemon: Daemon, jail: str, key: str) -> object:
    """`get JAIL KEY`."""
    found = await daemon.value(jail, key)
    if key in _UNLESS_DEFAULT:
        if found == _UNLESS_DEFAULT[key]:
            return None
        return await daemon.text(jail, key) if key in _AS_TEXT else found
    shape = _SHAPES.get(key)
    return await shape(daemon, jail, found) if shape else found


async def reads_journal(daemon: Daemon, jail: str) -> bool:
    """Whether a jail reads the systemd journal."""
    sources = (await daemon.of_jail("status", jail))["sources"]
    return any(source["key"].startswith("journal") for source in sources)


async def _ignorecommand(_daemon: Daemon, _jail: str, found: str) -> object:
    return found or False


async def _ignorecache(_daemon: Daemon, _jail: str, found: dict[str, str]) -> object:
    if not found:
        return None
    try:
        seconds = parse_duration(found.get("max-time", "300"))
    except ConfigError:
        seconds = 300.0
    return [found.get("key", ""), int(found.get("max-count", "100")), int(seconds)]


async def _logencoding(_daemon: Daemon, _jail: str, found: str) -> object:
    return "UTF-8" if found == "auto" else found


async def _logpath(_daemon: Daemon, _jail: str, found: list[str]) -> object:
    return [path.removesuffix(" tail") for path in found]


async def _journalmatch(_daemon: Daemon, _jail: str, found: list[str]) -> object:
    return [part.split() for line in found for part in line.split(" + ")]


async def _datepattern(daemon: Daemon, jail: str, found: list[str]) -> object:
    if await reads_journal(daemon, jail):
        return None
    if len(found) != 1:
        return None, "Default Detectors"
    words = re.sub(r"%(?:Ex)?(\w)", lambda match: _DATE_PARTS.get(match[1], match[0]), found[0])
    return found[0], words


_SHAPES: Final[dict[str, Callable[[Daemon, str, Any], Awaitable[object]]]] = {
    "ignorecommand": _ignorecommand,
    "ignorecache": _ignorecache,
    "logencoding": _logencoding,
    "logpath": _logpath,
    "journalmatch": _journalmatch,
    "datepattern": _datepattern,
}


# --- changes ----------------------------------------------------------------------------------------------------------


async def change(daemon: Daemon, jail: str, key: str, text: str) -> object:
    """`set JAIL KEY VALUE`."""
    await daemon.set(jail, key, text)
    return await value(daemon, jail, key)


async def add_ignored(daemon: Daemon, jail: str, words: list[str]) -> object:
    """`set JAIL addignoreip IP…`."""
    found = await daemon.value(jail, "ignoreip")
    word(words, 0)
    await daemon.set(jail, "ignoreip", " ".join(dict.fromkeys([*found, *words])))
    return await daemon.value(jail, "ignoreip")


async def remove_ignored(daemon: Daemon, jail: str, words: list[str]) -> object:
    """`set JAIL delignoreip IP…`."""
    found = await daemon.value(jail, "ignoreip")
    word(words, 0)
    if any(each not in found for each in words):
        raise CommandError("list.remove(x): x not in list", VALUE_ERROR)
    await daemon.set(jail, "ignoreip", " ".join(each for each in found if each not in words))
    return await daemon.value(jail, "ignoreip")


async def add_path(daemon: Daemon, jail: str, words: list[str]) -> object:
    """`set JAIL addlogpath FILE [head|tail]`."""
    found, path, start = await daemon.value(jail, "logpath"), word(words, 0), (words[1:] or ["head"])[0]
    if start not in {"head", "tail"}:
        raise CommandError("File option must be 'head' or 'tail'", VALUE_ERROR)
    if path not in [each.removesuffix(" tail") for each in found]:
        await daemon.set(jail, "logpath", "\n".join([*found, path if start == "head" else f"{path} tail"]))
    return await value(daemon, jail, "logpath")


async def remove_path(daemon: Daemon, jail: str, words: list[str]) -> object:
    """`set JAIL dellogpath FILE`."""
    found, path = await daemon.value(jail, "logpath"), word(words, 0)
    kept = [each for each in found if each.removesuffix(" tail") != path]
    if len(kept) < len(found):
        await daemon.set(jail, "logpath", "\n".join(kept))
    return await value(daemon, jail, "logpath")


def add_line(key: str) -> Callable[[Daemon, str, list[str]], Awaitable[object]]:
    """`set JAIL addfailregex REGEX`, `addignoreregex`."""

    async def add(daemon: Daemon, jail: str, words: list[str]) -> object:
        found = await daemon.value(jail, key)
        await daemon.set(jail, key, "\n".join([*found, word(words, 0)]))
        return await daemon.value(jail, key)

    return add


def remove_line(key: str) -> Callable[[Daemon, str, list[str]], Awaitable[object]]:
    """`set JAIL delfailregex INDEX`, `delignoreregex`; an index that is not there changes nothing."""

    async def remove(daemon: Daemon, jail: str, words: list[str]) -> object:
        found, index = await daemon.value(jail, key), _index(word(words, 0))
        if 0 <= index < len(found):
            await daemon.set(jail, key, "\n".join(found[:index] + found[index + 1 :]))
        return await daemon.value(jail, key)

    return remove


def _index(text: str) -> int:
    try:
        return int(text[:10])
    except ValueError:
        raise CommandError(f"invalid literal for int() with base 10: {text[:100]!r}", VALUE_ERROR) from None


async def add_match(daemon: Daemon, jail: str, words: list[str]) -> object:
    """`set JAIL addjournalmatch MATCH…`; changes nothing for a jail that reads files."""
    found = await daemon.value(jail, "journalmatch")
    word(words, 0)
    if not await reads_journal(daemon, jail):
        return []
    await daemon.set(jail, "journalmatch", "\n".join([*found, " ".join(words)]))
    return await value(daemon, jail, "journalmatch")


async def remove_match(daemon: Daemon, jail: str, words: list[str]) -> object:
    """`set JAIL deljournalmatch [MATCH…]`; without a match all of them."""
    found = await daemon.value(jail, "journalmatch")
    kept = [each for each in found if words and each.split() != words]
    if words and len(kept) == len(found):
        raise CommandError(f"Match {' '.join(words)!r} not found", VALUE_ERROR)
    await daemon.set(jail, "journalmatch", "\n".join(kept))
    return await value(daemon, jail, "journalmatch")


# --- actions ----------------------------------------------------------------------------------------------------------


async def action_names(daemon: Daemon, jail: str) -> list[str]:
    """`get JAIL actions`."""
    return [action["actname"] for action in (await daemon.of_jail("status", jail))["actions"]]


async def action_properties(daemon: Daemon, jail: str, words: list[str]) -> object:
    """`get JAIL actionproperties NAME`."""
    name = await _known_action(daemon, jail, words)
    return (await daemon.text(jail, f"action.{name}")).split("\n")


async def action_methods(daemon: Daemon, jail: str, words: list[str]) -> object:
    """`get JAIL actionmethods NAME`: what the host asks of every action."""
    await _known_action(daemon, jail, words)
    return sorted(Op)


async def _known_action(daemon: Daemon, jail: str, words: list[str]) -> str:
    name = word(words, 0)
    if name not in await action_names(daemon, jail):
        raise CommandError(f"Invalid Action name: {name}", KEY_ERROR)
    return name


async def action_property(daemon: Daemon, jail: str, words: list[str]) -> object:
    """`get JAIL action NAME PROPERTY`, `set JAIL action NAME PROPERTY VALUE`."""
    name, key = await _known_action(daemon, jail, words), word(words, 1)
    full = f"action.{name}.{key}"
    if len(words) > 2:
        await daemon.set(jail, full, words[2])
    try:
        return await daemon.text(jail, full)
    except GuardhooksError as error:
        raise CommandError(f"'CommandAction' object has no attribute {key!r}", ATTRIBUTE_ERROR) from error
