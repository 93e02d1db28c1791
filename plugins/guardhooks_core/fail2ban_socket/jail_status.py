"""`status`, `stats` and who is banned, in the shapes that fail2ban's clients print."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, Final

from guardhooks_core.fail2ban_socket.daemon import Daemon

_NEVER: Final = "9999-12-31 23:59:59"
_TIME: Final = "%Y-%m-%d %H:%M:%S"


async def status(daemon: Daemon, words: list[str]) -> object:
    """`status`, `status JAIL [FLAVOUR]`, `status --all [FLAVOUR]`."""
    flavour = words[1] if len(words) > 1 else "basic"
    if words and words[0] != "--all":
        return await _jail(daemon, words[0], flavour)
    names = sorted(await daemon.jails())
    if words and flavour == "stats":
        return await stats(daemon)
    overview: list[object] = [("Number of jail", len(names)), ("Jail list", ", ".join(names))]
    if words:
        overview.append({name: await _jail(daemon, name, flavour) for name in names})
    return overview


async def stats(daemon: Daemon) -> object:
    """`stats`: `{jail: [backend, (failing, failures), (banned, bans)]}`."""
    rows: dict[str, object] = {}
    for name in sorted(await daemon.jails()):
        found = await daemon.of_jail("status", name)
        failures, bans = found["failures"], found["bans"]
        counts = (failures["tracked"], failures["total"]), (_current(bans), bans["total"])
        rows[name] = [await daemon.text(name, "backend"), *counts]
    return rows


async def _jail(daemon: Daemon, name: str, flavour: str) -> object:
    found = await daemon.of_jail("status", name)
    if flavour == "stats":
        backend = await daemon.text(name, "backend")
        return [backend, (found["failures"]["tracked"], found["failures"]["total"]),
                (_current(found["bans"]), found["bans"]["total"])]  # fmt: skip
    filter_: list[object] = [
        ("Currently failed", found["failures"]["tracked"]),
        ("Total failed", found["failures"]["total"]),
        await _sources(daemon, name, found),
    ]
    actions: list[object] = [("Currently banned", _current(found["bans"])), ("Total banned", found["bans"]["total"])]
    if flavour != "short":
        actions.append(("Banned IP list", [ban["id"] for ban in found.get("banned", ())]))
    if flavour == "cymru":
        actions += [(f"Banned {each} list", ["error"]) for each in ("ASN", "Country", "RIR")]
    return [("Filter", filter_), ("Actions", actions)]


def _current(bans: dict[str, int]) -> int:
    return bans["current"] + bans["failing"]


async def _sources(daemon: Daemon, name: str, found: dict[str, Any]) -> tuple[str, object]:
    """The files that are read; for a jail that reads the journal, its matches."""
    if any(source["key"].startswith("journal") for source in found["sources"]):
        return "Journal matches", await daemon.value(name, "journalmatch")
    files = [path for source in found["sources"] for path in source["origins"] or [source["label"]]]
    return "File list", [path for path in files if path]


async def banned(daemon: Daemon, ids: list[str]) -> object:
    """`banned`: the ids of each jail; `banned IP…`: the jails of each id."""
    if not ids:
        return [{jail: found} for jail, found in (await daemon.ask("banned")).items()]
    return [_only(await daemon.ask("banned", ids=[each])) for each in ids]


def _only(answer: dict[str, list[str]]) -> list[str]:
    """The jails of the one id that was asked about, however the daemon spells it."""
    return next(iter(answer.values()), [])


async def banned_in(daemon: Daemon, jail: str, ids: list[str]) -> object:
    """`get JAIL banned`: its ids; `get JAIL banned IP…`: 1 or 0 for each."""
    if not ids:
        return (await daemon.of_jail("banned", jail))[jail]
    found = [1 if _only(await daemon.of_jail("banned", jail, ids=[each])) else 0 for each in ids]
    return found[0] if len(found) == 1 else found


async def ban_ends(daemon: Daemon, jail: str, words: list[str]) -> object:
    """`get JAIL banip [SEPARATOR|--with-time]`: its ids, the ban that ends first first."""
    bans = (await daemon.of_jail("status", jail))["banned"]
    bans = sorted(bans, key=lambda ban: math.inf if ban["end"] is None else ban["end"])
    if words[:1] != ["--with-time"]:
        return [ban["id"] for ban in bans]
    return [f"{ban['id']} \t{_moment(ban['start'])} + {_length(ban)} = {_end(ban)}" for ban in bans]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime(_TIME)


def _length(ban: dict[str, Any]) -> int:
    return -1 if ban["end"] is None else round(ban["end"] - ban["start"])


def _end(ban: dict[str, Any]) -> str:
    return _NEVER if ban["end"] is None else _moment(ban["end"])
