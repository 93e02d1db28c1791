"""Rotated files beside a log: `auth.log.1`, `auth.log-20260131`, `app-2026-01-31.log`, but not compressed ones."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Final

COMPRESSED: Final = (".gz", ".xz", ".bz2", ".zst", ".lz4", ".lzma", ".zip", ".Z")
_NUMBERS: Final = re.compile(r"(?:[-_.]\d+)+")


def family(name: str) -> str:
    """File name without the numbers and dates that rotation puts in: `auth.log.1` and `auth.log` are of one family."""
    return _NUMBERS.sub("", name)


def is_compressed(name: str) -> bool:
    return name.endswith(COMPRESSED)


def is_rotation_of(name: str, base: str) -> bool:
    """Whether `name` is `base` with a number or date appended."""
    return name != base and name.startswith(base) and _NUMBERS.fullmatch(name, len(base)) is not None


def siblings(path: str) -> Iterator[tuple[str, int]]:
    """Path and inode of every uncompressed file beside the one at `path` (beside its target too, if it is a link).

    A renamed link leads to a rotated file elsewhere, so links count with what they lead to.
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
                with contextlib.suppress(OSError):  # a dangling link, or gone since
                    yield entry.path, entry.stat().st_ino if entry.is_symlink() else entry.inode()


def is_relative(candidate: str, path: str) -> bool:
    """Whether `candidate` is named like a rotation of the log at `path` or of the file that it links to."""
    name = os.path.basename(candidate)
    for place in (path, os.path.realpath(path)):
        base = os.path.basename(place)
        if family(name) == family(base) or name.startswith((base + ".", base + "-")):
            return True
    return False
