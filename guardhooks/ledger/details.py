"""The details of a ban: its matches, fields and notes, packed as JSON of bounded size, and read only when needed.

`StoredBan` is the ban that reads them: of 100,000 bans they would take 100 MB, and most readers need none of them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from guardhooks.model import NO_FIELDS, NO_OPTIONS, Ban, Fields, FieldValue

Details: TypeAlias = tuple[tuple[str, ...], Fields, Mapping[str, str]]
"""Matches, fields, notes."""
NO_DETAILS: Final[Details] = ((), NO_FIELDS, NO_OPTIONS)

_TEXT_LIMIT: Final = 2048
"""Characters of one line or value."""
_LINES_LIMIT: Final = 8192
"""Characters of all match lines."""
_FIELDS_LIMIT: Final = 64
"""Number of fields, and of notes."""

logger = logging.getLogger("guardhooks.ledger")
_encode: Final = json.JSONEncoder(check_circular=False).encode
_set: Final = object.__setattr__
"""How a frozen dataclass is filled."""
_NAMES: Final = tuple(field.name for field in fields(Ban))


# --- packed ----------------------------------------------------------------------------------------------------------


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
    """The reverse of `encoded_details`; values that were tuples are tuples again.

    Damaged ones are told in the log and left out: the ban counts without them.
    """
    if not details:
        return NO_DETAILS
    try:
        return _decoded(details)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        logger.error("the lines and fields of a ban are damaged in the ledger, the ban counts without them: %s", error)
        return NO_DETAILS


def _decoded(details: str) -> Details:
    matches, fields, notes = json.loads(details)
    values: Fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    if not all(isinstance(line, str) for line in matches) or not all(isinstance(note, str) for note in notes.values()):
        raise TypeError("a line or note is not text")
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


# --- read only when needed -------------------------------------------------------------------------------------------


class StoredBan(Ban):
    """A ban whose details are read from disk when somebody asks for them; those that are gone by then are empty.

    Equal to the `Ban` with the same values.
    """

    __slots__ = ("_details", "_number", "_read")

    _read: Callable[[int], Details]
    _number: int
    _details: Details | None

    def __new__(cls, *args: Any, **values: Any) -> Any:  # noqa: ANN401 -- for `dataclasses.replace`: a plain one
        return Ban(*args, **values)

    @staticmethod
    def create(  # noqa: PLR0917 -- a row
        id: str, jail: str, start: float, length: float, count: int, failures: int, reason: str, number: int,
        read: Callable[[int], Details], *, restored: bool,
    ) -> Ban:  # fmt: skip
        """`read` reads the details of the ban with this number; it may be called in any thread."""
        ban: StoredBan = object.__new__(StoredBan)
        _set(ban, "id", id)
        _set(ban, "jail", jail)
        _set(ban, "start", start)
        _set(ban, "length", length)
        _set(ban, "count", count)
        _set(ban, "failures", failures)
        _set(ban, "reason", reason)
        _set(ban, "restored", restored)
        _set(ban, "not_in_force", "")
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
