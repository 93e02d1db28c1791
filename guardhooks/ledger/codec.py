"""What a ban carries besides its numbers, as JSON: matches, fields and notes, bounded in size."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Final, TypeAlias

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
