"""An incremental parser of the Journal Export Format (systemd.io/JOURNAL_EXPORT_FORMATS).

An entry is a sequence of fields that ends with an empty line. A field is `NAME=value` in one line or, if the value
contains newlines or unprintable bytes, `NAME`, newline, 64-bit little-endian length, that many bytes, newline. A value
can therefore never be mistaken for structure, whatever was logged.
"""

from __future__ import annotations

from typing import Final, TypeAlias

Entry: TypeAlias = dict[bytes, bytes]

VALUE_LIMIT: Final = 64 << 10
"""Bytes of a value that are kept; a journal field may have hundreds of megabytes."""
_LENGTH: Final = 8


class ExportParser:
    """Takes bytes as they come and returns whole entries. Buffers at most one entry and `limit` more bytes.

    The values of a repeated field are joined by blanks.
    """

    def __init__(self, limit: int = VALUE_LIMIT) -> None:
        self._limit = limit
        self._data = b""
        self._position = 0
        self._entry: Entry = {}
        self._skip = 0
        self._skip_line = False

    def feed(self, data: bytes) -> list[Entry]:
        """The entries completed by these bytes."""
        self._data = self._data[self._position :] + data
        self._position = 0
        entries = []
        while entry := self._whole() or self._stepwise():
            entries.append(entry)
        return entries

    def _whole(self) -> Entry | None:
        """The next entry if it is complete and all its fields are plain lines: the fast path for the usual case."""
        if self._entry or self._skip or self._skip_line:
            return None
        end = self._data.find(b"\n\n", self._position)
        if end < 0:
            return None
        fields = self._data[self._position : end].split(b"\n")
        try:
            entry = dict(field.split(b"=", 1) for field in fields)
        except ValueError:  # A line without "=" announces a binary value, which may contain the empty line.
            return None
        if len(entry) < len(fields):
            return None
        self._position = end + 2
        return entry

    def _stepwise(self) -> Entry | None:
        while self._skipped():
            end = self._data.find(b"\n", self._position)
            if end < 0:
                self._cut_long_line()
                return None
            if end == self._position:
                self._position += 1
                entry, self._entry = self._entry, {}
                if entry:
                    return entry
            elif not self._field(end):
                return None
        return None

    def _field(self, end: int) -> bool:
        """Parse the field whose first line ends at `end`; False if more bytes are needed."""
        name, equals, value = self._data[self._position : end].partition(b"=")
        if equals:
            self._add(name, value[: self._limit])
            self._position = end + 1
            return True
        start = end + 1 + _LENGTH
        size = int.from_bytes(self._data[end + 1 : start], "little")
        kept = min(size, self._limit)
        if len(self._data) < start + kept:
            return False
        self._add(name, self._data[start : start + kept])
        self._position = start + kept
        self._skip = size - kept + 1
        return True

    def _add(self, name: bytes, value: bytes) -> None:
        before = self._entry.get(name)
        self._entry[name] = value if before is None else (before + b" " + value)[: self._limit]

    def _skipped(self) -> bool:
        """Skip the rest of an overlong value; False until its end has arrived."""
        if self._skip:
            step = min(self._skip, len(self._data) - self._position)
            self._position += step
            self._skip -= step
            return not self._skip
        if self._skip_line:
            end = self._data.find(b"\n", self._position)
            self._position = end + 1 if end >= 0 else len(self._data)
            self._skip_line = end < 0
            return not self._skip_line
        return True

    def _cut_long_line(self) -> None:
        name, _, value = self._data[self._position :].partition(b"=")
        if len(value) > self._limit:
            self._add(name, value[: self._limit])
            self._position = len(self._data)
            self._skip_line = True
