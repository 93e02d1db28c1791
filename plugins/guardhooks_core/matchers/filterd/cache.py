"""What was compiled for a source, kept in a folder beside the state, so that a restart need not compile it again.

An entry is one file: a magic text, the SHA-256 of its content, the content. It is named after the engine that made it
and after what it was made from. Nothing in a file is believed unless folder and file are the running user's alone and
the digest holds: the content goes to a deserialiser that trusts its input. An entry that cannot be used is made anew.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import stat
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

FOLDER: Final = "cache"
_MAGIC: Final = b"guardhooks cache 1\n"
_DIGEST_LENGTH: Final = 32
_LARGEST: Final = 64 << 20
"""Bytes. A database of all stock filters takes about one million."""
_SUFFIX: Final = ".compiled"
_log = logging.getLogger("guardhooks.filterd")


class Cache:
    """Entries in `folder`, which is created when the first one is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: set[str] = set()

    def read(self, key: str) -> bytes | None:
        """The content kept under `key`, None where there is none that can be believed."""
        path = self._path(key)
        try:
            _refuse_foreign(os.lstat(self._folder), folder=True)
            whole = _read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.debug("cache entry %s is not used, and made anew: %s", path, error)
            return None
        content = whole[len(_MAGIC) + _DIGEST_LENGTH :]
        if whole != _sealed(content):
            self.reject(key, "it is damaged")
            return None
        return content

    def reject(self, key: str, why: str) -> None:
        """Say that an entry cannot be used."""
        _log.debug("cache entry %s is not used, and made anew: %s", self._path(key), why)

    def write(self, key: str, content: bytes) -> None:
        """Keep `content`, whole or not at all. Where that cannot be done, nothing is kept."""
        path = self._path(key)
        unfinished = path.with_suffix(f".{os.getpid()}")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            _refuse_foreign(os.lstat(self._folder), folder=True)
            unfinished.unlink(missing_ok=True)
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(_sealed(content))
            unfinished.replace(path)
        except OSError as error:
            _log.debug("cache entry %s cannot be kept: %s", path, error)

    def sweep(self) -> None:
        """Remove the entries that this process has not asked for."""
        try:
            stale = [path for path in self._folder.iterdir() if path.name not in self._used]
            for path in stale:
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            return
        except OSError as error:
            _log.debug("stale cache entries cannot be removed: %s", error)

    def _path(self, key: str) -> Path:
        name = f"{engine()[:16]}-{key}{_SUFFIX}"
        self._used.add(name)
        return self._folder / name


def digest(parts: Iterable[str | bytes]) -> str:
    """A SHA-256 of all parts, each with its length, as hexadecimal digits."""
    found = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        found.update(b"%d:" % len(data))
        found.update(data)
    return found.hexdigest()


@cache
def engine() -> str:
    """A digest of all that decides what is compiled from a regex, save the regex: this code, Python, Hyperscan, CPU."""
    try:
        hyperscan = version("hyperscan")
    except PackageNotFoundError:
        hyperscan = "none"
    sources = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    return digest([hyperscan, sys.version, platform.machine(), _cpu(), *sources])


def _cpu() -> str:
    """The processor's features; a database that was made for others would be refused, or worse."""
    try:
        with Path("/proc/cpuinfo").open() as file:
            return next((line for line in file if line.startswith(("flags", "Features"))), "")
    except OSError:
        return platform.processor()


def _sealed(content: bytes) -> bytes:
    return _MAGIC + hashlib.sha256(content).digest() + content


def _read(path: Path) -> bytes:
    """:raises OSError: when it cannot be read, or when others could have written it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        _refuse_foreign(status, folder=False)
        if status.st_size > _LARGEST:
            raise OSError(f"it has {status.st_size} bytes")
        return file.read(_LARGEST)


def _refuse_foreign(status: os.stat_result, *, folder: bool) -> None:
    if not (stat.S_ISDIR if folder else stat.S_ISREG)(status.st_mode):
        raise OSError("the folder is none" if folder else "it is not a regular file")
    if status.st_uid != os.geteuid():
        raise OSError(f"it belongs to uid {status.st_uid}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OSError(f"others may write it (mode {stat.S_IMODE(status.st_mode):04o})")
