"""Edits a system file atomically, and one guardhooks process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from guardhooks import ActionError

_LOCK_TIMEOUT: Final = 10.0
"""Seconds to wait for another process to finish its edit."""
_NEW_MODE: Final = 0o644


def edit(file: Path, change: Callable[[bytes], bytes]) -> None:
    """Replace the content of a file by what `change` returns for it; nothing is written if that is the same.

    A link is followed. The new content is complete on disk before it atomically replaces the old one; mode, owner and
    extended attributes are kept. A missing file counts as empty.

    :raises ActionError: if it cannot be read or written, or another process keeps it locked.
    """
    real = Path(os.path.realpath(file))
    try:
        with _locked(real.parent):
            old, status = _read(real)
            new = change(old)
            if new != old:
                _replace(real, new, status)
    except OSError as error:
        raise ActionError(f"{file} cannot be edited: {error.strerror or error}") from None


def read(file: Path) -> bytes:
    """The content of the file; empty if it does not exist.

    :raises ActionError: if it cannot be read.
    """
    try:
        return _read(Path(os.path.realpath(file)))[0]
    except OSError as error:
        raise ActionError(f"{file} cannot be read: {error.strerror or error}") from None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the folder, as each edit replaces the file itself."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + _LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ActionError(f"{folder} is locked by another process for {_LOCK_TIMEOUT:.0f} s") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(handle)


def _read(file: Path) -> tuple[bytes, os.stat_result | None]:
    try:
        handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return b"", None
    with os.fdopen(handle, "rb") as stream:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ActionError(f"{file} is not a regular file: change file=")
        return stream.read(), status


def _replace(file: Path, content: bytes, status: os.stat_result | None) -> None:
    new = file.with_name(f".{file.name}.guardhooks")
    new.unlink(missing_ok=True)  # Left by a killed process; no one else can use it, since we hold the lock.
    try:
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            _copy_metadata(handle, file, status)
            os.fsync(handle)
        new.rename(file)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _copy_metadata(handle: int, file: Path, status: os.stat_result | None) -> None:
    if status is None:
        os.fchmod(handle, _NEW_MODE)
        return
    made = os.fstat(handle)
    if (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid):
        os.fchown(handle, status.st_uid, status.st_gid)
    os.fchmod(handle, stat.S_IMODE(status.st_mode))
    with contextlib.suppress(OSError):  # The file system has no attributes, or the system sets them itself.
        for name in os.listxattr(file):
            os.setxattr(handle, name, os.getxattr(file, name))
