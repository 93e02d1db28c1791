"""What a reload changes: the difference between two configurations, as the report that is logged and printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from guardhooks.engine.configuration import Configuration
from guardhooks.model import Jail
from guardhooks.plugins import Plugins
from guardhooks.status import Change, ReloadReport
from guardhooks.text import safe_text


def jail_changes(former: Configuration, now: Configuration, bans: Mapping[str, int]) -> list[Change]:
    """What becomes of each jail that differs.

    :param bans: by jail, how many are in force.
    """
    changes = []
    for name in dict.fromkeys([*former.jails, *now.jails, *now.settings.broken]):
        why = "; ".join(safe_text(str(problem)) for problem in now.settings.broken.get(name, ()))
        if name in now.settings.broken:
            changes.append(Change(name, "kept" if name in former.jails else "broken", why))
        elif name not in former.jails:
            changes.append(Change(name, "added"))
        elif name not in now.jails:
            changes.append(Change(name, "removed", bans=bans.get(name, 0)))
        elif options := _differing(former.jails[name], now.jails[name]):
            changes.append(Change(name, "changed", ", ".join(options)))
    return changes


def _differing(former: Jail, now: Jail) -> list[str]:
    """The options of a jail that differ, by name; what a filter's or action's file says counts as theirs."""
    names = {name for name in {*former.options, *now.options} if former.options.get(name) != now.options.get(name)}
    parts = {"filter": "filter", "actions": "action", "sources": "logpath", "plugins": "plugins"}
    names |= {option for part, option in parts.items() if getattr(former, part) != getattr(now, part)}
    if not names and former != now:
        names.add("other options")
    return sorted(names)


def plugin_changes(former: Plugins, now: Plugins) -> list[Change]:
    """Which plugins are new, gone, replaced, or go on in their last good version."""
    before, after = former.loaded(), now.loaded()
    why = {each.name: each.reason for each in now.unused if each.state == "refused"}
    changes = []
    for name in dict.fromkeys([*before, *after]):
        if name in now.kept:
            changes.append(Change(name, "kept", why.get(name, "")))
        elif name not in before:
            changes.append(Change(name, "added"))
        elif name not in after:
            changes.append(Change(name, "removed", why.get(name, "")))
        elif before[name] is not after[name]:
            changes.append(Change(name, "changed"))
    return changes + [Change(name, "broken", reason) for name, reason in why.items() if name not in {*before, *after}]


def report(
    former: Configuration, now: Configuration, bans: Mapping[str, int], actions: Sequence[str], problems: Sequence[str]
) -> ReloadReport:
    """The whole report; `actions` were started again, `problems` came up meanwhile."""
    return ReloadReport(
        jails=tuple(jail_changes(former, now, bans)),
        plugins=tuple(plugin_changes(former.plugins, now.plugins)),
        actions=tuple(actions),
        problems=tuple(problems),
    )
