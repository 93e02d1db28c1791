"""The threads that read files: each mount has its share of them, so that one that hangs leaves the others readable."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

from guardhooks import Bulkhead, WorkerPool

_OF_ONE_MOUNT: Final = 16
_OF_ALL: Final = 128
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
"""How mountinfo writes blanks and backslashes; see proc(5)."""

_READY: Final = 2
_SHARES: Final[dict[str, Bulkhead]] = {}


def threads_of(pattern: str) -> Bulkhead:
    """The share of the mount that a path or glob lies on."""
    mount = mount_of(pattern, mount_points())
    if mount not in _SHARES:
        _SHARES[mount] = Bulkhead(_pool(), _OF_ONE_MOUNT)
    return _SHARES[mount]


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
