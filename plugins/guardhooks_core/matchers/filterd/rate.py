"""Whether the failures in a log can reach the jail's `maxretry` at all: who tries slowly is never banned otherwise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from guardhooks import Chunk, ConfigFinding, Failure, Jail, safe_text
from guardhooks_core.matchers.filterd.log_tails import LogTail, log_tails
from guardhooks_core.matchers.filterd.matcher import FilterMatcher

_TAIL: Final = 512 * 1024
"""Bytes at the end of a log that are looked at."""
_FEWEST: Final = 20
"""Failures below which a log says nothing of a rate."""
_TIMES_MAXRETRY: Final = 3
"""So many times maxretry there must have been failures."""
_WINDOWS: Final = ((3600.0, "1h"), (6 * 3600.0, "6h"), (86400.0, "1d"), (7 * 86400.0, "1w"))
"""Windows that are offered, in seconds and as they are written."""


def unreachable_maxretry(jail: Jail, matcher: FilterMatcher) -> Iterator[ConfigFinding]:
    """A finding for each log with many failures of which never maxretry came within findtime, whoever they are of."""
    for tail in log_tails(jail, _TAIL):
        failures = _failures(tail, jail, matcher)
        most = _fullest([failure.time for failure in failures], jail.findtime)
        if len(failures) >= max(_FEWEST, _TIMES_MAXRETRY * jail.maxretry) and most < jail.maxretry:
            yield _finding(jail, tail.file, failures, most)


def _finding(jail: Jail, file: str, failures: Sequence[Failure], most: int) -> ConfigFinding:
    by_id: defaultdict[str, list[float]] = defaultdict(list)
    for failure in failures:
        by_id[failure.id or failure.resolve].append(failure.time)
    works = (
        text for window, text in _WINDOWS if any(_fullest(each, window) >= jail.maxretry for each in by_id.values())
    )
    wider = next(works, "")
    of_one = max(_fullest(each, jail.findtime) for each in by_id.values())
    return ConfigFinding(
        f"{len(failures)} failures in {safe_text(file)}, never more than {most} within findtime:"
        f" maxretry = {jail.maxretry} is not reached",
        why="nobody is banned, though somebody tries, slowly",
        remedy=f"set findtime = {wider}, or maxretry = {of_one}" if wider else f"set maxretry = {of_one}",
        key="maxretry",
    )


def _failures(tail: LogTail, jail: Jail, matcher: FilterMatcher) -> list[Failure]:
    """The failures of a jail in the last lines of a log."""
    start = 0 if tail.is_whole else tail.data.find(b"\n") + 1
    chunk = Chunk(tail.data[start : tail.data.rfind(b"\n") + 1], tail.file, tail.written, live=False)
    return [
        failure
        for failure in matcher.feed(chunk)
        if failure.jail == jail.name and not failure.nofail and (failure.id or failure.resolve)
    ]


def _fullest(times: Sequence[float], window: float) -> int:
    """The most of these times that lie within `window` seconds."""
    ordered = sorted(times)
    first = most = 0
    for last, time in enumerate(ordered):
        while ordered[first] <= time - window:
            first += 1
        most = max(most, last - first + 1)
    return most
