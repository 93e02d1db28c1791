"""What may cross from a plugin into the host: every value is checked whole, once, before anything is done with it.

A check says what is wrong as the end of a sentence ("Ban.length is '1h', not a number"), empty if nothing is.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from guardhooks.errors import GuardhooksError, PluginError
from guardhooks.findings import Findings
from guardhooks.model import (
    Ban,
    Chunk,
    ConfigFinding,
    Failure,
    Finding,
    Ignore,
    Level,
    Outcome,
    Position,
    Problem,
    Severity,
)
from guardhooks.settings.option import OptionTable
from guardhooks.status import SourceStatus
from guardhooks.text import safe_text

EARLIEST: Final = -62_135_596_800.0
"""The year 1, in epoch seconds: what cannot be shown as a date is not a time."""
LATEST: Final = 253_402_300_799.0
"""The end of the year 9999."""
_LARGEST: Final = 2**63 - 1
"""Of SQLite's integers."""
_SHOWN: Final = 60
"""Characters of a wrong value that a message shows."""


class _Check(NamedTuple):
    allows: Callable[[Any], bool]
    wanted: str


def shown(value: object) -> str:
    """A value for a message, whatever its `__repr__` does."""
    try:
        return safe_text(repr(value), _SHOWN)
    except BaseException:  # noqa: BLE001 -- the plugin boundary: `__repr__` is a plugin's code
        return f"a {type(value).__name__}"


