"""The options of a jail: which there are, and a reader that turns texts into values and collects what is wrong."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from guardhooks.errors import ConfigError
from guardhooks.model import PERMANENT, Problem
from guardhooks.settings.ini import Value
from guardhooks.settings.interpolation import Scope
from guardhooks.settings.merged import MergedConfig
from guardhooks.settings.problems import as_problem, did_you_mean, problem_at
from guardhooks.settings.times import parse_duration

T = TypeVar("T")

RECOGNISED: Final = frozenset(
    {
        "enabled", "filter", "backend", "action", "logpath", "skip_if_nologs", "systemd_if_nologs", "maxretry",
        "maxmatches", "findtime", "bantime", "bantime.increment", "bantime.factor", "bantime.formula",
        "bantime.multipliers", "bantime.maxtime", "bantime.rndtime", "bantime.overalljails", "usedns", "ignoreself",
        "ignoreip", "ignorecommand", "ignorecache", "logencoding", "logtimezone", "prefregex", "failregex",
        "ignoreregex", "maxlines", "datepattern", "journalmatch",
    }
)  # fmt: skip
"""The options of fail2ban's dialect; action files may refer to them."""

OWN: Final = frozenset({"ipv4prefix", "ipv6prefix", "plugins", "reconcile"})
"""What guardhooks adds."""

_VARIABLES: Final = frozenset(
    {
        "port", "protocol", "chain", "mode", "banaction", "banaction_allports", "action_", "destemail", "sender", "mta",
        "fail2ban_agent", "blocktype", "returntype", "tcpport", "udpport", "name",
    }
)  # fmt: skip
"""Names that configurations set by custom, used or not; they are no typing errors."""

_REFERENCE = re.compile(r"%\((?:[\w-]+/)?([^)]+)\)s|<([^ <>]+)>")
_TRUE: Final = frozenset({"1", "on", "true", "yes"})
_FALSE: Final = frozenset({"0", "off", "false", "no"})


class Options:
    """The options of one jail. `problems` collects each wrong value for which a default was taken."""

    def __init__(self, scope: Scope, problems: list[Problem]) -> None:
        self.scope = scope
        self.problems = problems

    def has(self, key: str) -> bool:
        return self.scope.find(key) is not None

    def text(self, key: str, default: str = "") -> str:
        """A value that the jail cannot do without, stripped. Raises ConfigError if it cannot be evaluated."""
        text = self.scope.get(key)
        return default if text is None else text.strip()

    def value(self, key: str, parse: Callable[[str], T], default: T) -> T:
        """A value for which `default` will do, if it is not set or wrong."""
        place = self.scope.find(key)
        if place is None:
            return default
        try:
            return parse(self.scope.text(place).strip())
        except ConfigError as error:
            problem = as_problem(error, place, fatal=False)
            shown = _as_written(default)
            self.problems.append(replace(problem, message=f"{problem.message}; {shown} is used instead"))
            return default

    def texts(self) -> dict[str, str]:
        """Every option that has a value here, `[DEFAULT]` included; what cannot be evaluated is left out."""
        texts: dict[str, str] = {}
        config, name = self.scope.config, self.scope.section
        for key, value in {**config.defaults, **config.sections.get(name, {})}.items():
            try:
                texts[key] = self.scope.text(value)
            except ConfigError:
                continue  # reported by whoever needs it
        return texts


def _as_written(value: object) -> str:
    """A value as it would stand in a file."""
    if value is None:
        return "the default"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else repr(value)


def boolean(text: str) -> bool:
    """True or false as fail2ban reads it; any other word is refused instead of counting as false."""
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise ConfigError(f"{text!r} is neither true nor false; use one of {', '.join(sorted(_TRUE | _FALSE))}")
    return word in _TRUE


def integer(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,15}", text) or not low <= int(text) <= high:
            raise ConfigError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return read


def duration(text: str) -> float:
    """A time greater than 0, in seconds."""
    seconds = parse_duration(text)
    if seconds <= 0:
        raise ConfigError(f"{text!r} is not a time greater than 0")
    return seconds


def duration_or_none(text: str) -> float:
    """A time of 0 or more, in seconds; empty for 0."""
    seconds = parse_duration(text) if text else 0.0
    if seconds < 0:
        raise ConfigError(f"{text!r} is less than 0")
    return seconds


def ban_length(text: str) -> float:
    """The length of a ban: -1 for ever, else more than 0."""
    seconds = parse_duration(text)
    if seconds == -1:
        return PERMANENT
    if seconds < 1:
        raise ConfigError(f"{text!r} is neither a time of at least one second nor -1 (for ever)")
    return seconds


def choice(*allowed: str) -> Callable[[str], str]:
    """A reader of one word out of several, in any case."""

    def read(text: str) -> str:
        if text.lower() not in allowed:
            raise ConfigError(f"{text!r} is none of {', '.join(allowed)}{did_you_mean(text, allowed)}")
        return text.lower()

    return read


def encoding(text: str) -> str:
    """`auto`, or the name of a text encoding that Python knows."""
    try:
        known = text.lower() == "auto" or codecs.lookup(text) is not None
    except (LookupError, ValueError):
        known = False
    if not known:
        raise ConfigError(f"{text!r} is not a text encoding; use auto, utf-8, latin-1 …")
    return text.lower() if text.lower() == "auto" else text


def references(config: MergedConfig) -> frozenset[str]:
    """Every name that any value of the jail files refers to, in lower case."""
    names: set[str] = set()
    for section in config.sections.values():
        for value in section.values():
            names.update((match[1] or match[2]).lower() for match in _REFERENCE.finditer(value.text))
    return frozenset(names)


def unknown_options(section: Mapping[str, Value], referred: frozenset[str]) -> Iterator[Problem]:
    """A problem for each key that is no option and that nothing refers to.

    `plugin.key` belongs to a plugin, unless it looks like a mistyped option of ours that has a dot, too.
    """
    known = RECOGNISED | OWN
    for key, value in section.items():
        name = key.partition("?")[0]
        if name in known or name in referred or name in _VARIABLES:
            continue
        near = did_you_mean(name, sorted(option for option in known if "." not in name or "." in option))
        if "." not in name or near:
            yield problem_at(value, f"no such option{near}")


def mistyped_defaults(config: MergedConfig, referred: frozenset[str]) -> Iterator[Problem]:
    """A problem for each key of `[DEFAULT]` that nothing refers to and that is almost the name of an option.

    Other unknown keys there are variables that no jail happens to use.
    """
    known = RECOGNISED | OWN
    for key, value in config.defaults.items():
        near = "" if key in known | referred | _VARIABLES else did_you_mean(key, sorted(known), likeness=0.85)
        if near:
            yield problem_at(value, f"no such option{near}")
