"""Finds where in a log the lines after a given time begin, by bisecting it on its dates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from guardhooks_core.sources.tail.reader import LineReader

MARGIN: Final = 60.0
"""Seconds by which lines of an ordinary log may be out of order."""
WINDOW: Final = 16 << 10
"""Bytes read at a time."""
SCAN: Final = 1 << 20
"""Bytes searched for a dated line before a probe is abandoned."""


def offset_since(reader: LineReader, since: float, time_of: Callable[[bytes], float | None]) -> int:
    """The start of a line before which no line is newer than `since`, in a log that is sorted to within a minute.

    Reads a few KiB per step. Where no date is found, the result is too early, never too late.
    """
    low, high = 0, reader.stat().st_size
    while high - low > WINDOW:
        middle = low + (high - low) // 2
        found = _dated_line(reader, middle, high, time_of)
        if found is not None and found[1] < since - MARGIN:
            low = found[0]
        else:
            high = middle
    return low


def _dated_line(
    reader: LineReader, position: int, end: int, time_of: Callable[[bytes], float | None]
) -> tuple[int, float] | None:
    """The start and time of the first dated line that starts after `position` and before `end`."""
    position = reader.data_from(position)
    stop = min(end, position + SCAN)
    rest = b""
    first = True  # The probe may have hit the middle of a line.
    while position < stop:
        window = reader.bytes_at(position, WINDOW)
        if not window:
            return None
        position += len(window)
        *lines, rest_after = (rest + window).split(b"\n")
        start = position - len(window) - len(rest)
        for line in lines:
            time = None if first else time_of(line)
            if time is not None and start < end:
                return start, time
            first = False
            start += len(line) + 1
        rest = rest_after
    return None
