"""Bans repeat offenders of any jail for longer: in the jails whose filter is `recidive`.

It uses the ledger instead of a log, so it survives restarts and cannot react to its own bans. Bans lifted by hand do
not count, and a recidive ban restarts the count.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Sequence

from guardhooks import Ban, Failure, GuardView, Jail, Record, hookimpl, skip_first_time_offenders

_FILTER = "recidive"
_recidive_jails: dict[int, tuple[Jail, ...]] = {}
"""By identity of the guard's jails, so that several guards in one process stay separate."""
_guards: dict[int, Sequence[Jail]] = {}


@hookimpl
def on_start(guard: GuardView) -> None:
    """Remember the guard's jails."""
    on_stop(guard)
    jails = tuple(guard.jails.values())
    recidive = tuple(filter(_is_recidive, jails))
    _guards[id(guard)] = jails
    _recidive_jails.update((id(jail), recidive) for jail in jails if recidive)


@hookimpl
def on_stop(guard: GuardView) -> None:
    """Forget the guard's jails."""
    for jail in _guards.pop(id(guard), ()):
        _recidive_jails.pop(id(jail), None)


@hookimpl(wrapper=True, trylast=True)
@skip_first_time_offenders
def decide_ban(jail: Jail, failure: Failure, record: Record) -> Generator[None, list[Ban] | None, list[Ban] | None]:
    """Add a ban in each recidive jail whose limit the new bans reach."""
    decided = yield
    recidive_jails = _recidive_jails.get(id(jail))
    if not decided or not recidive_jails or _is_recidive(jail):
        return decided
    new = [ban for ban in decided if ban.id == record.id]
    if not new:
        return decided
    further = [_recidivist(recidive, new, record.bans, failure.time) for recidive in recidive_jails]
    return [*decided, *(ban for ban in further if ban is not None)]


def _is_recidive(jail: Jail) -> bool:
    return jail.filter is not None and jail.filter.name == _FILTER


def _recidivist(jail: Jail, new: Sequence[Ban], history: Sequence[Ban], now: float) -> Ban | None:
    """The ban in a recidive jail that follows from the new bans; None below the limit or during such a ban."""
    here = [ban for ban in history if ban.jail == jail.name]
    if any(ban.end > now for ban in here):
        return None
    last = max((ban.start for ban in here), default=-math.inf)
    others = {other.name for other in _recidive_jails.get(id(jail), ())}
    earlier = [
        ban
        for ban in history
        if ban.jail not in others and now - jail.findtime <= ban.start > last and "lifted" not in ban.notes
    ]
    bans = [*earlier, *new]
    if len(bans) < max(1, jail.maxretry):
        return None
    trigger = new[-1]
    return Ban(
        id=trigger.id, jail=jail.name, start=now, length=jail.bantime, failures=len(bans), reason=_reason(bans),
        matches=trigger.matches, fields=trigger.fields, notes=trigger.notes,
    )  # fmt: skip


def _reason(bans: Sequence[Ban]) -> str:
    """`5 bans: sshd 3, postfix 2`."""
    numbers = Counter(ban.jail for ban in bans)
    return f"{len(bans)} bans: " + ", ".join(f"{name} {number}" for name, number in numbers.items())
