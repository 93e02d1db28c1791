"""Reads one file of the INI dialect (that of Python's `configparser`), and keeps file and line of every key.

A wrong line is left out and reported; of a duplicate key the last one counts. Only a file
that cannot be read as text at all is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from guardhooks.errors import ConfigError
from guardhooks.model import Problem

MAX_FILE = 4 * 1024 * 1024
"""Bytes; a bigger file is refused."""

_COMMENT = re.compile(r"^\s*[#;].*|(?:^|(?<=\s));.*")
_SECTION = re.compile(r"\[(?P<name>.+)\]")
_CONDITIONAL = re.compile(r"(?P<name>\w+)(?P<condition>\?.+)")
_OPTION = re.compile(r"(?P<key>.*?)\s*[=:]\s*(?P<text>.*)$")


@dataclass(frozen=True, slots=True)
class Value:
    """The text of one key as written, where it stands, and the value of the same key that it replaced."""

    text: str
    file: str = ""
    line: int = 0
    section: str = ""
    key: str = ""
    previous: Value | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class IniFile:
    """Sections of one file; a key of `[Name?condition]` is the key `key?condition` of `Name`."""

    path: Path
    sections: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def read_ini(path: Path) -> IniFile:
    """Read and parse a file. Raises ConfigError if it is missing, unreadable, no regular file, or no text."""
    try:
        if not path.is_file():
            raise ConfigError(f"{path}: is not a regular file, so it cannot be read as configuration")
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(data) > MAX_FILE:
        raise ConfigError(f"{path}: is larger than {MAX_FILE} bytes, which no configuration file is")
    if b"\0" in data:
        raise ConfigError(f"{path}: is not a text file (it holds NUL bytes)")
    return parse_ini(data, path)


def parse_ini(data: bytes, path: Path) -> IniFile:
    """Parse the bytes of a file. Bytes that are not UTF-8 become U+FFFD; outside comments they are reported."""
    parser = _Parser(str(path))
    text = data.decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        parser.feed(number, line)
    return IniFile(path, parser.finish(), tuple(parser.problems))


class _Parser:
    def __init__(self, file: str) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._sections: dict[str, dict[str, Value]] = {}
        self._headers: set[str] = set()
        self._section = ""
        self._condition = ""
        self._key = ""
        self._line = 0
        self._parts: list[str] = []
        self._indent = 0

    def feed(self, number: int, line: str) -> None:
        text = _COMMENT.sub("", line, count=1).strip()
        if not text:
            if self._key and not line.strip():
                self._parts.append("")
            return
        if "\ufffd" in text:
            self._report(number, "holds bytes that are not UTF-8")
        indent = len(line) - len(line.lstrip())
        if self._key and indent > self._indent:
            self._parts.append(text)
            return
        self._indent = indent
        header = _SECTION.match(text)
        if header:
            self._open(number, header["name"])
        elif not self._section:
            self._report(number, f"{text[:60]!r} stands before any [section] and is ignored")
        else:
            self._option(number, text)

    def finish(self) -> dict[str, dict[str, Value]]:
        self._store()
        return self._sections

    def _open(self, number: int, header: str) -> None:
        self._store()
        conditional = _CONDITIONAL.fullmatch(header)
        self._section = conditional["name"] if conditional else header
        self._condition = conditional["condition"] if conditional else ""
        if header in self._headers and header != "DEFAULT":
            self._report(number, f"section [{header}] appears twice in this file; both are read")
        self._headers.add(header)
        self._sections.setdefault(self._section, {})

    def _option(self, number: int, text: str) -> None:
        self._store()
        option = _OPTION.match(text)
        if option is None or not option["key"]:
            self._report(number, f"{text[:60]!r} is neither 'key = value' nor an indented continuation; it is ignored")
            return
        self._key, self._line, self._parts = option["key"].lower() + self._condition, number, [option["text"].strip()]

    def _store(self) -> None:
        if self._key:
            values = self._sections[self._section]
            if self._key in values:
                first = values[self._key].line
                self._report(self._line, f"was set in line {first} already; the last one counts", self._key)
            text = "\n".join(self._parts).rstrip()
            values[self._key] = Value(text, self._file, self._line, self._section, self._key)
        self._key = ""

    def _report(self, number: int, message: str, key: str = "") -> None:
        self.problems.append(Problem(message, self._file, number, self._section, key))
