"""The texts of `guardhooks status`, made from what the daemon reports. The shape is that of `Guard.status()`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from guardhooks.cli.output import columns, duration, fields, moment, paint
from guardhooks.text import safe_text

Report: TypeAlias = Mapping[str, Any]

_ROLES: Final = {
    "running": "good", "active": "good", "reading": "good",
    "degraded": "warn", "starting": "warn", "waiting": "warn", "catching up": "warn", "polling": "warn",
    "pending": "warn",
    "broken": "bad", "failing": "bad", "failed": "bad", "unserved": "bad",
}  # fmt: skip
_PLACES_SHOWN: Final = 3


def is_degraded(report: Report) -> bool:
    """Whether a guard or a jail runs, but not whole."""
    if "jails" in report:
        return bool(report["problems"]) or any(jail["state"] != "running" for jail in report["jails"])
    return bool(report["state"] != "running")


def overview(report: Report) -> list[str]:
    """The whole guard: one row for each jail, then what is wrong and what to do about it."""
    up, since = duration(time.time() - report["started"]), moment(report["started"])
    folder = report.get("state", "")
    lines = [
        f"{paint('guardhooks', 'strong')} {report['version']}, pid {report['pid']}, up {up} since {since}",
        f"configuration {safe_text(report['config'])}" + (f", state {safe_text(folder)}" if folder else ""),
    ]
    if report["observing"]:
        lines.append(paint("observing: bans are decided and logged, nobody is kept out", "warn"))
    lines.append("")
    lines += _jail_table(report["jails"]) if report["jails"] else ["no jail is enabled: nothing is guarded"]
    advice = [line for jail in report["jails"] for line in _advice(jail)]
    advice += [_complaint(problem) for problem in report["problems"]]
    if advice:
        lines += ["", *advice]
    if any(jail["problems"] for jail in report["jails"]) or report["mended_by_reload"]:
        lines.append(paint("When it is mended: guardhooks reload", "dim"))
    return lines


def _jail_table(jails: Sequence[Report]) -> list[str]:
    head = ["Jail", "State", "Failing", "Failures", "Banned", "Bans", "Actions", "Sources"]
    rows = [
        [
            safe_text(jail["name"]),
            _state(jail["state"]),
            str(jail["failures"]["tracked"]),
            str(jail["failures"]["total"]),
            _banned(jail["bans"]),
            str(jail["bans"]["total"]),
            ", ".join(_unless_well(a["actname"], a["state"]) for a in jail["actions"]) or "-",
            _places([_unless_well(_place(s), s["state"]) for s in jail["sources"]]),
        ]
        for jail in jails
    ]
    return columns(head, rows, right=(2, 3, 4, 5))


def _banned(bans: Report) -> str:
    """How many are banned; those whose action failed are not."""
    failing = bans.get("failing", 0)
    return f"{bans['current']} ({paint(f'{failing} failing', 'bad')})" if failing else str(bans["current"])


def _state(state: str) -> str:
    return paint(state, _ROLES.get(state, "warn"))


def _unless_well(name: str, state: str) -> str:
    """A name, and its state where that is worth a word."""
    name = safe_text(name, 200)
    return name if _ROLES.get(state) == "good" else f"{name} ({_state(state)})"


def _place(source: Report) -> str:
    """What a source reads, in the words of `logpath`; a source of a plugin is named by its key."""
    return str(source["key"]).removeprefix("file:").removesuffix(" head").removesuffix(" tail")


def _places(names: Sequence[str]) -> str:
    more = [f"and {len(names) - _PLACES_SHOWN} more"] if len(names) > _PLACES_SHOWN else []
    return ", ".join([*names[:_PLACES_SHOWN], *more]) or "-"


def _advice(jail: Report) -> list[str]:
    """What is wrong with a jail, one line each."""
    texts = list(jail["problems"])
    for action in jail["actions"]:
        if action["state"] == "failing":
            reason = action["reason"].removeprefix(f"{action['actname']}: ")
            texts.append(f"action {action['actname']}: {reason}; it is retried")
        elif action["state"] == "unserved":
            texts.append(action["reason"])
        elif action.get("failing"):
            texts.append(f"action {action['actname']}: {action['failing']} not in force: {action['reason']}")
        if action.get("warning"):
            texts.append(f"action {action['actname']}: {action['warning']}")
    texts += [f"log {_named(source)}" for source in jail["sources"] if source["state"] == "failed"]
    name = f"[{jail['name']}]"
    return [_complaint(text if name in text else f"{name} {text}") for text in texts]


def _named(source: Report) -> str:
    """A failed source and why; what it says itself begins with the file that failed."""
    place, detail = _place(source), source["detail"] or "cannot be read"
    return detail if place in detail else f"{place}: {detail}"


def _complaint(text: str) -> str:
    return f"{paint('!', 'bad')} {safe_text(text)}"


def one_jail(jail: Report, *, matches: bool = False) -> list[str]:
    """One jail: its rule, its parts, its bans."""
    pairs = [("filter", safe_text(jail["filter"]) or "-")]
    if "maxretry" in jail:
        length = "forever" if jail["bantime"] is None else f"for {duration(jail['bantime'])}"
        pairs.append(("rule", f"{jail['maxretry']} failures in {duration(jail['findtime'])}: banned {length}"))
    pairs += [("source", _source(source)) for source in jail["sources"]]
    pairs += [("action", _action(action)) for action in jail["actions"]]
    pairs.append(("failures", f"{jail['failures']['tracked']} offenders watched, {jail['failures']['total']} in all"))
    failing = f", {jail['bans']['failing']} failing" if jail["bans"].get("failing") else ""
    pairs.append(("bans", f"{jail['bans']['current']} in force{failing}, {jail['bans']['total']} in all"))
    lines = [f"{paint(safe_text(jail['name']), 'strong')}: {_state(jail['state'])}", *fields(pairs), *_advice(jail)]
    if jail["problems"]:
        lines.append(paint("When it is mended: guardhooks reload", "dim"))
    if jail.get("banned"):
        lines += ["", *_ban_table(jail["banned"], matches=matches)]
    return lines


def _source(source: Report) -> str:
    detail = f", {safe_text(source['detail'])}" if source["detail"] else ""
    others = [safe_text(origin, 200) for origin in source["origins"] if origin != _place(source)]
    files = f": {_places(others)}" if others else ""
    return f"{safe_text(_place(source))} ({_state(source['state'])}{detail}){files}"


def _action(action: Report) -> str:
    note = f", {safe_text(action['note'])}" if action["note"] else ""
    return f"{safe_text(action['actname'])} ({_state(action['state'])}{note})"


def _ban_table(bans: Sequence[Report], *, matches: bool) -> list[str]:
    """The bans, those that end first on top; with `matches` their log lines below each."""
    bans = sorted(bans, key=lambda ban: (ban["end"] is None, ban["end"] or 0.0))
    rows = [
        [
            safe_text(ban["id"], 200),
            duration(ban["remaining"]),
            moment(ban["start"]),
            str(ban["failures"]),
            str(ban["count"]),
            _state(ban["state"]),
            safe_text(ban["reason"], 200),
        ]
        for ban in bans
    ]
    head, *lines = columns(["Banned", "Left", "Since", "Failures", "Nth", "State", "Reason"], rows, right=(3, 4))
    if not matches:
        return [head, *lines]
    shown = [
        [line, *(f"    {safe_text(text)}" for text in ban["matches"])] for line, ban in zip(lines, bans, strict=True)
    ]
    return [head, *(line for group in shown for line in group)]
