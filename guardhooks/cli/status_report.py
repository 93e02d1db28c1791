"""The texts of `guardhooks status`, made from the status that the daemon reports."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from guardhooks.cli.output import columns, fields, moment, paint
from guardhooks.status import (
    ActionStatus,
    BanCounts,
    BanStatus,
    GuardStatus,
    JailDetails,
    JailStatus,
    PluginReport,
    RuntimeChange,
    SourceStatus,
)
from guardhooks.text import duration, plural, safe_text

_ROLES: Final = {
    "running": "good", "active": "good", "reading": "good",
    "degraded": "warn", "starting": "warn", "waiting": "warn", "catching up": "warn", "polling": "warn",
    "pending": "warn", "paused": "warn", "stopped": "warn",
    "broken": "bad", "failing": "bad", "failed": "bad", "unserved": "bad",
}  # fmt: skip
_LABELS_SHOWN: Final = 3
_AFTER_FIXING: Final = "After fixing it: guardhooks reload"


def is_degraded(status: GuardStatus | JailStatus) -> bool:
    """Whether a guard or a jail runs only in part, or not at all."""
    if isinstance(status, GuardStatus):
        return bool(status.problems) or any(jail.state != "running" for jail in status.jails)
    return status.state != "running"


def overview(guard: GuardStatus) -> list[str]:
    """The whole guard: one row for each jail, then what is wrong and what to do about it."""
    up, since = duration(time.time() - guard.started), moment(guard.started)
    lines = [
        f"{paint('guardhooks', 'strong')} {guard.version}, pid {guard.pid}, up {up} since {since}",
        f"configuration {safe_text(guard.config)}" + (f", state {safe_text(guard.state)}" if guard.state else ""),
    ]
    if guard.observing:
        lines.append(paint("observing: bans are decided and logged, nobody is kept out", "warn"))
    lines.append("")
    lines += _jail_table(guard.jails) if guard.jails else ["no jail is enabled: nothing is guarded"]
    advice = [line for jail in guard.jails for line in _advice(jail)]
    advice += [_complaint(problem) for problem in guard.problems]
    advice += [_complaint(_fault(report)) for report in guard.faults]
    if advice:
        lines += ["", *advice]
    changes = [change for jail in guard.jails for change in jail.changes]
    if changes:
        lines += ["", "Changed in the running guard, until the next reload:"]
        lines += [f"  [{safe_text(change.jail)}] {_change(change)}" for change in changes]
    if any(jail.problems for jail in guard.jails) or guard.mended_by_reload:
        lines.append(paint(_AFTER_FIXING, "dim"))
    return lines


def _jail_table(jails: Sequence[JailStatus]) -> list[str]:
    head = ["Jail", "State", "Watched", "Failures", "Banned", "Bans", "Actions", "Sources"]
    rows = [
        [
            safe_text(jail.name),
            _state(jail.state),
            str(jail.failures.tracked),
            str(jail.failures.total),
            _banned(jail.bans),
            str(jail.bans.total),
            ", ".join(_unless_good(action.actname, action.state) for action in jail.actions) or "-",
            _labels([_unless_good(_label(source), source.state) for source in jail.sources]),
        ]
        for jail in jails
    ]
    return columns(head, rows, right=(2, 3, 4, 5))


def _banned(bans: BanCounts) -> str:
    """How many are banned; those whose action failed are not."""
    return f"{bans.current} ({paint(f'{bans.failing} failing', 'bad')})" if bans.failing else str(bans.current)


def _state(state: str) -> str:
    return paint(state, _ROLES.get(state, "warn"))


def _unless_good(name: str, state: str) -> str:
    """A name, and its state unless that is as it should be."""
    name = safe_text(name, 200)
    return name if _ROLES.get(state) == "good" else f"{name} ({_state(state)})"


def _label(source: SourceStatus) -> str:
    return source.label or source.key


def _labels(names: Sequence[str]) -> str:
    more = [f"and {len(names) - _LABELS_SHOWN} more"] if len(names) > _LABELS_SHOWN else []
    return ", ".join([*names[:_LABELS_SHOWN], *more]) or "-"


def _advice(jail: JailStatus) -> list[str]:
    """What is wrong with a jail, one line each."""
    texts = [*jail.problems, *(text for action in jail.actions for text in _action_advice(action))]
    texts += [f"log {_failure(source)}" for source in jail.sources if source.state == "failed"]
    texts += map(_fault, jail.faults)
    name = f"[{jail.name}]"
    return [_complaint(text if name in text else f"{name} {text}") for text in texts]


def _fault(report: PluginReport) -> str:
    """`plugin geo: 3 faults, last 13:02:11: on_failure: OSError: …`."""
    last = f", last {time.strftime('%H:%M:%S', time.localtime(report.last))}" if report.last is not None else ""
    return f"plugin {report.name}: {plural(report.faults, 'fault')}{last}: {report.reason}"


def _action_advice(action: ActionStatus) -> list[str]:
    texts = []
    if action.state == "failing":
        reason = action.reason.removeprefix(f"{action.actname}: ")
        texts.append(f"action {action.actname}: {reason}; retrying")
    elif action.state == "unserved":
        texts.append(action.reason)
    elif action.failing:
        texts.append(f"action {action.actname}: {action.failing} not in force: {action.reason}")
    elif action.reason:
        texts.append(f"action {action.actname}: {action.reason}")
    if action.warning:
        texts.append(f"action {action.actname}: {action.warning}")
    return texts


def _failure(source: SourceStatus) -> str:
    """A failed source and why; its own detail begins with the file that failed."""
    label, detail = _label(source), source.detail or "cannot be read"
    return detail if label in detail else f"{label}: {detail}"


def _complaint(text: str) -> str:
    return f"{paint('!', 'bad')} {safe_text(text)}"


def one_jail(jail: JailStatus, *, matches: bool = False) -> list[str]:
    """One jail: its rule, its parts, its bans; with `matches` also the log lines behind each ban."""
    pairs = [("filter", safe_text(jail.filter) or "-")]
    if isinstance(jail, JailDetails):
        length = "forever" if jail.bantime is None else f"for {duration(jail.bantime)}"
        failures = plural(jail.maxretry, "failure")
        pairs.append(("rule", f"{failures} in {duration(jail.findtime)}: banned {length}"))
    for source in jail.sources:
        pairs += [("source", _source(source)), ("", _health(source))]
    pairs += [("action", _action(action)) for action in jail.actions]
    pairs.append(("failures", f"{plural(jail.failures.tracked, 'offender')} watched, {jail.failures.total} in all"))
    failing = f", {jail.bans.failing} failing" if jail.bans.failing else ""
    pairs.append(("bans", f"{jail.bans.current} in force{failing}, {jail.bans.total} in all"))
    pairs += [("changed", _change(change)) for change in jail.changes]
    lines = [f"{paint(safe_text(jail.name), 'strong')}: {_state(jail.state)}", *fields(pairs), *_advice(jail)]
    if jail.problems:
        lines.append(paint(_AFTER_FIXING, "dim"))
    if isinstance(jail, JailDetails) and jail.banned:
        lines += ["", *_ban_table(jail.banned, matches=matches)]
    return lines


def _change(change: RuntimeChange) -> str:
    """`maxretry = 9 (was 3), by uid 0 at 2026-01-31 12:00:00`."""
    value, former = (text.replace("\n", " | ") for text in (str(change), change.former))
    was = f" (was {safe_text(former, 200)})" if change.key else ""
    who = "" if change.uid is None else f", by uid {change.uid}"
    until = "" if change.until is None else f", until {moment(change.until)}"
    return f"{safe_text(value, 200)}{was}{who} at {moment(change.since)}{until}"


def _source(source: SourceStatus) -> str:
    detail = f", {safe_text(source.detail)}" if source.detail else ""
    others = [safe_text(origin, 200) for origin in source.origins if origin != _label(source)]
    files = f": {_labels(others)}" if others else ""
    return f"{safe_text(_label(source))} ({_state(source.state)}{detail}){files}"


def _health(source: SourceStatus) -> str:
    """`5 lines read, 2 matched, last line of 2026-01-31 12:00:00 (3s late), byte 912`."""
    parts = [f"{plural(source.lines, 'line')} read", f"{source.matched} matched"]
    if source.last_line is not None:
        late = f" ({duration(source.lag)} late)" if source.lag and source.lag >= 1 else ""
        parts.append(f"last line of {moment(source.last_line)}{late}")
    if source.position:
        parts.append(safe_text(source.position, 200))
    if source.unread:
        parts.append(f"{plural(source.unread, 'byte')} unread")
    return ", ".join(parts)


def _action(action: ActionStatus) -> str:
    note = f", {safe_text(action.note)}" if action.note else ""
    return f"{safe_text(action.actname)} ({_state(action.state)}{note})"


def _ban_table(bans: Sequence[BanStatus], *, matches: bool) -> list[str]:
    """The bans, those that end first on top; with `matches` their log lines below each."""
    bans = sorted(bans, key=lambda ban: (ban.end is None, ban.end or 0.0))
    rows = [
        [
            safe_text(ban.id, 200),
            duration(ban.remaining),
            moment(ban.start),
            str(ban.failures),
            str(ban.count),
            _state(ban.state),
            safe_text(ban.reason, 200),
        ]
        for ban in bans
    ]
    head, *lines = columns(["Banned", "Left", "Since", "Failures", "Nth", "State", "Reason"], rows, right=(3, 4))
    if not matches:
        return [head, *lines]
    shown = [[line, *(f"    {safe_text(text)}" for text in ban.matches)] for line, ban in zip(lines, bans, strict=True)]
    return [head, *(line for group in shown for line in group)]
