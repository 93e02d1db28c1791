"""Our lines in a file of others: a block between two comment lines that name the action. Pure text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_ENTRY: Final = re.compile(rb"[^#:\\\s][^#:\\]*: [^\\]+")
"""What a line of ours looks like, whatever its parameters were when it was written."""


@dataclass(frozen=True, slots=True)
class Block:
    """The block of one action. Nothing outside is ours, nor is a line inside that does not look like an entry."""

    name: str

    @property
    def _begin(self) -> bytes:
        return f"# guardhooks {self.name}: begin, do not edit\n".encode()

    @property
    def _end(self) -> bytes:
        return f"# guardhooks {self.name}: end\n".encode()

    def read(self, data: bytes) -> list[str]:
        """The lines of ours, in order, without their newlines."""
        _, ours, _ = self._split(data)
        return [line.decode(errors="surrogateescape") for line in ours]

    def write(self, data: bytes, lines: Iterable[str]) -> bytes:
        """The file with exactly these lines in the block; without a block where there are none."""
        before, _, after = self._split(data)
        entries = [f"{line}\n".encode(errors="surrogateescape") for line in lines]
        if not entries:
            return before + after
        if before and not before.endswith(b"\n"):
            before += b"\n"
        if before.endswith(b"\\\n"):  # else our first mark would go on with that line
            before += b"\n"
        return b"".join((before, self._begin, *entries, self._end, after))

    def _split(self, data: bytes) -> tuple[bytes, list[bytes], bytes]:
        """What is before the block, its entries, what is behind it."""
        lines = _lines(data)
        if self._begin not in lines:
            return data, [], b""
        begin = lines.index(self._begin)
        end = self._end_of(lines, begin)
        inside = [line.rstrip(b"\n") for line in lines[begin + 1 : end]]
        ours = [line for line in inside if _ENTRY.fullmatch(line)]
        strangers = [line for line in lines[begin + 1 : end] if not _ENTRY.fullmatch(line.rstrip(b"\n"))]
        rest = lines[end:]
        if rest and rest[0] == self._end:
            rest = rest[1:]
        return b"".join(lines[:begin]), ours, b"".join([*strangers, *rest])

    def _end_of(self, lines: Sequence[bytes], begin: int) -> int:
        """Where the end mark is; where somebody removed it, the first line that is no entry."""
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
    """Lines end with a newline and with nothing else."""
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
