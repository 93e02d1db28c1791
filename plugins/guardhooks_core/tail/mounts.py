"""File systems whose changes the kernel cannot report, because others make them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

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
