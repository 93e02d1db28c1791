"""Windows on disk: not a row for each, but segments of thousands, in the order in which they were written.

A segment holds windows by id; where an id is in several, the latest one counts. So a flush only appends, which in a
storm takes a quarter of the time that a row for each window takes (docs/performance.md). Now and then all windows of a
jail are rewritten and the old segments deleted (`windows.py` says when).

Format, native byte order: number of windows (u32), length of each id (u32 each), length of each window (u32 each, 0:
"gone"), the ids (UTF-8), the windows (see `windows.py`).
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence
from typing import Final

_NUMBER: Final = struct.Struct("=I")
_MOST: Final = 4096
"""Windows in one segment: bounds what is built in memory at a time."""


def packed_segments(ids: Sequence[str], windows: Sequence[bytes | None]) -> Iterator[bytes]:
    """These windows, one segment at a time."""
    for start in range(0, len(ids), _MOST):
        yield _packed(ids[start : start + _MOST], windows[start : start + _MOST])


def _packed(ids: Sequence[str], windows: Sequence[bytes | None]) -> bytes:
    names = [id.encode("utf-8", "surrogatepass") for id in ids]
    bodies = [window or b"" for window in windows]
    name_lengths, lengths = array("I", map(len, names)), array("I", map(len, bodies))
    return b"".join([_NUMBER.pack(len(names)), name_lengths.tobytes(), lengths.tobytes(), *names, *bodies])


def unpacked_segment(segment: bytes) -> Iterator[tuple[str, bytes | None]]:
    """Ids and windows of a segment, None for "gone"."""
    (number,) = _NUMBER.unpack_from(segment)
    place = _NUMBER.size
    name_lengths, lengths = array("I"), array("I")
    for each in (name_lengths, lengths):
        each.frombytes(segment[place : place + number * each.itemsize])
        place += number * each.itemsize
    body = place + sum(name_lengths)
    for name_length, length in zip(name_lengths, lengths, strict=True):
        id = segment[place : place + name_length].decode("utf-8", "surrogatepass")
        yield id, segment[body : body + length] or None
        place += name_length
        body += length
