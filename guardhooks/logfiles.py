"""Log files as people keep them, plain or compressed, opened by what their first bytes say.

Formats: gzip (RFC 1952), bzip2, xz (tukaani.org/xz/xz-file-format.txt) and Zstandard (RFC 8878).
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from guardhooks.errors import GuardhooksError

DAMAGED: Final = (OSError, EOFError, lzma.LZMAError, zlib.error)
"""What reading a damaged or cut file raises, besides the errors of a Zstandard library, which become OSError here."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """An open log: `text` yields the uncompressed bytes, `raw` is the file itself, `size` its length in bytes.

    `raw.tell()` against `size` tells how much of it is read.
    """

    text: BinaryIO
    raw: BinaryIO
    size: int

    def close(self) -> None:
        """Close both."""
        self.text.close()
        self.raw.close()


def open_log_file(path: Path) -> LogFile:
    """Open a log for reading, uncompressed on the way.

    :raises OSError: when it cannot be opened.
    :raises GuardhooksError: when it is compressed with Zstandard and no library for that is installed.
    """
    raw = path.open("rb")
    try:
        head = raw.read(6)
        raw.seek(0)
        opener = next((opener for magic, opener in _OPENERS if head.startswith(magic)), None)
        text = raw if opener is None else opener(raw)
        return LogFile(text, raw, path.stat().st_size)
    except BaseException:
        raw.close()
        raise


def _zstandard(raw: BinaryIO) -> BinaryIO:
    """By Python's own module (3.14) or the package `zstandard`."""
    try:
        library: Any = importlib.import_module("compression.zstd")
    except ModuleNotFoundError:
        try:
            library = importlib.import_module("zstandard")
        except ModuleNotFoundError:
            remedy = "install the package zstandard (pip install 'guardhooks[zstd]') or unpack it with `zstd -d`"
            raise GuardhooksError(
                f"{raw.name} is compressed with Zstandard, which Python cannot read; {remedy}"
            ) from None
        return cast("BinaryIO", _ZstandardStream(library, raw))
    return cast("BinaryIO", library.open(raw, "rb"))


class _ZstandardStream:
    """Reads all frames of a file; errors of the library become OSError, as those of the other formats are."""

    def __init__(self, library: Any, raw: BinaryIO) -> None:  # noqa: ANN401 -- an optional package
        self._stream = library.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        self._error: type[Exception] = library.ZstdError

    def read1(self, size: int) -> bytes:
        try:
            return cast("bytes", self._stream.read(size))
        except self._error as error:
            raise OSError(str(error)) from error

    read = read1

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._stream.close()


def _gzip(raw: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", gzip.GzipFile(fileobj=raw, mode="rb"))


def _bzip2(raw: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", bz2.BZ2File(raw))


def _xz(raw: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", lzma.LZMAFile(raw))


_OPENERS: Final[tuple[tuple[bytes, Callable[[BinaryIO], BinaryIO]], ...]] = (
    (b"\x1f\x8b", _gzip),
    (b"BZh", _bzip2),
    (b"\xfd7zXZ\0", _xz),
    (b"\x28\xb5\x2f\xfd", _zstandard),
)
