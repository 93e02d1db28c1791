"""What `guardhooks check` is told about a jail's regexes, and about the dates in its logs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import guardhooks
from guardhooks import ConfigFinding, Jail, Problem, Severity, safe_text
from guardhooks_core.matchers.filterd.injection import steered
from guardhooks_core.matchers.filterd.log_tails import LogTail, log_tails
from guardhooks_core.matchers.filterd.matcher import FilterMatcher
from guardhooks_core.matchers.filterd.rate import unreachable_maxretry

_PACKAGED: Final = Path(guardhooks.__file__).parent / "config" / "filter.d"
_TAIL: Final = 64 * 1024
"""Bytes at the end of a log that are looked at."""
_EVER: Final = 100 * 365 * 86400.0
_HALF_HOUR: Final = 1800.0
_EXACT: Final = 20.0
"""Seconds that a difference of zones may be off whole half hours, for what is buffered before it is written."""
_LARGEST: Final = 26 * 3600.0
"""Seconds that two zones can differ."""


def check(jail: Jail) -> list[ConfigFinding]:
    """All findings about one jail with a filter."""
    matcher = FilterMatcher([replace(jail, findtime=_EVER)])  # old failures tell of the rate, too
    found = [_from_problem(jail, problem) for problem in matcher.problems.get(jail.name, ())]
    found += [*steered(jail), *_wrong_zones(jail, matcher), *_slow(jail, matcher)]
    return [*found, *unreachable_maxretry(jail, matcher)]


def _from_problem(jail: Jail, problem: Problem) -> ConfigFinding:
    places = jail.filter.places if jail.filter else {}
    file, line = places.get(problem.key, ("", 0))
    return ConfigFinding(
        safe_text(problem.message),
        Severity.ERROR,
        why="the jail finds nothing" if problem.fatal else "what it is for is not found",
        remedy="correct it, and try it with `guardhooks test`",
        key=problem.key,
        file=file,
        line=line,
    )


def _slow(jail: Jail, matcher: FilterMatcher) -> Iterator[ConfigFinding]:
    """A note for each regex that every line pays for, unless it is one of a filter that everybody has."""
    if jail.filter is None or (_PACKAGED / f"{jail.filter.name}.conf").exists():
        return
    for reason in matcher.unfiltered.get(jail.name, ()):
        yield ConfigFinding(
            safe_text(reason), Severity.NOTE, why="a busy log costs more time than it needs to",
            remedy="add a word that each line to be found holds, or do without maxlines",
            key="maxlines" if reason.startswith("maxlines") else "failregex",
            file=(place := jail.filter.places.get("failregex", ("", 0)))[0], line=place[1],
        )  # fmt: skip


def _wrong_zones(jail: Jail, matcher: FilterMatcher) -> Iterator[ConfigFinding]:
    """A log's last line was written when the file was last changed: the date in it tells the zone."""
    for tail in log_tails(jail, _TAIL):
        hours = _hours_off(tail, matcher)
        if hours:
            yield ConfigFinding(
                f"dates in {safe_text(tail.file)} are {hours:+g} hours off",
                why="old failures count as new, or new ones not at all: the log is written in another time zone",
                remedy=f"set logtimezone = UTC{_offset(hours)}, or the name of its zone",
                key="logtimezone",
            )


def _hours_off(tail: LogTail, matcher: FilterMatcher) -> float:
    """By how many hours, in steps of a half, the date of the last dated line lies after the time it was written."""
    lines = tail.data.splitlines()
    dated = matcher.time_of(lines[-1]) if lines else None
    if dated is None or abs(dated - tail.written) > _LARGEST:
        return 0.0
    steps = round((dated - tail.written) / _HALF_HOUR)
    return steps / 2 if abs(dated - tail.written - steps * _HALF_HOUR) <= _EXACT else 0.0


def _offset(hours: float) -> str:
    """The zone in which a log is written whose dates are off by this when they are read as local time."""
    minutes = round((time.localtime().tm_gmtoff / 60) + hours * 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"
