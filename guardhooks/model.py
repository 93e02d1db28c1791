"""What passes between host and plugins: frozen, slotted dataclasses. (The workers that plugins return: `workers.py`.)

Times are seconds since the epoch, durations are seconds, both as float. An *id* is the text of what is banned: an
address (`192.0.2.1`, `2001:db8::1`), a prefix (`2001:db8::/64`) or any other text, always in canonical form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

PERMANENT: Final = math.inf
"""Length of a ban that never ends by itself (`bantime = -1`)."""

FieldValue: TypeAlias = str | tuple[str | None, ...] | None
Fields: TypeAlias = Mapping[str, FieldValue]
NO_OPTIONS: Final[Mapping[str, str]] = MappingProxyType({})
NO_FIELDS: Final[Fields] = MappingProxyType({})


def _no_options() -> Mapping[str, str]:
    return NO_OPTIONS


def _no_fields() -> Fields:
    return NO_FIELDS


# --- configuration ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the configuration or with a running part, and where.

    `fatal` problems keep the part they name from running; others leave it running but not whole. A `remark` is none of
    these: it tells how something was understood that is not written as it should be.
    """

    message: str
    file: str = ""
    line: int = 0
    section: str = ""
    key: str = ""
    fatal: bool = False
    remark: bool = False

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        option = f"[{self.section}] {self.key}".strip() if self.section else self.key
        return ": ".join(part for part in (place, option, self.message) if part)


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One `logpath` line (kind `file`) or one `journalmatch` (kind `journal`) of a jail.

    `text` is the line as written, without its position word; third-party sources recognise their own, for example
    `kafka://…`. `start` is `head` (catch up) or `tail` (only what comes from now on). `backend` is the jail's backend
    text: `auto`, `polling`, `pyinotify`, `systemd[…]`.
    """

    text: str
    kind: str = "file"
    start: str = "head"
    backend: str = "auto"


@dataclass(frozen=True, slots=True)
class FilterSpec:
    """A filter.d filter after interpolation and tag substitution, before its regexes are compiled.

    `failregex`, `ignoreregex` and `datepattern` hold one pattern each, in order; matching tags (`<HOST>`, `<F-USER>`)
    are still in them. `maxlines` is at least 1. `options` are the bracket options it was named with. `places` tells
    file and line where an option (`failregex`, …) begins, as far as it is written in a file; so, too, for `filter`,
    `logtimezone` and `logencoding` of the jail.
    """

    name: str
    prefregex: str = ""
    failregex: tuple[str, ...] = ()
    ignoreregex: tuple[str, ...] = ()
    datepattern: tuple[str, ...] = ()
    maxlines: int = 1
    journalmatch: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=_no_options)
    places: Mapping[str, tuple[str, int]] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One action of a jail.

    `name` is the action's name as written (`ipset`, `nftables-multiport`, `sendmail-whois`), `actname` its identity
    within the jail. `options` are the bracket options (with `name` = jail name unless given), `properties` what the
    `action.d` file defines: `[Init]` values, commands, conditional variants `key?family=inet6`. `file` is that file's
    path, empty where none was found and only a plugin can serve the action; `nearest` is then the known name that is
    most like this one, if any. `place` says where the jail names it: `file:line: [section] key`.
    """

    name: str
    actname: str
    options: Mapping[str, str] = field(default_factory=_no_options)
    properties: Mapping[str, str] = field(default_factory=_no_options)
    file: str = ""
    place: str = field(default="", compare=False)
    nearest: str = field(default="", compare=False)

    def get(self, key: str, default: str = "") -> str:
        """Value of `key`: bracket option first, then the action file's, then `default`."""
        if key in self.options:
            return self.options[key]
        return self.properties.get(key, default)


@dataclass(frozen=True, slots=True)
class Escalation:
    """`bantime.increment` and its parameters; see the `escalation` plugin. `formula` is kept as written."""

    factor: float = 1.0
    formula: str = ""
    multipliers: tuple[float, ...] = ()
    maxtime: float = PERMANENT
    rndtime: float = 0.0
    overalljails: bool = False


