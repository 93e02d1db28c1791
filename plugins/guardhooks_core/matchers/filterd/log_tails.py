"""The last lines of a jail's logs, for what `guardhooks check` reads out of them."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from guardhooks import Jail


@dataclass(frozen=True, slots=True)
class LogTail:
    """The end of a log file: its bytes, whether these are all, and when it was written last, in epoch seconds."""

    file: str
    data: bytes
    is_whole: bool
    written: float


def log_tails(jail: Jail, size: int) -> Iterator[LogTail]:
    """The last `size` bytes of each log that can be read."""
    for source in jail.sources:
        if source.kind != "file" or not source.text.startswith("/"):
            continue
        for file in sorted(glob.glob(source.text)):  # noqa: PTH207 -- as `tail` has it
            with suppress(OSError):
                if Path(file).is_file():
                    yield _tail(Path(file), size)


def _tail(file: Path, size: int) -> LogTail:
    with file.open("rb") as stream:
        length = stream.seek(0, 2)
        stream.seek(max(0, length - size))
        data = stream.read(size)
    return LogTail(str(file), data, length <= size, file.stat().st_mtime)
