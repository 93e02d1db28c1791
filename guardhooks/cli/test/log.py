"""LOG of `guardhooks test`: a file, standard input or a line in quotes, read as blocks of whole lines.

Memory stays bounded whatever is in it: a line that is longer than `LINE_LIMIT` is cut to its head, as the daemon does.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

from guardhooks.errors import ConfigError, GuardhooksError

LINE_LIMIT: Final = 65536
"""Longest line in bytes."""
_BLOCK: Final = 1 << 18
_LOOKS_LIKE_A_PATH: Final = re.compile(r"(?:\.{0,2}/|~/)\S*|\S*\.log(?:\.\d+)?(?:\.gz|\.bz2|\.xz)?")
_OPENERS: Final[dict[str, Callable[[Path], object]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


class _Reader(Protocol):
    def read1(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class LogLines:
    """The lines of a log: `blocks` of whole lines as they come, each line ending with a newline.

    `recoded` says that they were turned into UTF-8, because newlines of their own encoding are not single bytes.
    """

    origin: str
    blocks: Iterator[bytes]
    recoded: bool = False


@contextmanager
def open_log(text: str, encoding: str | None) -> Iterator[LogLines]:
    """What LOG means.

    :raises ConfigError: when there is no such file, or no such encoding.
    :raises GuardhooksError: when the file cannot be read.
    """
    recoded = encoding is not None and _is_wide(encoding)
    if text == "-":
        yield _lines("standard input", sys.stdin.buffer, encoding, recoded=recoded)
        return
    if _exists(text):
        with _open(text) as file:
            lines = _lines(text, file, encoding, recoded=recoded)
            yield replace(lines, blocks=_readable(text, lines.blocks))
    elif _LOOKS_LIKE_A_PATH.fullmatch(text):
        raise ConfigError(f"there is no log file {text!r}; a log line in quotes would hold more than a path")
    else:
        yield _lines("a line of the command line", io.BytesIO(os.fsencode(text)), None, recoded=recoded)


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # a log line in quotes can be too long for the name of a file
        return False


def _open(text: str) -> BinaryIO:
    path = Path(text)
    if path.is_dir():
        raise ConfigError(f"{text!r} is a folder; name a log file in it")
    try:
        return cast("BinaryIO", _OPENERS.get(path.suffix, _plain)(path))
    except OSError as error:
        raise GuardhooksError(f"log file {text!r} cannot be opened: {error.strerror}") from error


def _plain(path: Path) -> BinaryIO:
    return path.open("rb")


def _readable(text: str, blocks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from blocks
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise GuardhooksError(f"log file {text!r} cannot be read to its end: {error}") from error


def _is_wide(encoding: str) -> bool:
    if encoding == "auto":
        return False
    try:
        return "\n".encode(encoding) != b"\n"
    except LookupError:
        raise ConfigError(f"{encoding!r} is no encoding; write for example utf-8, latin-1 or utf-16") from None


def _lines(origin: str, file: BinaryIO, encoding: str | None, *, recoded: bool) -> LogLines:
    if not recoded or encoding is None:
        return LogLines(origin, whole_lines(iter(partial(cast("_Reader", file).read1, _BLOCK), b"")), recoded)
    text = io.TextIOWrapper(file, encoding, errors="replace", newline="\n")
    return LogLines(origin, whole_lines(piece.encode() for piece in iter(partial(text.read, _BLOCK), "")), recoded)


def whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Blocks of any shape as blocks of whole lines, none longer than `LINE_LIMIT` and its newline."""
    rest = b""
    for block in blocks:
        head, newline, tail = block.rpartition(b"\n")
        if newline:
            yield _without_long_lines(rest + head) + b"\n"
            rest = tail
        else:
            rest += tail
        rest = rest[:LINE_LIMIT]
    if rest:
        yield rest + b"\n"


def _without_long_lines(lines: bytes) -> bytes:
    if len(lines) <= LINE_LIMIT:
        return lines
    return b"\n".join(line[:LINE_LIMIT] for line in lines.split(b"\n"))
