"""The state of a guard as plain values: what `status` shows, and what its JSON says under the same names.

`engine/status.py` builds it, the control socket carries it (`to_dict`), the client reads it back (`from_dict`). A new
field is added here and filled there.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, cast, get_args, get_origin, get_type_hints

_T = TypeVar("_T")
_PLAIN: Final = frozenset({str, int, float, bool, NoneType})


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """State of a source: `waiting` (nothing there yet), `catching up`, `reading`, `polling`, `failed`.

    `label` is what people call the source (a path as in `logpath`, a journal match); empty: they see its key.
    `position` says how far it was read, in the source's own terms; `unread` is the number of bytes that wait, None if
    unknown.

    The host adds the rest: `lines` read and failures `matched` since the source was opened (of one jail in the status
    of a jail), `last_line`, the date of the last line (seconds since the epoch, None if it has none), and `lag`, how
    many seconds old that line was when it was read.
    """

    key: str
    state: str
    detail: str = ""
    origins: tuple[str, ...] = ()
    label: str = ""
    position: str = ""
    unread: int | None = None
    lines: int = 0
    matched: int = 0
    last_line: float | None = None
    lag: float | None = None


@dataclass(frozen=True, slots=True)
class FailureCounts:
    """`tracked` offenders have failures within findtime; `total` failures were counted since the ledger began."""

    tracked: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class BanCounts:
    """Bans in force, bans that an action could not put in force, bans made since the ledger began."""

    current: int = 0
    failing: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class ActionStatus:
    """One action of one jail.

    `state` is `starting`, `active`, `failing` or `unserved` (no plugin handles it). `note` says what serves it,
    `reason` why it fails, `warning` what will need attention soon. `failing` bans could not be put in force, `repairs`
    counts checks that found a difference.
    """

    name: str
    actname: str
    state: str
    note: str = ""
    reason: str = ""
    warning: str = ""
    failing: int = 0
    repairs: int = 0


@dataclass(frozen=True, slots=True)
class BanStatus:
    """One ban. Times are seconds since the epoch; `end` and `remaining` seconds are None for a permanent ban.

    `state` is `active`, `pending` or `failing`, `problem` why it is failing.
    """

    id: str
    start: float
    end: float | None
    remaining: float | None
    count: int = 1
    failures: int = 0
    reason: str = ""
    matches: tuple[str, ...] = ()
    state: str = "active"
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RuntimeChange:
    """What was changed in the running guard and stands in no file; a reload takes it back.

    `key` is an option of the jail, `action.NAME.PROPERTY`, or empty where the jail as a whole was `paused` or
    `stopped` (`value`). `former` is the value before, as text. `uid` is the user who did it, None inside the guard's
    own process. `since` and `until` are seconds since the epoch; without `until` it lasts until the next reload.
    """

    jail: str
    key: str
    value: str
    former: str = ""
    uid: int | None = None
    since: float = 0.0
    until: float | None = None

    def __str__(self) -> str:
        return f"{self.key} = {self.value}" if self.key else self.value


@dataclass(frozen=True, slots=True)
class JailStatus:
    """One jail. `state` is `running`, `degraded` (a part of it does not work), `broken` (it does not run), `paused`
    (its logs are not read) or `stopped` (somebody stopped it). `changes` were made in the running guard.
    """

    name: str
    state: str
    filter: str = ""
    sources: tuple[SourceStatus, ...] = ()
    failures: FailureCounts = FailureCounts()
    bans: BanCounts = BanCounts()
    actions: tuple[ActionStatus, ...] = ()
    problems: tuple[str, ...] = ()
    plugins_off: tuple[str, ...] = ()
    changes: tuple[RuntimeChange, ...] = ()


@dataclass(frozen=True, slots=True)
class JailDetails(JailStatus):
    """One jail with its limits and its bans. `findtime` and `bantime` are seconds, a `bantime` of None is permanent."""

    maxretry: int = 0
    findtime: float = 0.0
    bantime: float | None = None
    banned: tuple[BanStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class GuardStatus:
    """The whole guard. `config` and `state` are its folders, `started` and `configured`, when the
    configuration was last read, are seconds since the epoch.

    `history_age` is how many seconds bans are remembered after their end. `problems` belong to no single jail;
    `mended_by_reload` says that fixing the configuration and a reload help.
    """

    version: str
    pid: int
    config: str
    started: float
    state: str | None = None
    observing: bool = False
    jails: tuple[JailStatus, ...] = ()
    problems: tuple[str, ...] = ()
    mended_by_reload: bool = False
    configured: float = 0.0
    history_age: float = 0.0


def to_dict(value: Any) -> Any:  # noqa: ANN401 -- JSON-able values of any kind
    """A status as JSON-able values: dataclasses become objects, tuples lists."""
    kind: Any = type(value)
    if kind in _PLAIN:  # first, for nearly all values of a jail with many bans are plain
        return value
    if kind is tuple:
        return [to_dict(each) for each in value]
    return {name: to_dict(getattr(value, name)) for name in _names(kind)}


def from_dict(kind: type[_T], data: Mapping[str, Any]) -> _T:
    """The status that JSON values describe. Unknown keys are ignored, so that a client may be older than its daemon."""
    key: Any = kind  # mypy does not know that types are hashable
    values = {
        name: data[name] if hint is None else _read(hint, data[name])
        for name, hint in _hints(key).items()
        if name in data
    }
    return kind(**values)


def _read(hint: Any, value: Any) -> Any:  # noqa: ANN401 -- the annotation of a field, and a JSON value
    if get_origin(hint) is not tuple:
        return from_dict(hint, value)
    each = get_args(hint)[0]
    return tuple(value) if each in _PLAIN else tuple(from_dict(each, item) for item in value)


@cache
def _names(kind: Hashable) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cast("Any", kind)))


@cache
def _hints(kind: Hashable) -> dict[str, Any]:
    """The annotations of a dataclass by field; None for those whose JSON value is taken as it is."""
    hints = get_type_hints(cast("Any", kind))
    return {name: None if hint in _PLAIN or isinstance(hint, UnionType) else hint for name, hint in hints.items()}
