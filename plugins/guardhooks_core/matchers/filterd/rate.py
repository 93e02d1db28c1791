"""Whether the failures in a log can reach the jail's `maxretry` at all: who tries slowly is never banned otherwise."""

from __future__ import annotations

import glob
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from guardhooks import Chunk, ConfigFinding, Failure, Jail, safe_text
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
    for source in jail.sources:
        if source.kind != "file" or not source.text.startswith("/"):
            continue
        for file in sorted(glob.glob(source.text)):  # noqa: PTH207 -- as `tail` has it
            failures = _failures(Path(file), jail, matcher)
            most = _fullest([failure.time for failure in failures], jail.findtime)
            if len(failures) >= max(_FEWEST, _TIMES_MAXRETRY * jail.maxretry) and most < jail.maxretry:
                yield _finding(jail, file, failures, most)


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


def _failures(file: Path, jail: Jail, matcher: FilterMatcher) -> list[Failure]:
    """The failures of a jail in the last lines of a log."""
    try:
        if not file.is_file():
            return []
        with file.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - _TAIL))
            data = stream.read(_TAIL)
        written = file.stat().st_mtime
    except OSError:
        return []
    start = data.find(b"\n") + 1 if size > _TAIL else 0
    chunk = Chunk(data[start : data.rfind(b"\n") + 1], str(file), written, live=False)
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
