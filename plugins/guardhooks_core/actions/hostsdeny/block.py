"""Our lines in a shared file: a block between two comment lines that name the action. Pure text processing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_ENTRY: Final = re.compile(rb"[^#:\\\s][^#:\\]*: [^\\]+")
"""The form of our lines, whatever the parameters were when they were written."""


@dataclass(frozen=True, slots=True)
class Block:
    """The block of one action. Lines outside are not ours, nor are lines inside that do not look like entries."""

    name: str

    @property
    def _begin(self) -> bytes:
        return f"# guardhooks {self.name}: begin, do not edit\n".encode()

    @property
    def _end(self) -> bytes:
        return f"# guardhooks {self.name}: end\n".encode()

    def read(self, data: bytes) -> list[str]:
        """Our lines, in order, without their newlines."""
        _, ours, _ = self._split(data)
        return [line.decode(errors="surrogateescape") for line in ours]

    def write(self, data: bytes, lines: Iterable[str]) -> bytes:
        """The file with exactly these lines in the block; without a block if there are none."""
        before, _, after = self._split(data)
        entries = [f"{line}\n".encode(errors="surrogateescape") for line in lines]
        if not entries:
            return before + after
        if before and not before.endswith(b"\n"):
            before += b"\n"
        if before.endswith(b"\\\n"):  # Otherwise our first marker would continue that line.
            before += b"\n"
        return b"".join((before, self._begin, *entries, self._end, after))

    def _split(self, data: bytes) -> tuple[bytes, list[bytes], bytes]:
        """The text before the block, its entries, and the text after it."""
        lines = _lines(data)
        if self._begin not in lines:
            return data, [], b""
        begin = lines.index(self._begin)
        end = self._end_of(lines, begin)
        inside = [line.rstrip(b"\n") for line in lines[begin + 1 : end]]
        ours = [line for line in inside if _ENTRY.fullmatch(line)]
        foreign = [line for line in lines[begin + 1 : end] if not _ENTRY.fullmatch(line.rstrip(b"\n"))]
        rest = lines[end:]
        if rest and rest[0] == self._end:
            rest = rest[1:]
        return b"".join(lines[:begin]), ours, b"".join([*foreign, *rest])

    def _end_of(self, lines: Sequence[bytes], begin: int) -> int:
        """The index of the end marker; if it was removed, of the first line that is not an entry."""
        for number in range(begin + 1, len(lines)):
            if lines[number] == self._end:
                return number
            if lines[number].startswith(b"# guardhooks "):
                break
        for number in range(begin + 1, len(lines)):
            if not _ENTRY.fullmatch(lines[number].rstrip(b"\n")):
                return number
        return len(lines)


def _lines(data: bytes) -> list[bytes]:
    """The lines, split at newlines only."""
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
