"""The text of a saved position: how far which files of an origin were read, and how to recognise them.

Format: compact JSON `{"v":1,"files":[{"ino":…,"pos":…,"head":[LENGTH,HASH],"tail":[LENGTH,HASH],"skip":…},…]}`, oldest
file first. `head` and `tail` are fingerprints of the first bytes of the file and of those just before `pos`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from guardhooks_core.sources.tail.reader import HEAD_BYTES, TAIL_BYTES, LineReader

VERSION: Final = 1
MOST_FILES: Final = 64
_LARGEST: Final = 1 << 63
_HASH_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Length and hash of some bytes."""

    length: int
    digest: str

    @classmethod
    def of(cls, data: bytes) -> Fingerprint:
        return cls(len(data), blake2b(data, digest_size=_HASH_BYTES).hexdigest())


@dataclass(frozen=True, slots=True)
class FileCursor:
    """How far one file was read, and the fingerprints that identify it."""

    inode: int
    position: int
    head: Fingerprint
    tail: Fingerprint
    skipping: bool = False

    @classmethod
    def of(cls, reader: LineReader) -> FileCursor:
        return cls(
            reader.identity[1],
            reader.position,
            Fingerprint.of(reader.head),
            Fingerprint.of(reader.tail),
            reader.skipping,
        )

    def fits(self, reader: LineReader) -> bool:
        """Whether the file contains what was read before, whatever its inode."""
        return (
            reader.stat().st_size >= self.position
            and Fingerprint.of(reader.bytes_at(0, self.head.length)) == self.head
            and Fingerprint.of(reader.bytes_before(self.position, self.tail.length)) == self.tail
        )


def dump(files: Iterable[FileCursor]) -> str:
    """The cursor text of these files, oldest first."""
    entries = [
        {
            "ino": file.inode,
            "pos": file.position,
            "head": [file.head.length, file.head.digest],
            "tail": [file.tail.length, file.tail.digest],
            "skip": file.skipping,
        }
        for file in files
    ]
    return json.dumps({"v": VERSION, "files": entries}, separators=(",", ":"))


def load(text: str) -> tuple[FileCursor, ...]:
    """The files of a cursor text, oldest first.

    :raises ValueError: if the text is damaged or of another version; one line says how.
    """
    try:
        document = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(document, dict) or document.keys() != {"v", "files"} or document["v"] != VERSION:
        raise ValueError(f"not a cursor of version {VERSION}")
    files = document["files"]
    if not isinstance(files, list) or not 1 <= len(files) <= MOST_FILES:
        raise ValueError("not a list of files")
    return tuple(_file(entry) for entry in files)


def _file(entry: object) -> FileCursor:
    if not isinstance(entry, dict) or entry.keys() != {"ino", "pos", "head", "tail", "skip"}:
        raise ValueError("unknown or missing keys of a file")
    if not isinstance(entry["skip"], bool):
        raise ValueError("skip is not true or false")  # noqa: TRY004 -- one kind of error for all damage
    position = _number(entry["pos"], _LARGEST)
    head = _fingerprint(entry["head"], HEAD_BYTES)
    tail = _fingerprint(entry["tail"], TAIL_BYTES)
    if head.length != min(position, HEAD_BYTES) or tail.length != min(position, TAIL_BYTES):
        raise ValueError("fingerprints do not fit the position")
    return FileCursor(_number(entry["ino"], 1 << 64), position, head, tail, entry["skip"])


def _number(value: object, below: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < below:
        raise ValueError("a number is out of range")
    return value


def _fingerprint(value: object, most: int) -> Fingerprint:
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[1], str):
        raise ValueError("a fingerprint is damaged")
    digest = value[1]
    if len(digest) != 2 * _HASH_BYTES or not set(digest) <= set("0123456789abcdef"):
        raise ValueError("a fingerprint is damaged")
    return Fingerprint(_number(value[0], most + 1), digest)
