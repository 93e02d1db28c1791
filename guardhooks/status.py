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

from guardhooks.errors import StateError
from guardhooks.text import plural, safe_text

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
class PluginReport:
    """A plugin that is not asked, or that has failed.

    `state` is `disabled` (by the configuration), `refused` (it could not be loaded), `off` (it failed too often for
    `jail`, and is retried at `retry`) or `faults` (it has failed, and is still asked). `origin` is its distribution
    or file, `reason` and `place` (`file:line`) belong to the last fault. `last` and `retry` are epoch seconds.
    """

    name: str
    state: str
    origin: str = ""
    jail: str = ""
    reason: str = ""
    place: str = ""
    faults: int = 0
    last: float | None = None
    retry: float | None = None


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

    `faults` are those of plugins that are still asked; those of `plugins_off` stand in `problems`.
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
    faults: tuple[PluginReport, ...] = ()
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

    `problems` and `faults` belong to no single jail; `mended_by_reload` says that fixing the configuration and a reload
    help. `history_age` is how many seconds bans are remembered after their end.
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
    faults: tuple[PluginReport, ...] = ()
    history_age: float = 0.0


@dataclass(frozen=True, slots=True)
class Change:
    """What a reload did to one jail or plugin.

    `what` is `added`, `removed`, `changed` (what differs is in `detail`), `kept` (it cannot be loaded any more, for the
    reason in `detail`, and goes on as it was) or `broken` (it is new and cannot be loaded). `bans` were lifted.
    """

    name: str
    what: str
    detail: str = ""
    bans: int = 0


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """What a reload did. `actions` (`jail/action`) were started again; `problems` are what it could not do;
    `taken_back` was changed in the running guard, and stands in no file.
    """

    jails: tuple[Change, ...] = ()
    plugins: tuple[Change, ...] = ()
    actions: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    taken_back: tuple[RuntimeChange, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether everything that the configuration says is in use now."""
        return not self.problems and all(each.what not in {"kept", "broken"} for each in (*self.jails, *self.plugins))

    def lines(self) -> list[str]:
        """The report for people, one line each."""
        lines = [_change_line("jail", each) for each in self.jails]
        lines += [_change_line("plugin", each) for each in self.plugins]
        lines += [f"action started again: {action}" for action in self.actions]
        lines += [f"taken back, for no file says so: [{each.jail}] {each}" for each in self.taken_back]
        lines += [f"not done: {problem}" for problem in self.problems]
        return [safe_text(line) for line in lines] or ["nothing changed"]


def _change_line(noun: str, change: Change) -> str:
    bans = f", {plural(change.bans, 'ban')} lifted" if noun == "jail" and change.what == "removed" else ""
    detail = f" ({change.detail})" if change.detail and change.what == "changed" else ""
    words = {
        "kept": f"{noun} kept as it was: {change.name}: {change.detail}",
        "broken": f"{noun} not in use: {change.name}: {change.detail}",
    }
    return words.get(change.what, f"{noun} {change.what}: {change.name}{detail}{bans}")


def to_dict(value: Any) -> Any:  # noqa: ANN401 -- JSON-able values of any kind
    """A status as JSON-able values: dataclasses become objects, tuples lists."""
    kind: Any = type(value)
    if kind in _PLAIN:  # first, for nearly all values of a jail with many bans are plain
        return value
    if kind is tuple:
        return [to_dict(each) for each in value]
    return {name: to_dict(getattr(value, name)) for name in _names(kind)}


def from_dict(kind: type[_T], data: Mapping[str, Any]) -> _T:
    """The status that JSON values describe. Unknown keys are ignored, so that a client may be older than its daemon.

    :raises StateError: when they do not describe one: whoever answered is not a daemon of ours.
    """
    key: Any = kind  # mypy does not know that types are hashable
    try:
        values = {name: _read(hint, data[name]) for name, hint in _hints(key).items() if name in data}
        return kind(**values)
    except (TypeError, AttributeError, KeyError, IndexError) as error:
        raise StateError(f"the answer is not that of a guardhooks daemon: no {kind.__name__} in it") from error


def _read(hint: Any, value: Any) -> Any:  # noqa: ANN401 -- the annotation of a field, and a JSON value
    if isinstance(hint, tuple):
        if not isinstance(value, hint):
            raise TypeError
        return value
    if get_origin(hint) is not tuple:
        return from_dict(hint, value)
    each = get_args(hint)[0]
    if each not in _PLAIN:
        return tuple(from_dict(each, item) for item in value)
    if not isinstance(value, list) or not all(isinstance(item, each) for item in value):
        raise TypeError
    return tuple(value)


@cache
def _names(kind: Hashable) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cast("Any", kind)))


@cache
def _hints(kind: Hashable) -> dict[str, Any]:
    """The annotations of a dataclass by field; of plain values the types that they may have, as a tuple."""
    hints = get_type_hints(cast("Any", kind))
    return {name: _plain_types(hint) or hint for name, hint in hints.items()}


def _plain_types(hint: Any) -> tuple[type, ...]:  # noqa: ANN401 -- any annotation
    """JSON has one kind of number: an int stands for a float, too."""
    parts = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if not _PLAIN.issuperset(parts):
        return ()
    return (*parts, int) if float in parts else tuple(parts)
