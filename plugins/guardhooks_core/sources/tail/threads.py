"""The threads that read files: each folder and each mount has its share, so that one that hangs leaves the others.

A mount that comes later, over a folder, or behind a link is not seen as one; then the share of the folder holds.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Final

from guardhooks import Bulkhead, WorkerPool
from guardhooks_core.sources.tail.paths import has_magic

_OF_ONE_FOLDER: Final = 4
_OF_ONE_MOUNT: Final = 64
_OF_ALL: Final = 256
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
"""How mountinfo writes blanks and backslashes; see proc(5)."""

_READY: Final = 2


@cache
def threads_of(folder: str) -> Bulkhead:
    """The share of a folder; of a glob, that which holds all it can match (`folder_of`)."""
    return Bulkhead(_of_mount(mount_of(folder, mount_points())), _OF_ONE_FOLDER)


@cache
def _of_mount(mount: str) -> Bulkhead:  # noqa: ARG001 -- the key of the cache
    return Bulkhead(_pool(), _OF_ONE_MOUNT)


def folder_of(pattern: str) -> str:
    """The folder of a path; of a glob, the last one before its first wildcard."""
    parts = pattern.split("/")[:-1]
    plain = takewhile(lambda part: not has_magic(part), parts)
    return "/".join(plain) or "/"


@cache
def _pool() -> WorkerPool:
    """The threads for all files: a command that reads none starts none."""
    return WorkerPool("tail", ready=_READY, most=_OF_ALL)


def mount_of(path: str, mounts: list[str]) -> str:
    """The longest mount point that holds a path, by its name alone: to look at the path might hang."""
    holding = [mount for mount in mounts if path == mount or path.startswith(mount.rstrip("/") + "/")]
    return max(holding, key=len, default="/")


def mount_points() -> list[str]:
    """Where something is mounted; none where the kernel does not say."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    return [
        _ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4])
        for line in lines
        if len(fields := line.split()) > 4
    ]
