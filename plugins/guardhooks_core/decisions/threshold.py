"""Bans an id after `maxretry` failures within `findtime`: an exact sliding window, not a rate estimate."""

from __future__ import annotations

from functools import lru_cache

from guardhooks import PERMANENT, Ban, Failure, Jail, Record, hookimpl, skip_first_time_offenders

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


@hookimpl(trylast=True)
@skip_first_time_offenders
def decide_ban(jail: Jail, failure: Failure, record: Record) -> list[Ban] | None:
    """One ban of the failure's id when the limit is reached; an empty list if the id is already banned here.

    A failure during a ban was under way before it, or means that the firewall does not block: neither needs a new ban.
    """
    if len(record.times) < max(1, jail.maxretry):
        return None
    if record.active is not None:
        return []
    ban = Ban(
        id=failure.id,
        jail=jail.name,
        start=failure.time,
        length=jail.bantime,
        failures=record.failures,
        reason=_reason(len(record.times), jail.findtime),
        matches=record.matches or failure.matches,
        fields=failure.fields,
        notes=failure.notes,
    )
    return [ban]


@lru_cache(maxsize=1024)
def _reason(failures: int, findtime: float) -> str:
    return f"{failures} failure{'s' * (failures != 1)} in {_duration(findtime)}"


def _duration(seconds: float) -> str:
    """`600` → `10m`, `5400` → `1h 30m`."""
    if seconds == PERMANENT:
        return "all time"
    left, parts = round(seconds), []
    for size, unit in _UNITS:
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts[:2]) or "0s"
