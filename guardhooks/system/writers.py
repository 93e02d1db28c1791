"""Who could have written a file: what runs as root must come from files that only root, or this user, can change."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final, NamedTuple

_MOST_LINKS: Final = 40
"""Links that are followed one after the other, as the kernel does."""


class Doubt(NamedTuple):
    """The file, folder or link that others can change, in what way, and the remedy."""

    path: Path
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path} {self.reason}; {self.remedy}"


class Writers:
    """Looks at owners and modes of files, of all folders above them, and of links on the way, at each once."""

    def __init__(self) -> None:
        self._looked_at: dict[Path, Doubt | None] = {}

    def doubt(self, path: Path) -> Doubt | None:
        """Why this file could have been written by others than root and this user; None if it could not.

        A file that is not there, or cannot be looked at, is doubtful for whoever reads it, not here.
        """
        path = Path(os.path.abspath(path))  # noqa: PTH100 -- resolve() would follow the links, which are looked at
        for _ in range(_MOST_LINKS):
            for each in (
                *reversed(path.parents),
                *reversed(path.parent.resolve().parents),
                path.parent.resolve(),
                path,
            ):
                if found := self._of(each):
                    return found
            if not path.is_symlink():
                return None
            path = Path(os.path.abspath(path.parent.resolve() / path.readlink()))  # noqa: PTH100
        return Doubt(path, "is one of too many links", "name the file itself")

    def _of(self, path: Path) -> Doubt | None:
        if path not in self._looked_at:
            try:
                self._looked_at[path] = _doubt(path, path.lstat())
            except OSError:
                self._looked_at[path] = None
        return self._looked_at[path]


def _doubt(path: Path, status: os.stat_result) -> Doubt | None:
    if status.st_uid not in (0, os.geteuid()):
        return Doubt(path, f"belongs to uid {status.st_uid}", f"chown root {path}")
    if stat.S_ISLNK(status.st_mode):
        return None  # has no mode of its own; where it leads is looked at next
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX  # others cannot replace what is in it
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky:
        mode = stat.S_IMODE(status.st_mode)
        return Doubt(path, f"may be written by others (mode {mode:04o})", f"chmod go-w {path}")
    return None
