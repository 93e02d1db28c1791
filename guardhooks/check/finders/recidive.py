"""Jails for repeat offenders that can never fire, or that ban for less than the jails which they are about."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from guardhooks.check.site import Site
from guardhooks.model import PERMANENT, ConfigFinding, Jail, Severity
from guardhooks.settings.option_types import render_duration

_FILTER: Final = "recidive"
_DAY: Final = 86400
_MANY: Final = 1000
"""Bans in a row that are worked out at most."""


def recidive_jails_that_cannot_work(site: Site) -> Iterator[ConfigFinding]:
    """Findings about every jail whose filter is `recidive`."""
    others = [jail for jail in site.jails.values() if not _is_recidive(jail)]
    for recidive in filter(_is_recidive, site.jails.values()):
        if others:
            yield from _never_fires(recidive, others)
            yield from _shorter(recidive, others)


def _is_recidive(jail: Jail) -> bool:
    return jail.filter is not None and jail.filter.name == _FILTER


def bans_within(jail: Jail, findtime: float) -> int:
    """How often a jail can ban one offender within `findtime` seconds, who fails again as soon as a ban is over."""
    start, count = 0.0, 0
    while start <= findtime and count < _MANY:
        start += _length(jail, count)
        count += 1
    return count


def _length(jail: Jail, earlier: int) -> float:
    """Seconds of the ban after `earlier` ones. A formula of one's own counts as if it lengthened nothing."""
    rules = jail.escalation
    if rules is None or jail.bantime == PERMANENT or earlier == 0:
        return jail.bantime
    if rules.multipliers:
        length = jail.bantime * rules.factor * rules.multipliers[min(earlier, len(rules.multipliers) - 1)]
    else:
        length = jail.bantime if rules.formula else jail.bantime * rules.factor * 2 ** min(earlier, 20)
    return max(1.0, min(length, rules.maxtime))


def _never_fires(recidive: Jail, others: Sequence[Jail]) -> Iterator[ConfigFinding]:
    counts = {jail.name: bans_within(jail, recidive.findtime) for jail in others}
    if max(counts.values()) >= recidive.maxretry:
        return
    best = min(others, key=lambda jail: jail.bantime)
    if best.bantime == PERMANENT:
        yield ConfigFinding(
            "it can never fire: every other jail bans permanently", Severity.NOTE,
            remedy="remove the jail", key="enabled", jails=(recidive.name,),
        )  # fmt: skip
        return
    reached = max(counts.values())
    yield ConfigFinding(
        f"it can never fire: bans last {render_duration(best.bantime)} or longer, so a service bans one offender "
        f"at most {reached} times within findtime = {render_duration(recidive.findtime)}, and maxretry = "
        f"{recidive.maxretry} is never reached",
        Severity.WARNING,
        why="repeat offenders are never banned for longer",
        remedy=_values_that_work(recidive, best, reached),
        key="maxretry",
        jails=(recidive.name,),
    )


def _values_that_work(recidive: Jail, jail: Jail, reached: int) -> str:
    gap = sum(_length(jail, count) for count in range(recidive.maxretry - 1))
    findtime = math.ceil(gap / _DAY) * _DAY if gap > _DAY else gap
    choices = [f"findtime = {render_duration(findtime)}"]
    if reached > 1:
        choices.append(f"maxretry = {reached}")
    if jail.escalation is None:
        bantime = recidive.findtime // (recidive.maxretry - 1)
        choices.append(f"bantime = {render_duration(bantime)} or less in the other jails")
    return f"set {', or '.join(choices)}"


def _shorter(recidive: Jail, others: Sequence[Jail]) -> Iterator[ConfigFinding]:
    longer = [jail for jail in others if PERMANENT > jail.bantime > recidive.bantime]
    if longer:
        longest = max(longer, key=lambda jail: jail.bantime)
        yield ConfigFinding(
            f"its bans ({render_duration(recidive.bantime)}) are shorter than those of {longest.name} "
            f"({render_duration(longest.bantime)}), which they are meant to exceed",
            why="repeat offenders are no worse off than others",
            remedy=f"set bantime = {render_duration(max(7 * _DAY, 7 * longest.bantime))} in it",
            key="bantime",
            jails=(recidive.name,),
        )