@dataclass(frozen=True, slots=True)
class Jail:
    """One enabled jail, validated. `options` holds every option of its section as text, for plugins' own keys.

    `bantime` is `PERMANENT` for -1. `ipv4prefix`/`ipv6prefix` say by which prefix length offenders are counted and
    banned. `plugins` are the jail's switches (`-NAME` off, `+NAME` on). `problems` make the jail *degraded*, `remarks`
    do not.
    """

    name: str
    filter: FilterSpec | None = None
    sources: tuple[SourceSpec, ...] = ()
    actions: tuple[ActionSpec, ...] = ()
    maxretry: int = 3
    maxmatches: int = 5
    findtime: float = 600.0
    bantime: float = 600.0
    escalation: Escalation | None = None
    ignoreip: tuple[str, ...] = ()
    ignoreself: bool = True
    ignorecommand: str = ""
    ignorecache: Mapping[str, str] = field(default_factory=_no_options)
    usedns: str = "warn"
    logencoding: str = "auto"
    logtimezone: str = ""
    ipv4prefix: int = 32
    ipv6prefix: int = 64
    plugins: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=_no_options)
    problems: tuple[Problem, ...] = ()
    remarks: tuple[Problem, ...] = ()


# --- the flow --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Position:
    """Where a source stands in one origin (a file, a journal). `cursor` is its own text, opaque to the host."""

    source: str
    origin: str
    cursor: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines of one origin, as bytes.

    Each line ends with a newline; a line longer than the source's limit is cut to its head. `position` resumes behind
    the last line; None where the source cannot resume. `received` is when they were read. `live` is False while the
    source still catches up with what was written before it started. `times` gives the time of each line where the
    source knows it (journal, syslog); else None and the lines carry their dates.
    """

    data: bytes
    origin: str
    received: float
    position: Position | None = None
    live: bool = True
    times: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """One matched event: somebody failed to log in, or misbehaved.

    `id` is whom it counts against, `address` the offender's single address (empty where only a text id is known),
    `time` when it happened. `matches` are the decoded log lines, `fields` all matched groups under lower-case names,
    `failregex` the index of the regex that hit. `resolve` is a host name that must be looked up before there is an
    id. `nofail` marks a helper line that is reported to testers only and never counts. `notes` is for enrichers
    (country, ASN): the one thing here that a plugin may change.
    """

    jail: str
    id: str
    time: float
    address: str = ""
    matches: tuple[str, ...] = ()
    fields: Fields = field(default_factory=_no_fields)
    failregex: int = -1
    resolve: str = ""
    nofail: bool = False
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ignore:
    """Answer of `on_failure` that drops a failure; `reason` is logged and shown (`ignoreip 192.0.2.0/24`)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ban:
    """`id` stays out of what `jail` protects from `start` for `length` seconds (`PERMANENT`: no end).

    `count` is 1 for the first ban of this id in this jail, 2 for the second, and so on. `restored` says that a restart
    put it back, so that no notification is sent twice. `not_in_force` is set only in what an action gets that notifies
    (`Outcome.notifies`): why the ban was decided but keeps nobody out; it gets the ban again when it is in force.
    """

    id: str
    jail: str
    start: float
    length: float
    count: int = 1
    failures: int = 0
    reason: str = ""
    matches: tuple[str, ...] = ()
    fields: Fields = field(default_factory=_no_fields)
    notes: Mapping[str, str] = field(default_factory=_no_options)
    restored: bool = False
    not_in_force: str = ""

    @property
    def end(self) -> float:
        """When the ban is over; `math.inf` for a permanent one."""
        return self.start + self.length

    def remaining(self, now: float) -> float:
        """Seconds left at `now`, 0.0 when over."""
        return max(0.0, self.end - now)