def described(error: BaseException) -> str:
    """Type and text of a plugin's exception, whatever its `__str__` does; what is meant for users is its text alone."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 -- the plugin boundary: `__str__` is a plugin's code
        return f"{type(error).__name__} (whose text cannot be read: its __str__ raises)"
    if text and isinstance(error, GuardhooksError) and not isinstance(error, PluginError):
        return safe_text(text)
    return safe_text(f"{type(error).__name__}: {text}" if text else type(error).__name__)


# --- single values ---------------------------------------------------------------------------------------------------


def _is_text(value: object) -> bool:
    """Text that can be written to a file: not one half of a surrogate pair."""
    if not isinstance(value, str):
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def is_time(value: object) -> bool:
    """Whether this is a time that can be shown as a date, in epoch seconds."""
    return isinstance(value, (int, float)) and EARLIEST <= value <= LATEST


def _is_field(value: object) -> bool:
    return value is None or isinstance(value, str) or (isinstance(value, tuple) and all(map(_is_part, value)))


def _is_part(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_mapping(value: object, allows: Callable[[Any], bool]) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) and allows(each) for key, each in value.items())


def is_address(text: str) -> bool:
    """Whether this is a single address."""
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, ValueError):
        return False
    return True


def _tuple_of(allows: Callable[[Any], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, tuple) and all(map(allows, value))


_TEXT: Final = _Check(_is_text, "text")
_NAME: Final = _Check(lambda value: _is_text(value) and bool(value.strip()), "text that is not empty")
_TIME: Final = _Check(is_time, "a time in epoch seconds")
_TIME_OR_NONE: Final = _Check(lambda value: value is None or is_time(value), "a time in epoch seconds, or None")
_LENGTH: Final = _Check(_is_number, "a number of seconds")
_COUNT: Final = _Check(lambda value: isinstance(value, int) and -1 <= value <= _LARGEST, "a count")
_COUNT_OR_NONE: Final = _Check(lambda value: value is None or _COUNT.allows(value), "a count, or None")
_FLAG: Final = _Check(lambda value: isinstance(value, bool), "True or False")
_LINES: Final = _Check(_tuple_of(lambda value: isinstance(value, str)), "a tuple of texts")
_FIELDS: Final = _Check(lambda value: _is_mapping(value, _is_field), "a mapping from text to text")
_NOTES: Final = _Check(lambda value: _is_mapping(value, lambda each: isinstance(each, str)), _FIELDS.wanted)
_ADDRESS: Final = _Check(lambda value: value == "" or (isinstance(value, str) and is_address(value)), "an address")

_TEXTS: Final = frozenset({str})
_PLAIN_FIELDS: Final = frozenset({str, type(None)})

_FIELD_CHECKS: Final[Mapping[type, Mapping[str, _Check]]] = {
    Ban: {
        "id": _NAME, "jail": _NAME, "start": _TIME, "length": _LENGTH, "count": _COUNT, "failures": _COUNT,
        "reason": _TEXT, "matches": _LINES, "fields": _FIELDS, "notes": _NOTES, "restored": _FLAG,
    },
    Failure: {
        "jail": _NAME, "id": _TEXT, "time": _TIME, "address": _ADDRESS, "matches": _LINES, "fields": _FIELDS,
        "failregex": _COUNT, "resolve": _TEXT, "nofail": _FLAG,
        "notes": _Check(lambda value: isinstance(value, dict) and _NOTES.allows(value), "a dict of texts"),
    },
    Ignore: {"reason": _TEXT},
    Outcome: {
        "added": _COUNT, "removed": _COUNT, "note": _TEXT, "warning": _TEXT, "failed": _NOTES,
        "found": _Check(lambda value: isinstance(value, tuple), "a tuple of Bans"), "problem": _TEXT,
    },
    Finding: {
        "text": _TEXT, "level": _Check(lambda value: isinstance(value, Level), "a Level"), "remedy": _TEXT,
        "blocks": _Check(lambda value: value is None or isinstance(value, bool), "True, False or None"),
    },
    ConfigFinding: {
        "what": _TEXT, "severity": _Check(lambda value: isinstance(value, Severity), "a Severity"), "why": _TEXT,
        "remedy": _TEXT, "nearest": _TEXT, "key": _TEXT, "file": _TEXT, "line": _COUNT, "jails": _LINES,
    },
    Problem: {"message": _TEXT, "file": _TEXT, "line": _COUNT, "section": _TEXT, "key": _TEXT, "fatal": _FLAG},
    Position: {"source": _TEXT, "origin": _TEXT, "cursor": _TEXT},
    Chunk: {
        "data": _Check(lambda value: isinstance(value, bytes), "bytes"), "origin": _TEXT, "received": _TIME,
        "position": _Check(lambda value: value is None or isinstance(value, Position), "a Position or None"),
        "live": _FLAG,
        "times": _Check(lambda value: value is None or _tuple_of(is_time)(value), "a tuple of times, or None"),
    },
    SourceStatus: {
        "key": _TEXT, "state": _TEXT, "detail": _TEXT, "origins": _LINES, "label": _TEXT, "position": _TEXT,
        "unread": _COUNT_OR_NONE, "lines": _COUNT, "matched": _COUNT, "last_line": _TIME_OR_NONE,
        "lag": _Check(lambda value: value is None or _is_number(value), "a number or None"),
    },
    OptionTable: {"place": _TEXT, "options": _Check(lambda value: isinstance(value, tuple), "a tuple of Options")},
}  # fmt: skip


# --- whole values ----------------------------------------------------------------------------------------------------


def defect(value: object, expected: type) -> str:
    """What is wrong with a value that must be an `expected`. Never raises."""
    try:
        return "" if expected is Ban and _is_plain_ban(value) else _defect(value, expected)
    except BaseException as error:  # noqa: BLE001 -- the plugin boundary: the value may run a plugin's code
        return f"{expected.__name__} cannot be read: {described(error)}"


def _defect(value: object, expected: type) -> str:
    if not isinstance(value, expected):
        return f"{type(value).__name__}; the hook allows {expected.__name__}"
    for name, check in _FIELD_CHECKS.get(expected, {}).items():
        field = getattr(value, name)
        if not check.allows(field):
            return f"{expected.__name__}.{name} is {shown(field)}, not {check.wanted}"
    return _contradiction(value)


def _contradiction(value: object) -> str:
    """What is wrong though each field by itself may be right."""
    if isinstance(value, Failure) and not (value.id.strip() or value.resolve or value.nofail):
        return "Failure.id is empty"
    if isinstance(value, Chunk):
        if value.position is not None and (wrong := _defect(value.position, Position)):
            return wrong
        lines = value.data.count(b"\n") + (not value.data.endswith(b"\n")) if value.data else 0
        if value.times is not None and len(value.times) < lines:
            return f"Chunk.times has {len(value.times)} times for {lines} lines"
    return ""


def check(value: object, expected: type) -> None:
    """:raises PluginError: saying what is wrong with a plugin's answer."""
    if wrong := defect(value, expected):
        raise PluginError(f"it returned {wrong}")


