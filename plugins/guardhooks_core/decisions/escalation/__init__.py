"""`bantime.increment`: repeat offenders are banned sooner and for longer.

The number of earlier bans comes from the ledger's history; bans lifted by hand do not count. No ban gets longer than
10 years by this, nor than `bantime.maxtime`; `bantime.rndtime` is added after that.
"""

from __future__ import annotations

import logging
import random as random_module
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from guardhooks import (
    PERMANENT,
    Ban,
    Escalation,
    Failure,
    GuardView,
    Jail,
    Record,
    hookimpl,
    safe_text,
    skip_first_time_offenders,
)
from guardhooks_core.decisions.escalation.formula import DEFAULT, compiled, value_of

LONGEST: Final = 10 * 365.25 * 86400
"""Seconds. The limit for factors and formulas that grow too fast."""

logger = logging.getLogger("guardhooks.decide")
_reported: set[tuple[str, str]] = set()
_jails: dict[int, Mapping[str, Jail]] = {}
_guards: dict[int, Sequence[Jail]] = {}
"""By identity, so that several guards in one process stay separate."""


@hookimpl
def on_start(guard: GuardView) -> None:
    """Remember the guard's jails, and report invalid formulas."""
    on_stop(guard)
    jails = dict(guard.jails)
    _guards[id(guard)] = tuple(jails.values())
    _jails.update((id(jail), jails) for jail in jails.values())
    for jail in jails.values():
        if jail.escalation is not None and jail.escalation.formula:
            try:
                compiled(jail.escalation.formula)
            except ValueError as error:
                _report(jail, error)


@hookimpl
def on_stop(guard: GuardView) -> None:
    """Forget the guard's jails."""
    for jail in _guards.pop(id(guard), ()):
        _jails.pop(id(jail), None)


@hookimpl(wrapper=True)
@skip_first_time_offenders
def decide_ban(jail: Jail, failure: Failure, record: Record) -> Generator[None, list[Ban] | None, list[Ban] | None]:
    """Lengthen the bans of repeat offenders, in each jail by its own rules; ban them after fewer failures."""
    decided = yield
    if decided is None and jail.escalation is not None and record.active is None:
        decided = _sooner(jail, failure, record)
    if not decided:
        return decided
    jails = _jails.get(id(jail)) or {jail.name: jail}
    return [lengthened(jails.get(ban.jail), ban, record) for ban in decided]


def lengthened(jail: Jail | None, ban: Ban, record: Record, random: Callable[[], float] = random_module.random) -> Ban:
    """The ban with the length that its jail's escalation gives to an offender with this history."""
    if jail is None or (rules := jail.escalation) is None or ban.id != record.id or not 0 < ban.length < PERMANENT:
        return ban
    count = len(_earlier(jail, rules, record, ban.start))
    if count == 0:
        return ban
    length = min(_escalated(jail, rules, ban.length, count), rules.maxtime, LONGEST) + random() * rules.rndtime
    return replace(ban, length=float(round(length)))


def _earlier(jail: Jail, rules: Escalation, record: Record, before: float) -> list[Ban]:
    """The earlier bans that count: of this jail or all jails, neither lifted by hand nor in force here."""
    return [
        ban
        for ban in record.bans
        if (rules.overalljails or ban.jail == jail.name)
        and "lifted" not in ban.notes
        and not (ban.jail == jail.name and ban.end > before)
    ]


def _escalated(jail: Jail, rules: Escalation, bantime: float, count: int) -> float:
    if rules.factor <= 0:  # fail2ban bans for the plain time, too
        return bantime
    if rules.multipliers:
        return bantime * rules.factor * rules.multipliers[min(count, len(rules.multipliers) - 1)]
    for formula in (rules.formula, DEFAULT):
        if formula:
            try:
                return max(bantime, value_of(compiled(formula), time=bantime, count=count, factor=rules.factor))
            except ValueError as error:
                _report(jail, error)
    return bantime


def _report(jail: Jail, error: ValueError) -> None:
    """Log once that a formula is invalid; the default formula is used instead."""
    key = (jail.name, jail.escalation.formula if jail.escalation else "")
    if key not in _reported:
        _reported.add(key)
        logger.error("[%s] bantime.formula: %s; the default formula is used", jail.name, safe_text(str(error)))


def _sooner(jail: Jail, failure: Failure, record: Record) -> list[Ban] | None:
    """A ban after fewer failures: after 1, 2, 3, 4 … earlier bans each failure counts 2, 3, 5, 9 … times."""
    assert jail.escalation is not None
    if jail.bantime <= 0 or not (
        earlier := _earlier(jail, replace(jail.escalation, overalljails=False), record, failure.time)
    ):
        return None
    weight = 2 ** min(len(earlier), 20) / 2 + 1
    failures = sum(time > earlier[-1].start for time in record.times)
    if failures * weight < jail.maxretry:
        return None
    bans = f"{len(earlier)} ban{'s' * (len(earlier) > 1)}"
    return [
        Ban(
            id=failure.id, jail=jail.name, start=failure.time, length=jail.bantime, failures=record.failures,
            reason=f"{failures} failure{'s' * (failures > 1)} after {bans}", matches=record.matches or failure.matches,
            fields=failure.fields, notes=failure.notes,
        )
    ]  # fmt: skip
