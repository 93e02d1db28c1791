"""Ban times that contradict each other within a jail."""

from __future__ import annotations

from collections.abc import Iterator

from guardhooks.check.site import Site
from guardhooks.model import PERMANENT, ConfigFinding, Severity
from guardhooks.settings.option_types import render_duration


def contradicting_ban_times(site: Site) -> Iterator[ConfigFinding]:
    """Limits below what they limit, and increments of bans that never end."""
    for jail in site.jails.values():
        rules = jail.escalation
        if rules is None:
            continue
        if jail.bantime == PERMANENT:
            yield ConfigFinding(
                "bantime.increment has no effect: bantime = -1 never ends", why="the first ban is permanent already",
                remedy="set a bantime that can grow, or remove bantime.increment", key="bantime", jails=(jail.name,),
            )  # fmt: skip
        elif rules.maxtime < jail.bantime:
            longest, first = render_duration(rules.maxtime), render_duration(jail.bantime)
            yield ConfigFinding(
                f"bantime.maxtime = {longest} is shorter than bantime = {first}", Severity.WARNING,
                why="the second ban is shorter than the first",
                remedy=f"set bantime.maxtime to more than {first}, or a shorter bantime",
                key="bantime.maxtime", jails=(jail.name,),
            )  # fmt: skip
