"""Stores what a matcher compiled for a source in a folder beside the state, so that a restart need not do it again.

An entry is one file: a magic text, the SHA-256 of its content, the content. Its name is made of digests of the code
that wrote it and of what it was made from. The content goes to a deserialiser that trusts its input; therefore a file
is used only if the folder and the file belong to the running user, no one else may write them, and the digest matches.
Otherwise the entry is recompiled.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Final, Self

from guardhooks.model import Jail

_FOLDER: Final = "cache"
"""In the state folder."""
_MAGIC: Final = b"guardhooks cache 1\n"
HEADER_LENGTH: Final = len(_MAGIC) + 32
"""Bytes before an entry's content: the magic text and the digest."""
_MAX_SIZE: Final = 64 << 20
"""Bytes. A database of all stock filters takes about one million."""
_ENTRY: Final = re.compile(r"[0-9a-f]{16}-[^/]*")
logger = logging.getLogger("guardhooks.filters")


class Cache(ABC):
    """Entries in `folder`, which is created when the first one is written."""

    suffix: ClassVar[str]
    """Of the names of its entries, with a dot: each matcher has its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: set[str] = set()

    @classmethod
    def beside(cls, ledger_file: Path) -> Self:
        """The cache in the state folder that this file is in."""
        return cls(ledger_file.parent / _FOLDER)

    @abstractmethod
    def engine(self) -> str:
        """A digest of all that determines an entry besides what it was made from: the code that writes it, Python."""

    def read(self, key: str) -> bytes | None:
        """The content stored under `key`; None if there is none that can be trusted."""
        path = self._path(key)
        try:
            _require_private(os.lstat(self._folder), folder=True)
            whole = _read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.reject(key, str(error))
            return None
        content = whole[HEADER_LENGTH:]
        if whole != sealed(content):
            self.reject(key, "it is damaged")
            return None
        return content

    def reject(self, key: str, why: str) -> None:
        """Log that an entry cannot be used."""
        logger.debug("cache entry %s cannot be used; recompiling: %s", self._path(key), why)

    def write(self, key: str, content: bytes) -> None:
        """Store `content`, whole or not at all. If that fails, nothing is stored."""
        path = self._path(key)
        unfinished = path.with_suffix(f".{os.getpid()}")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            _require_private(os.lstat(self._folder), folder=True)
            unfinished.unlink(missing_ok=True)
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(sealed(content))
            unfinished.replace(path)
        except OSError as error:
            logger.debug("cache entry %s cannot be written: %s", path, error)

    def sweep(self) -> None:
        """Remove the entries that this process has not used; nothing else, and nothing through a link."""
        try:
            _require_private(os.lstat(self._folder), folder=True)
            stale = [path for path in self._folder.iterdir() if path.name not in self._used and self._is_ours(path)]
            for path in stale:
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            return
        except OSError as error:
            logger.debug("stale cache entries cannot be removed: %s", error)

    def _is_ours(self, path: Path) -> bool:
        """Whether it has the name of an entry, or of an unfinished one that a process has left."""
        return _ENTRY.fullmatch(path.stem) is not None and (path.suffix == self.suffix or path.suffix[1:].isdecimal())

    def _path(self, key: str) -> Path:
        name = f"{self.engine()[:16]}-{key}{self.suffix}"
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


def filter_parts(jail: Jail) -> list[str]:
    """Everything that what is compiled of a jail's filter depends on."""
    spec = jail.filter
    if spec is None:
        return [jail.name, "no filter"]
    own = [jail.name, jail.usedns, jail.logencoding, jail.logtimezone, str(spec.maxlines), spec.prefregex]
    lists = (spec.failregex, spec.ignoreregex, spec.datepattern)
    return [*own, *(text for texts in lists for text in (str(len(texts)), *texts))]


def sealed(content: bytes) -> bytes:
    """The content of an entry's file: `content` behind the magic text and its digest."""
    return _MAGIC + hashlib.sha256(content).digest() + content


def _read(path: Path) -> bytes:
    """:raises OSError: when it cannot be read, or when others could have written it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        _require_private(status, folder=False)
        if status.st_size > _MAX_SIZE:
            raise OSError(f"it has {status.st_size} bytes")
        return file.read(_MAX_SIZE)


def _require_private(status: os.stat_result, *, folder: bool) -> None:
    """:raises OSError: unless it is a folder (or a regular file) of ours that only we can write."""
    if not (stat.S_ISDIR if folder else stat.S_ISREG)(status.st_mode):
        raise OSError("its folder is not a folder" if folder else "it is not a regular file")
    if status.st_uid != os.geteuid():
        raise OSError(f"it belongs to uid {status.st_uid}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OSError(f"others may write it (mode {stat.S_IMODE(status.st_mode):04o})")
