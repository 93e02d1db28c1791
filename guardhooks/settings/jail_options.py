"""The options of a jail. A row here is all that it takes to have a key parsed, checked and documented."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Final

from guardhooks.errors import ConfigError
from guardhooks.model import NO_OPTIONS, PERMANENT, Jail
from guardhooks.settings.brackets import parse_brackets, parse_options
from guardhooks.settings.option import Option, OptionTable
from guardhooks.settings.option_types import (
    BOOLEAN,
    DURATION,
    TEXT,
    WORDS,
    OptionType,
    choice,
    comment_remark,
    duration,
    integer,
    number,
    render_duration,
    render_number,
    taken_as,
)
from guardhooks.settings.problems import did_you_mean, nearest_or_all
from guardhooks.settings.times import parse_duration, parse_number, without_comment

MAX_COUNT: Final = 1_000_000
"""The largest `maxretry` and `maxmatches`."""
MAX_LINES: Final = 10_000
"""The largest `maxlines`."""

_BACKENDS: Final = ("auto", "polling", "pyinotify", "systemd")
_FORMER_BACKENDS: Final = frozenset({"gamin"})
_DEFAULT: Final = Jail("")


# --- types that only jails have --------------------------------------------------------------------------------------


def _backend(text: str) -> str:
    name = parse_brackets(text)[0].lower() if text else "auto"
    if name in _FORMER_BACKENDS:
        return "auto"
    if name not in _BACKENDS:
        raise ConfigError(f"{text!r} is none of {', '.join(_BACKENDS)}{did_you_mean(name, _BACKENDS)}")
    return name + text[len(name) :]


def _ban_length(text: str) -> float:
    seconds = parse_duration(text)
    if seconds < 0:
        return PERMANENT
    return max(1.0, seconds) if seconds else 0.0


def _ban_length_remark(text: str) -> str:
    seconds = parse_duration(text)
    if seconds < 0 and seconds != -1:
        return taken_as(text, "-1 (permanent)")
    return taken_as(text, "1s, the shortest ban") if 0 < seconds < 1 else comment_remark(text)


def _render_ban_length(seconds: float) -> str:
    return "-1" if seconds == PERMANENT else render_duration(seconds)


def _max_ban_length(text: str) -> float:
    seconds = parse_duration(text) if text else 0.0
    return seconds if seconds > 0 else PERMANENT


def _render_max_ban_length(seconds: float) -> str:
    return "" if seconds == PERMANENT else render_duration(seconds)


def _max_ban_length_remark(text: str) -> str:
    if text and parse_duration(text) <= 0:
        return taken_as(text, "no limit; leave it empty for that")
    return comment_remark(text)


def _factor_remark(text: str) -> str:
    return "bans do not grow by a factor of 0 or below" if parse_number(text) <= 0 else comment_remark(text)


def _duration_or_empty(text: str) -> float:
    return duration().parse(text) if text else 0.0


def _multipliers(text: str) -> tuple[float, ...]:
    return tuple(parse_number(word) for word in without_comment(text).split())


def _encoding(text: str) -> str:
    try:
        known = text.lower() == "auto" or codecs.lookup(text) is not None
    except (LookupError, ValueError):
        known = False
    if not known:
        raise ConfigError(f"{text!r} is not a text encoding; use auto, utf-8, latin-1 …")
    return text.lower() if text.lower() == "auto" else text


def _ignorecache(text: str) -> Mapping[str, str]:
    cache = parse_options(text)
    names = [option.name for option in IGNORECACHE_TABLE]
    unknown = next((name for name in cache if name not in names), "")
    if unknown:
        raise ConfigError(f"there is no option {unknown!r} here{nearest_or_all(unknown, names)}")
    if cache and "key" not in cache:
        raise ConfigError(f'{text!r} lacks its key, as in key="<ip>", max-count=100, max-time=5m')
    for option in IGNORECACHE_TABLE:
        if option.name in cache:
            option.parse(cache[option.name])
    return cache


def _ignorecache_remark(text: str) -> str:
    cache = parse_options(text)
    found = ((option, option.remark(cache[option.name])) for option in IGNORECACHE_TABLE if option.name in cache)
    return "; ".join(f"{option.name}: {remark}" for option, remark in found if remark)


def _render_ignorecache(cache: Mapping[str, str]) -> str:
    return ", ".join(f'{name}="{text}"' for name, text in cache.items())


def _switches(text: str) -> tuple[str, ...]:
    words = WORDS.parse(text)
    wrong = next((word for word in words if word[0] not in "+-" or len(word) == 1), None)
    if wrong:
        raise ConfigError(f"{wrong!r} is neither -NAME (off) nor +NAME (on)")
    return words


_BACKEND: Final = OptionType(", ".join(f"`{name}`" for name in _BACKENDS), _backend)
_BAN_LENGTH: Final = OptionType(
    "a time of at least 1s, -1 (permanent), or 0 (nobody is banned)",
    _ban_length,
    _render_ban_length,
    _ban_length_remark,
)
_MAX_BAN_LENGTH: Final = OptionType(
    "a time greater than 0, or empty", _max_ban_length, _render_max_ban_length, _max_ban_length_remark
)
_DURATION_OR_EMPTY: Final = OptionType(
    "a time, or empty", _duration_or_empty, render_duration, lambda text: duration().remark(text) if text else ""
)
_FACTOR: Final = OptionType(number().description, number().parse, render_number, _factor_remark)
_MULTIPLIERS: Final = OptionType(
    "numbers separated by blanks",
    _multipliers,
    lambda numbers: " ".join(map(render_number, numbers)),
    comment_remark,
)
_ENCODING: Final = OptionType("`auto`, or a name such as `utf-8`", _encoding)
_SWITCHES: Final = OptionType("`-NAME` and `+NAME`", _switches, " ".join)

# --- the jail itself -------------------------------------------------------------------------------------------------

ENABLED: Final = Option("enabled", BOOLEAN, False, "whether the jail runs")
FILTER: Final = Option(
    "filter", TEXT, "", "the filter, from `filter.d/`, with options in brackets: `sshd[mode=aggressive]`"
)
ACTION: Final = Option(
    "action", TEXT, "", "what is done with bans: one or more actions, each with options in brackets"
)  # fmt: skip

# --- where lines come from -------------------------------------------------------------------------------------------

LOGPATH: Final = Option(
    "logpath", TEXT, "", "log files, one pattern a line; `head` or `tail` after it says where to begin"
)
BACKEND: Final = Option(
    "backend", _BACKEND, "auto", "how lines are read: files as they change, files by polling, or the systemd journal"
)
SYSTEMD_IF_NOLOGS: Final = Option(
    "systemd_if_nologs", BOOLEAN, True, "read the journal by `journalmatch` where none of the log files exists"
)
SKIP_IF_NOLOGS: Final = Option(
    "skip_if_nologs", BOOLEAN, False, "accepted for fail2ban's sake: a jail waits for its log, however late it appears"
)
LOGENCODING: Final = Option("logencoding", _ENCODING, _DEFAULT.logencoding, "the text encoding of the log files")
LOGTIMEZONE: Final = Option(
    "logtimezone", TEXT, "", "the time zone of dates in the log that name none", default_text="the system's"
)

# --- who is banned, and for how long ---------------------------------------------------------------------------------

MAXRETRY: Final = Option(
    "maxretry", integer(1, MAX_COUNT), _DEFAULT.maxretry, "failures within `findtime` that lead to a ban"
)
FINDTIME: Final = Option("findtime", DURATION, _DEFAULT.findtime, "the time within which failures count")
BANTIME: Final = Option("bantime", _BAN_LENGTH, _DEFAULT.bantime, "how long a ban lasts")
MAXMATCHES: Final = Option(
    "maxmatches",
    integer(0, MAX_COUNT, below=1),
    _DEFAULT.maxmatches,
    "log lines that are kept with a ban, to show its cause",
)
INCREMENT: Final = Option("bantime.increment", BOOLEAN, False, "whether further bans of the same offender last longer")
FACTOR: Final = Option("bantime.factor", _FACTOR, 1.0, "the factor by which ban times grow")
FORMULA: Final = Option("bantime.formula", TEXT, "", "a formula for the ban time in place of doubling")
MULTIPLIERS: Final = Option(
    "bantime.multipliers",
    _MULTIPLIERS,
    (),
    "multiples of `bantime` for the first, second, … ban, in place of the formula",
)
MAXTIME: Final = Option(
    "bantime.maxtime", _MAX_BAN_LENGTH, PERMANENT, "the longest ban that increments lead to", default_text="no limit"
)
RNDTIME: Final = Option("bantime.rndtime", _DURATION_OR_EMPTY, 0.0, "the longest random time that is added to a ban")
OVERALLJAILS: Final = Option("bantime.overalljails", BOOLEAN, False, "whether bans in other jails count as well")
IPV4PREFIX: Final = Option(
    "ipv4prefix",
    integer(0, 32, nearest=False),
    _DEFAULT.ipv4prefix,
    "the prefix length by which IPv4 offenders are counted and banned",
)
IPV6PREFIX: Final = Option("ipv6prefix", integer(0, 128, nearest=False), _DEFAULT.ipv6prefix, "the same for IPv6")

# --- who is never banned ---------------------------------------------------------------------------------------------

IGNOREIP: Final = Option(
    "ignoreip", WORDS, (), "addresses, networks, host names and `file:/path` lists that are never banned"
)  # fmt: skip
IGNORESELF: Final = Option(
    "ignoreself", BOOLEAN, _DEFAULT.ignoreself, "whether this machine's own addresses are never banned"
)
IGNORECOMMAND: Final = Option(
    "ignorecommand", TEXT, "", "a command that is run for each failure; exit status 0 means that it does not count"
)  # fmt: skip
IGNORECACHE_TABLE: Final = OptionTable(
    "ignorecache",
    (
        Option("key", TEXT, "", "what the answer depends on: `<ip>`, or other tags"),
        Option("max-count", integer(1, MAX_COUNT), 100, "how many answers are kept"),
        Option("max-time", duration(), 300.0, "how long an answer is kept"),
    ),
    title="List in `ignorecache`",
)
IGNORECACHE: Final = Option(
    "ignorecache",
    OptionType(
        'a list such as `key="<ip>", max-count=100, max-time=5m`',
        _ignorecache,
        _render_ignorecache,
        _ignorecache_remark,
    ),
    NO_OPTIONS,
    "for how long answers of `ignorecommand` are remembered",
)
USEDNS: Final = Option(
    "usedns",
    choice("yes", "warn", "no", "raw"),
    _DEFAULT.usedns,
    "whether host names that stand for an address are looked up, ignored, or banned as they are (`raw`)",
)

# --- what a filter says as well --------------------------------------------------------------------------------------

PREFREGEX: Final = Option(
    "prefregex", TEXT, "", "a regex that lines must match first; `<F-CONTENT>` is what the others see"
)
FAILREGEX: Final = Option("failregex", TEXT, "", "regexes of lines that are failures, one a line")
IGNOREREGEX: Final = Option("ignoreregex", TEXT, "", "regexes of lines that are no failures, one a line")
MAXLINES: Final = Option("maxlines", integer(1, MAX_LINES), 1, "how many lines are matched together")
DATEPATTERN: Final = Option("datepattern", TEXT, "", "how dates are written", default_text="found out")
JOURNALMATCH: Final = Option("journalmatch", TEXT, "", "which entries of the journal are read")
LOGTYPE: Final = Option(
    "logtype",
    TEXT,
    "file",
    "the layout of the prefix of lines, for filters that use `common.conf`: `file`, `short`, `journal`",
    default_text="`file` or `journal`, as the jail reads",
)
MODE: Final = Option("mode", TEXT, "", "which rules apply, for filters that have modes", default_text="the filter's")

PLUGINS: Final = Option("plugins", _SWITCHES, (), "plugins that are off (`-NAME`) or on (`+NAME`) for this jail")

FILTER_OPTIONS: Final = (PREFREGEX, FAILREGEX, IGNOREREGEX, MAXLINES, DATEPATTERN, JOURNALMATCH)
"""What a filter says; a jail may say it instead. (`usedns` too, but that is the jail's to hold.)"""

FAIL2BAN_TABLE: Final = OptionTable(
    "jail",
    (
        ENABLED, FILTER, ACTION, LOGPATH, BACKEND, SYSTEMD_IF_NOLOGS, SKIP_IF_NOLOGS, LOGENCODING, LOGTIMEZONE,
        MAXRETRY, FINDTIME, BANTIME, MAXMATCHES, INCREMENT, FACTOR, FORMULA, MULTIPLIERS, MAXTIME, RNDTIME,
        OVERALLJAILS, IGNOREIP, IGNORESELF, IGNORECOMMAND, IGNORECACHE, USEDNS, *FILTER_OPTIONS,
    ),
    title="Jails",
)  # fmt: skip
"""The options of fail2ban's dialect; action files may refer to them."""

OWN_TABLE: Final = OptionTable("jail", (IPV4PREFIX, IPV6PREFIX, PLUGINS), title="Jails: what guardhooks adds")

FILTER_TABLE: Final = OptionTable("filter", (*FILTER_OPTIONS, USEDNS, LOGTYPE, MODE), title="Brackets of every filter")

VARIABLES_TABLE: Final = OptionTable(
    "jail",
    tuple(
        Option(name, TEXT, "", meaning)
        for name, meaning in {
            "port": "the ports that actions close",
            "protocol": "the protocol of these ports",
            "chain": "the chain that rules go to",
            "banaction": "the action that `action_` bans with",
            "banaction_allports": "the same for jails that close every port",
            "action_": "the action that bans, made of the above",
            "blocktype": "what happens to packets of the banned",
            "returntype": "what happens to all other packets",
            "mode": "the mode that `filter` passes on",
            "destemail": "the recipient of mail about bans",
            "sender": "the sender of mail about bans",
            "mta": "the mail action: `sendmail` or `mail`",
            "fail2ban_agent": "how reporting actions introduce themselves",
            "tcpport": "ports for actions that name TCP apart",
            "udpport": "ports for actions that name UDP apart",
            "name": "the name that actions act under",
        }.items()
    ),
    title="Jails: variables that `action` and `filter` refer to",
)
"""Names that configurations usually set, used or not; they are not typing errors."""