@dataclass(frozen=True, slots=True)
class Record:
    """What the ledger knows about an id when a failure of it has been counted.

    `times` are the failure times inside the jail's findtime window, oldest first, the present one included, at most
    `maxretry` of them. `failures` counts the failures since the last ban. `active` is the ban in force in this jail.
    `history` looks up all earlier bans of the id in all jails, oldest first, when it is called.
    """

    id: str
    times: Sequence[float] = ()
    failures: int = 0
    matches: tuple[str, ...] = ()
    active: Ban | None = None
    history: Callable[[], Sequence[Ban]] = tuple

    @property
    def bans(self) -> Sequence[Ban]:
        """All earlier bans of this id, in all jails, oldest first."""
        return self.history()


@dataclass(frozen=True, slots=True)
class Totals:
    """A jail in numbers: failures counted and bans made since the ledger began, ids with a window, ids banned now."""

    failures: int = 0
    tracked: int = 0
    bans: int = 0
    banned: int = 0


class Op(StrEnum):
    """What `execute_action` is asked to do."""

    START = "start"
    """Make ready and reconcile: afterwards exactly `bans` are in force, whatever was there before."""
    BAN = "ban"
    UNBAN = "unban"
    FLUSH = "flush"
    """Lift every ban of this action and remove what it built."""
    STOP = "stop"
    """The daemon ends; bans stay in force."""
    CHECK = "check"
    """Compare with `bans`, which should be in force, and repair what differs."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A fuller answer of `execute_action` than True: what differed and was repaired, and a note for `status`.

    `note` says in a few words what serves the action (`nftables: table inet guardhooks`), `warning` what will need
    attention though all is done (a set is nearly full). `problem` says which part does not work yet (a chain does not
    exist): the jail is degraded, and the action is checked again soon. `failed` names the ids of those bans of the call
    that could not be put in force, with the reason and the remedy of each: only they are shown as failing and
    retried, the others of the call are done. `found` are bans in force that were not among those asked for, to be taken
    into the ledger (for `start` and `check`; see `Guard.adopts`); `start` and `length` say what is left of each.
    `notifies` (for `start`) says that the action only reports and keeps nobody out: no ban waits for it, and it gets
    each later ban when all other actions of the jail have done it, or with `Ban.not_in_force` when one of them failed.
    """

    added: int = 0
    removed: int = 0
    note: str = ""
    warning: str = ""
    failed: Mapping[str, str] = field(default_factory=_no_options)
    found: tuple[Ban, ...] = ()
    problem: str = ""
    notifies: bool = False


# --- diagnosis --------------------------------------------------------------------------------------------------------


class Level(StrEnum):
    """What a finding means for the person who reads it."""

    GOOD = "good"
    """As it should be."""
    NOTE = "note"
    """Worth knowing; nothing is wrong."""
    BAD = "bad"
    """Something is wrong and needs to be fixed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `diagnose` found: a sentence without its full stop, and what to do about it.

    `blocks` is the conclusion about an address: True if this drops its packets, False if they get through, None
    where the finding does not decide that. Text of others in `text` must have passed `safe_text`.
    """

    text: str
    level: Level = Level.NOTE
    remedy: str = ""
    blocks: bool | None = None


# --- check ------------------------------------------------------------------------------------------------------------


class Severity(StrEnum):
    """How bad a finding of `guardhooks check` is."""

    ERROR = "error"
    """Something that the configuration asks for does not work."""
    WARNING = "warning"
    """It works, but hardly as it was meant."""
    NOTE = "note"
    """Worth knowing; does not count as a finding for the exit code."""


@dataclass(frozen=True, slots=True)
class ConfigFinding:
    """One cause that `guardhooks check` found, before anything runs.

    `what` is a sentence without its full stop and does not name the jail, so that one cause is told once for all
    `jails` that it touches. `why` says what follows from it, `remedy` what to do, `nearest` the right name where one
    was mistyped. Without a `file`, the place is that of the option `key` of the jail. Text of others must have passed
    `safe_text`.
    """

    what: str
    severity: Severity = Severity.WARNING
    why: str = ""
    remedy: str = ""
    nearest: str = ""
    key: str = ""
    file: str = ""
    line: int = 0
    jails: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """`file:line`, as far as it is known."""
        return f"{self.file}:{self.line}" if self.file and self.line else self.file
