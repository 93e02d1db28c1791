"""Why a source polls, if it does: asked to, a limit of the kernel, a network file system, events that do not arrive."""

from __future__ import annotations

import errno
import logging
import os
import re
from pathlib import Path
from typing import Final

from guardhooks import safe_text

log: Final = logging.getLogger("guardhooks.tail")
_REMEDY: Final = {
    errno.ENOSPC: "the limit of inotify watches is reached; raise fs.inotify.max_user_watches",
    errno.EMFILE: "the limit of inotify instances is reached; raise fs.inotify.max_user_instances",
}
MISSES: Final = 3
"""Sweeps in a row that find lines which no event announced, until events are no longer relied on."""


class PollingReason:
    """`reason` is empty while events are relied on. It is logged when it changes."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        self._heard: set[str] = set()
        self._missed: dict[str, int] = {}
        self._found: set[str] = set()
        self._looked_up: set[str] = set()

    def watching(self, directory: str) -> None:
        """The directory is watched; whether that is of use depends on its file system."""
        if directory in self._looked_up:
            return
        self._looked_up.add(directory)
        kind = remote_type(directory)
        if kind:
            self._because(f"{safe_text(directory)} lies on {kind}, which reports no changes made elsewhere")

    def refused(self, directory: str, error: OSError) -> None:
        """The directory could not be watched."""
        why = _REMEDY.get(error.errno or 0, error.strerror or str(error))
        self._because(f"{safe_text(directory)} cannot be watched: {why}")

    def heard(self, path: str) -> None:
        """An event came. Called in the observer's threads."""
        self._heard.add(os.path.dirname(path))

    def found(self, path: str) -> None:
        """A sweep found new lines in this file."""
        self._found.add(os.path.dirname(path))

    def swept(self) -> None:
        """A sweep is over: compare what it found with what was announced."""
        heard, self._heard = self._heard, set()
        for directory in heard:
            self._missed.pop(directory, None)
        for directory in self._found - heard:
            self._missed[directory] = self._missed.get(directory, 0) + 1
            if self._missed[directory] >= MISSES:
                self._because(f"no events arrive from {safe_text(directory)}")
        self._found.clear()

    def _because(self, reason: str) -> None:
        if not self.reason:
            self.reason = reason
            log.warning("polling instead of waiting for events: %s", reason)


_MOUNTINFO: Final = Path("/proc/self/mountinfo")
_REMOTE: Final = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4",
    "ocfs2", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
})  # fmt: skip
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


def remote_type(directory: str, mountinfo: Path = _MOUNTINFO) -> str:
    """Name of the network or shared file system that a real directory lies on; empty if it is a local one.

    Reads `/proc/self/mountinfo`, proc(5). FUSE counts as remote, save for the block devices served by it.
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
        if inside and len(point) >= best:  # of two mounts on one point the later one is on top
            best, found = len(point), fields[fields.index("-", 6) + 1]
    return found if found in _REMOTE or found.startswith("fuse.") else ""
