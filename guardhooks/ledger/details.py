"""What a ban carries besides its numbers, as JSON: matches, fields and notes, bounded in size."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from guardhooks.model import NO_FIELDS, NO_OPTIONS, Ban, Fields, FieldValue

_TEXT_LIMIT: Final = 2048
_LINES_LIMIT: Final = 8192
_FIELDS_LIMIT: Final = 64
"""Characters of one line or value, characters of all match lines, number of fields and of notes."""

_encode: Final = json.JSONEncoder(check_circular=False).encode

Details: TypeAlias = tuple[tuple[str, ...], Fields, Mapping[str, str]]
NO_DETAILS: Final[Details] = ((), NO_FIELDS, NO_OPTIONS)


def encoded_details(ban: Ban) -> str:
    """Pack matches, fields and notes; empty where there are none. The text is ASCII, whatever they hold."""
    if not (ban.matches or ban.fields or ban.notes):
        return ""
    if len(ban.fields) <= _FIELDS_LIMIT and not ban.notes:
        packed = _encode([ban.matches, dict(ban.fields), {}])
        if len(packed) <= _TEXT_LIMIT:  # so is everything in it
            return packed
    fields = {name: _bounded(value) for name, value in islice(ban.fields.items(), _FIELDS_LIMIT)}
    notes = {name: _cut(str(value)) for name, value in islice(ban.notes.items(), _FIELDS_LIMIT)}
    return _encode([_last_lines(ban.matches), fields, notes])


def decoded_details(details: str) -> Details:
    """The reverse of `encoded_details`; values that were tuples are tuples again."""
    if not details:
        return NO_DETAILS
    matches, fields, notes = json.loads(details)
    values: Fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return tuple(matches), MappingProxyType(dict(values)), MappingProxyType(notes)


def _last_lines(lines: Sequence[str]) -> list[str]:
    kept: list[str] = []
    room = _LINES_LIMIT
    for line in map(_cut, reversed(lines)):
        room -= len(line)
        if room < 0:
            break
        kept.append(line)
    return kept[::-1]


def _bounded(value: FieldValue) -> FieldValue:
    if isinstance(value, tuple):
        return tuple(None if part is None else _cut(part) for part in value[:_FIELDS_LIMIT])
    return None if value is None else _cut(value)


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_LIMIT else text[: _TEXT_LIMIT - 1] + "…"


_NAMES: Final = tuple(field.name for field in fields(Ban))
_set: Final = object.__setattr__


class StoredBan(Ban):
    """Equal to the `Ban` with the same values. Details that are gone from the disk are empty.

    Comparing what is due with the kernel takes neither matches nor fields, and of 100,000 bans they would take 100 MB.
    """

    __slots__ = ("_details", "_number", "_read")

    _read: Callable[[int], Details]
    _number: int
    _details: Details | None

    def __new__(cls, *args: Any, **values: Any) -> Any:  # noqa: ANN401 -- for `dataclasses.replace`: a plain one
        return Ban(*args, **values)

    @staticmethod
    def made(  # noqa: PLR0917 -- a row
        id: str, jail: str, start: float, length: float, count: int, failures: int, reason: str, number: int,
        read: Callable[[int], Details], *, restored: bool,
    ) -> Ban:  # fmt: skip
        """With `read`, which gets the details of the ban of that number; it may be called in any thread."""
        ban: StoredBan = object.__new__(StoredBan)
        _set(ban, "id", id)
        _set(ban, "jail", jail)
        _set(ban, "start", start)
        _set(ban, "length", length)
        _set(ban, "count", count)
        _set(ban, "failures", failures)
        _set(ban, "reason", reason)
        _set(ban, "restored", restored)
        _set(ban, "_number", number)
        _set(ban, "_read", read)
        _set(ban, "_details", None)
        return ban

    @property
    def matches(self) -> tuple[str, ...]:
        return self._loaded()[0]

    @property
    def fields(self) -> Fields:
        return self._loaded()[1]

    @property
    def notes(self) -> Mapping[str, str]:
        return self._loaded()[2]

    def _loaded(self) -> Details:
        details = self._details
        if details is None:
            details = self._read(self._number)
            _set(self, "_details", details)
        return details

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ban) and all(getattr(self, name) == getattr(other, name) for name in _NAMES)

    __hash__ = Ban.__hash__
