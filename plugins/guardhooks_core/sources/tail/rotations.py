"""Rotated files of a log: recognises their names (`auth.log.1`, `app-2026-01-31.log`) and finds them again by content.

Compressed files are not read.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from guardhooks_core.sources.tail.cursor import FileCursor
from guardhooks_core.sources.tail.reader import HEAD_BYTES, TAIL_BYTES, LineReader, identity, open_regular
from guardhooks_core.sources.tail.rewritten import position_after

COMPRESSED: Final = (".gz", ".xz", ".bz2", ".zst", ".lz4", ".lzma", ".zip", ".Z")
_NUMBERS: Final = re.compile(r"(?:[-_.]\d+)+")


def family(name: str) -> str:
    """The file name without the numbers and dates of a rotation: `auth.log.1` and `auth.log` are of one family."""
    return _NUMBERS.sub("", name)


def is_compressed(name: str) -> bool:
    return name.endswith(COMPRESSED)


def is_rotation_of(name: str, base: str) -> bool:
    """Whether `name` is `base` with a number or date appended."""
    return name != base and name.startswith(base) and _NUMBERS.fullmatch(name, len(base)) is not None


def siblings(path: str) -> Iterator[tuple[str, int]]:
    """Path and inode of every uncompressed file in the directory of `path` (and of its target, if it is a link).

    A renamed link leads to a rotated file elsewhere, so links count with their targets.
    """
    seen = set()
    for place in (path, os.path.realpath(path)):
        directory = os.path.dirname(place)
        if directory in seen:
            continue
        seen.add(directory)
        try:
            entries = list(os.scandir(directory))
        except OSError:
            continue
        for entry in entries:
            if not is_compressed(entry.name):
                with contextlib.suppress(OSError):  # A dangling link, or deleted meanwhile.
                    yield entry.path, entry.stat().st_ino if entry.is_symlink() else entry.inode()


def is_relative(candidate: str, path: str) -> bool:
    """Whether `candidate` is named like a rotation of the log at `path` or of the file that it links to."""
    name = os.path.basename(candidate)
    for place in (path, os.path.realpath(path)):
        base = os.path.basename(place)
        if family(name) == family(base) or name.startswith((base + ".", base + "-")):
            return True
    return False


def is_at(file: FileCursor, reader: LineReader) -> bool:
    """Whether the reader's file belongs to this cursor: by inode and content, or by content alone.

    Content alone counts only if it is not empty; it recognises files that were restored or copied.
    """
    return (file.inode == reader.identity[1] or file.tail.length > 0) and file.fits(reader)


def seek_saved(reader: LineReader, saved: Sequence[FileCursor]) -> None:
    """Seek to the cursor of this file, trying the newest first; without one, the file is new and read from 0.

    A file that was rewritten goes on behind the lines that were read last, if it still has them.
    """
    for file in reversed(saved):
        if is_at(file, reader):
            reader.seek(file.position, skipping=file.skipping)
            return
    for file in reversed(saved):
        if file.tail.length == TAIL_BYTES and (end := position_after(reader, file.tail)) >= 0:
            reader.seek(end)  # It was rewritten, and ends with the same lines.
            return


def find(
    path: str, saved: Sequence[FileCursor], line_limit: int, elsewhere: Collection[str]
) -> tuple[list[LineReader], list[FileCursor]]:
    """Readers, at their cursors, of the files near `path` that the cursors belong to, and the cursors without file."""
    places = [(place, inode) for place, inode in siblings(path) if place not in elsewhere] if saved else []
    found, lost = [], []
    for file in saved:
        reader = _find_one(path, file, places, line_limit)
        if reader is None:
            lost.append(file)
        else:
            found.append(reader)
    return found, lost


def _find_one(path: str, file: FileCursor, places: list[tuple[str, int]], line_limit: int) -> LineReader | None:
    same = [place for place, inode in places if inode == file.inode]
    copies = [place for place, inode in places if inode != file.inode and is_relative(place, path)]
    for place in same + copies:
        reader = _open(place, line_limit)
        if reader is None:
            continue
        if is_at(file, reader):
            reader.seek(file.position, skipping=file.skipping)
            return reader
        reader.close()
    return None


def generations_since(path: str, last: LineReader, known: Collection[LineReader], line_limit: int) -> list[LineReader]:
    """Files that had the path after `last` and were rotated unnoticed, oldest first, at their starts.

    Such a file is named like a rotation of the log, was written no earlier than `last`, and does not start like a known
    file, as a copy of it would.
    """
    seen = {reader.identity for reader in known} | {last.identity}
    heads = {head for reader in (*known, last) for head in (reader.head, reader.bytes_at(0, HEAD_BYTES)) if head}
    since = last.stat().st_mtime_ns
    readers = []
    for place, _ in siblings(path):
        if not _is_generation(place, path) or not _is_newer(place, since, seen):
            continue
        reader = _open(place, line_limit)
        if reader is None:
            continue
        start = reader.bytes_at(0, HEAD_BYTES)
        if any(head.startswith(start) or start.startswith(head) for head in heads):
            reader.close()
        else:
            readers.append(reader)
            seen.add(reader.identity)
    return sorted(readers, key=lambda reader: reader.stat().st_mtime_ns)


def _is_generation(place: str, path: str) -> bool:
    name = os.path.basename(place)
    if is_rotation_of(name, os.path.basename(path)):
        return True
    return os.path.islink(path) and family(name) == family(os.path.basename(os.path.realpath(path)))


def _is_newer(place: str, since: int, seen: Collection[tuple[int, int]]) -> bool:
    try:
        status = os.stat(place)
    except OSError:
        return False
    return status.st_mtime_ns >= since and status.st_size > 0 and identity(status) not in seen


def _open(place: str, line_limit: int) -> LineReader | None:
    try:
        return LineReader(open_regular(place), line_limit=line_limit)
    except OSError:
        return None
