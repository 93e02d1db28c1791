"""Lock files: one process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path


def locked(path: Path) -> int:
    """Open or create (mode 0600) a lock file and lock it; closing the returned descriptor releases it, as does the
    end of the process. On a file system that is read-only, one of an earlier run can be locked.

    :raises BlockingIOError: another open descriptor holds the lock.
    :raises OSError: it cannot be opened, is a symbolic link, or its file system knows no locks.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS or not path.exists():
            raise
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