def sound(values: Sequence[object], expected: type) -> tuple[list[Any], str]:
    """The values that are right, and what is wrong with the first of the others; empty if there are none."""
    right, wrong = list[Any](), ""
    for value in values:
        if found := defect(value, expected):
            wrong = wrong or found
        else:
            right.append(value)
    return right, wrong


def sound_failures(found: Sequence[Failure], jails: Collection[str]) -> tuple[list[Failure], str]:
    """As `sound`, for what a matcher that serves `jails` has found; nearly all of it is right and looked at quickly."""
    right, wrong = list[Failure](), ""
    for failure in found:
        try:
            is_right = _is_plain(failure) and failure.jail in jails
        except Exception:  # noqa: BLE001 -- the plugin boundary; `defect` says what it is
            is_right = False
        if is_right:
            right.append(failure)
        else:
            wrong = wrong or _failure_defect(failure, jails)
            if not wrong:
                right.append(failure)
    return right, wrong


def check_columns(found: Findings, jails: Collection[str]) -> None:
    """The columns of what a matcher that serves `jails` has found; a `Failure` is checked when it is made.

    :raises PluginError: saying what is wrong.
    """
    if not len(found):
        return
    if others := set(found.jails) - set(jails):
        raise PluginError(f"it returned a failure of jail {shown(others.pop())}, which it does not serve")
    if {*map(type, found.ids), *map(type, found.addresses)} != {str}:
        raise PluginError("it returned ids or addresses that are not text")
    times = found.times
    if not all(map(is_time, (min(times), max(times), sum(times) / len(times)))):
        raise PluginError("it returned times that are not epoch seconds")
    if not all(found.ids) and {row for row, id in enumerate(found.ids) if not id} - set(found.unresolved):
        raise PluginError("it returned a failure without an id")


def _is_plain(failure: Failure) -> bool:
    return (
        type(failure) is Failure
        and type(failure.id) is str
        and failure.id.isascii()
        and type(failure.time) is float
        and EARLIEST <= failure.time <= LATEST
        and type(failure.address) is str
        and (not failure.address or is_address(failure.address))
        and type(failure.matches) is tuple
        and _TEXTS.issuperset(map(type, failure.matches))
        and _PLAIN_FIELDS.issuperset(map(type, failure.fields.values()))
        and type(failure.resolve) is str
        and bool(failure.id or failure.resolve or failure.nofail)
        and type(failure.notes) is dict
        and not failure.notes
    )


def _is_plain_ban(ban: Any) -> bool:  # noqa: ANN401 -- whatever a plugin returned
    """Whether a ban is one of those that all are like: quickly seen to be right."""
    return (
        type(ban) is Ban
        and type(ban.id) is str
        and ban.id.isascii()
        and ban.id.strip() != ""
        and type(ban.jail) is str
        and ban.jail.isascii()
        and ban.jail != ""
        and type(ban.start) is float
        and EARLIEST <= ban.start <= LATEST
        and type(ban.length) is float
        and ban.length == ban.length
        and type(ban.count) is int
        and 0 <= ban.count <= _LARGEST
        and type(ban.failures) is int
        and 0 <= ban.failures <= _LARGEST
        and type(ban.reason) is str
        and ban.reason.isascii()
        and type(ban.restored) is bool
        and type(ban.matches) is tuple
        and _TEXTS.issuperset(map(type, ban.matches))
        and _TEXTS.issuperset(map(type, ban.fields))
        and _PLAIN_FIELDS.issuperset(map(type, ban.fields.values()))
        and not ban.notes
    )


def _failure_defect(failure: object, jails: Collection[str]) -> str:
    if wrong := defect(failure, Failure):
        return wrong
    assert isinstance(failure, Failure)
    return "" if failure.jail in jails else f"Failure.jail is {shown(failure.jail)}, a jail that it does not serve"
