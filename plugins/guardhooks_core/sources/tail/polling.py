"""Why a source polls, if it does: its backend, a limit of the kernel, a remote file system, or missing events."""

from __future__ import annotations

import errno
import logging
import os
import re
from pathlib import Path
from typing import Final

from guardhooks import safe_text

logger = logging.getLogger("guardhooks.tail")

MISSES: Final = 3
"""Consecutive sweeps that find lines without an event; after that, events are no longer relied on."""
_REMEDY: Final = {
    errno.ENOSPC: "the limit of inotify watches is reached; raise fs.inotify.max_user_watches",
    errno.EMFILE: "the limit of inotify instances is reached; raise fs.inotify.max_user_instances",
}
_MOUNTINFO: Final = Path("/proc/self/mountinfo")
_REMOTE: Final = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4",
    "ocfs2", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
})  # fmt: skip
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


class PollingReason:
    """Why a source polls: `reason`, empty while events are relied on. It is logged when it is set."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        self._heard: set[str] = set()
        self._missed: dict[str, int] = {}
        self._found: set[str] = set()
        self._checked: set[str] = set()

    def watching(self, directory: str) -> None:
        """The directory is watched; if its file system is remote, that is not enough."""
        if directory in self._checked:
            return
        self._checked.add(directory)
        kind = remote_type(directory)
        if kind:
            self._set_reason(
                f"{safe_text(directory)} is on {kind}, which does not report changes made on other machines"
            )

    def refused(self, directory: str, error: OSError) -> None:
        """The directory could not be watched."""
        why = _REMEDY.get(error.errno or 0, error.strerror or str(error))
        self._set_reason(f"{safe_text(directory)} cannot be watched: {why}")

    def heard(self, path: str) -> None:
        """An event arrived. Called in the observer's threads."""
        self._heard.add(os.path.dirname(path))

    def found(self, path: str) -> None:
        """A sweep found new lines in this file."""
        self._found.add(os.path.dirname(path))

    def swept(self) -> None:
        """A sweep has ended: compare what it found with the events that arrived."""
        heard, self._heard = self._heard, set()
        for directory in heard:
            self._missed.pop(directory, None)
        for directory in self._found - heard:
            self._missed[directory] = self._missed.get(directory, 0) + 1
            if self._missed[directory] >= MISSES:
                self._set_reason(f"no events arrive from {safe_text(directory)}")
        self._found.clear()

    def _set_reason(self, reason: str) -> None:
        if not self.reason:
            self.reason = reason
            logger.warning("polling instead of waiting for events: %s", reason)


def remote_type(directory: str, mountinfo: Path = _MOUNTINFO) -> str:
    """The type of the network or shared file system that contains a real directory; empty if it is local.

    Reads `/proc/self/mountinfo`, proc(5). FUSE counts as remote, except for block devices (`fuseblk`).
    """
    best, found = -1, ""
    try:
        lines = mountinfo.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 10 or "-" not in fields[6:]:
            continue
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        inside = directory == point or directory.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:  # Of two mounts on one point, the later one is on top.
            best, found = len(point), fields[fields.index("-", 6) + 1]
    return found if found in _REMOTE or found.startswith("fuse.") else ""
