"""A file system that never answers, as a network file system whose server is gone."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

_FUSE: Final = Path("/dev/fuse")
_MNT_DETACH: Final = 2
_libc: Final = ctypes.CDLL(None, use_errno=True)


@contextmanager
def hanging_mount(target: Path) -> Iterator[None]:
    """Mount it over a folder: nobody answers what the kernel asks there, until the end of the block."""
    if os.geteuid() != 0 or not _FUSE.exists():
        pytest.skip("needs root and /dev/fuse")
    descriptor = os.open(_FUSE, os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0".encode()
    try:
        if _libc.mount(b"hanging", os.fsencode(target), b"fuse", 0, options):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(target))
        yield
    finally:
        os.close(descriptor)  # whatever waits gets an error now
        _libc.umount2(os.fsencode(target), _MNT_DETACH)
