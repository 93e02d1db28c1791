"""LOG of `guardhooks test`: files, standard input or a line in quotes, read as blocks of whole lines.

Memory stays bounded whatever is in it: a line that is longer than `LINE_LIMIT` is cut to its head, as the daemon does.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TypeAlias, cast

from guardhooks.errors import ConfigError, GuardhooksError
from guardhooks.logfiles import DAMAGED, LogFile, open_log_file

LINE_LIMIT: Final = 65536
"""Longest line in bytes."""
_BLOCK: Final = 1 << 18
_ROOTED: Final = re.compile(r"(?:\.{0,2}|~)/\S.*")

Block: TypeAlias = tuple[bytes, tuple[float, ...] | None]
"""Whole lines, and the time of each where the log knows it (a journal)."""


class _Reader(Protocol):
    def read1(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a log is read: bytes `done` of `total`, counted in the files as they are, compressed or not."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class LogLines:
    """The lines of a log: `blocks` of whole lines as they come, each line ending with a newline.

    `recoded` says that they were turned into UTF-8, because newlines of their own encoding are not single bytes.
    `extent` tells how far they are read; None where nobody knows how much there is.
    """

    origin: str
    blocks: Iterator[Block]
    recoded: bool = False
    extent: Callable[[], Extent] | None = None


@contextmanager
def open_log(texts: Sequence[str], encoding: str | None) -> Iterator[LogLines]:
    """What LOG means; several files are read in the order of their last change.

    :raises ConfigError: when there is no such file, or no such encoding.
    :raises GuardhooksError: when a file cannot be read.
    """
    recoded = encoding is not None and _is_wide(encoding)
    if texts == ["-"]:
        yield LogLines("standard input", _dateless(_lines(sys.stdin.buffer, encoding, recoded=recoded)), recoded)
    elif len(texts) == 1 and not exists(texts[0]):
        if _looks_like_a_path(texts[0]):
            raise ConfigError(f"there is no log file {texts[0]!r}; a log line in quotes would hold more than a path")
        line = _lines(io.BytesIO(os.fsencode(texts[0])), None, recoded=False)
        yield LogLines("a line of the command line", _dateless(line), recoded)
    else:
        files = _Files(sorted(texts, key=_changed), encoding, recoded=recoded)
        try:
            yield LogLines(files.origin, _dateless(files.blocks()), recoded, files.extent)
        finally:
            files.close()


def exists(text: str) -> bool:
    """Whether this is the path of something."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # a log line in quotes can be too long for the name of a file
        return False


def _looks_like_a_path(text: str) -> bool:
    """A log line holds at least a date and a word; what begins like a path is one if its folder is there."""
    if not re.search(r"\s", text.strip()):
        return True
    return _ROOTED.fullmatch(text) is not None and exists(os.path.dirname(text) or "/")  # noqa: PTH120 -- may be no path


def _changed(text: str) -> float:
    try:
        return Path(text).stat().st_mtime
    except OSError:
        return 0.0


class _Files:
    """Log files, opened one after the other."""

    def __init__(self, texts: Sequence[str], encoding: str | None, *, recoded: bool) -> None:
        for text in texts:
            if Path(text).is_dir():
                raise ConfigError(f"{text!r} is a folder; name a log file in it")
        self._texts, self._encoding, self._recoded = texts, encoding, recoded
        self._total = sum(Path(text).stat().st_size for text in texts)
        self._done = 0
        self._open: LogFile | None = self._opened(texts[0])  # what cannot be opened is told before anything is printed
        self.origin = texts[0] if len(texts) == 1 else f"{len(texts)} files ({texts[0]} … {texts[-1]})"

    @staticmethod
    def _opened(text: str) -> LogFile:
        try:
            return open_log_file(Path(text))
        except OSError as error:
            raise GuardhooksError(f"log file {text!r} cannot be opened: {error.strerror}") from error

    def blocks(self) -> Iterator[bytes]:
        for text in self._texts:
            self._open = file = self._open or self._opened(text)
            try:
                yield from _lines(file.text, self._encoding, recoded=self._recoded)
            except DAMAGED as error:
                raise GuardhooksError(f"log file {text!r} cannot be read to its end: {error}") from error
            self.close()
            self._done += file.size

    def extent(self) -> Extent:
        reading = self._open.raw.tell() if self._open is not None and not self._open.raw.closed else 0
        return Extent(self._done + reading, self._total)

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def _dateless(blocks: Iterator[bytes]) -> Iterator[Block]:
    return ((block, None) for block in blocks)


def _is_wide(encoding: str) -> bool:
    if encoding == "auto":
        return False
    try:
        return "\n".encode(encoding) != b"\n"
    except LookupError:
        raise ConfigError(f"{encoding!r} is no encoding; write for example utf-8, latin-1 or utf-16") from None


def _lines(file: BinaryIO, encoding: str | None, *, recoded: bool) -> Iterator[bytes]:
    if not recoded or encoding is None:
        return whole_lines(iter(partial(cast("_Reader", file).read1, _BLOCK), b""))
    text = io.TextIOWrapper(file, encoding, errors="replace", newline="\n")
    return whole_lines(piece.encode() for piece in iter(partial(text.read, _BLOCK), ""))


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
