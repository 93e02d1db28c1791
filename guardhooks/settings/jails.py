"""Builds one frozen `Jail` from its section of the jail files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from guardhooks.errors import ConfigError
from guardhooks.model import PERMANENT, Escalation, FilterSpec, Jail, Problem, SourceSpec
from guardhooks.net.addresses import prefix_of
from guardhooks.settings import options as read
from guardhooks.settings.actions import build_actions
from guardhooks.settings.brackets import parse_options
from guardhooks.settings.definitions import Library
from guardhooks.settings.filters import FILTER_OPTIONS, MOST_LINES, Filter, Known, filter_spec, find_filter
from guardhooks.settings.interpolation import Scope
from guardhooks.settings.merged import MergedConfig
from guardhooks.settings.options import Options
from guardhooks.settings.problems import SettingError, as_problem, did_you_mean, problem_at
from guardhooks.settings.sources import any_file, file_sources, journal_source, read_backend
from guardhooks.settings.times import parse_duration, parse_number

T = TypeVar("T")

_READ_NO_LOG: Final = frozenset({"recidive"})
"""Filters of jails that make sense without a log: the ledger is looked at instead."""

_MOST = 1_000_000
_LIKE_ADDRESS: Final = re.compile(
    r"[0-9]+(\.[0-9]+)+(/.*)?|[0-9A-Fa-f:.\[\]]*::.*|[0-9A-Fa-f:.\[\]]+/[0-9A-Fa-f:.]*", re.ASCII
)
"""Words that can only be meant as an address or a network; others may be host names or ids of another kind."""


@dataclass(frozen=True, slots=True)
class JailFiles:
    """What all jails of a directory are built from. `journal` tells whether this machine keeps a journal."""

    config: MergedConfig
    library: Library
    referred: frozenset[str]
    journal: bool


def is_enabled(files: JailFiles, name: str) -> bool:
    """Whether the jail is switched on. Raises ConfigError if that cannot be told."""
    scope = Scope(files.config, name)
    return _at(scope, "enabled", lambda: read.boolean(scope.get("enabled") or "false"))


def build_jail(files: JailFiles, name: str, problems: list[Problem]) -> Jail:
    """The jail of this name; what is wrong in it is added to `problems`. Raises ConfigError if it cannot run at all."""
    first = Options(Scope(files.config, name), problems)
    backend = first.value("backend", read_backend, "auto")
    found = _filter(files, first, backend)
    options = _options_with(files, name, found, problems)
    spec = _filter_spec(options, found)
    sources = _sources(options, spec, backend)
    if _journal_instead(files, options, spec, sources, backend):
        found = _filter(files, first, "systemd")
        options = _options_with(files, name, found, problems)
        spec = _filter_spec(options, found)
        sources = (journal_source(spec.journalmatch if spec else (), backend),)
    texts = options.texts()
    actions = build_actions(files.library, name, options, {key: texts[key] for key in read.RECOGNISED & texts.keys()})
    problems += read.unknown_options(files.config.sections.get(name, {}), files.referred)
    if found is None and sources:
        problems.append(Problem("no filter is set, so nothing can be found in its logs", section=name, key="filter"))
    jail = _numbers(options, Jail(name, filter=spec, sources=sources, actions=actions, options=texts))
    return replace(_exemptions(options, found, jail), problems=tuple(dict.fromkeys(problems)))


def _at(scope: Scope, key: str, work: Callable[[], T]) -> T:
    """Do the work for an essential option; an error that knows no place gets that of the option."""
    try:
        return work()
    except ConfigError as error:
        raise SettingError(as_problem(error, scope.find(key), fatal=True)) from None


def _filter(files: JailFiles, options: Options, backend: str) -> Filter | None:
    text = options.text("filter")
    if not text:
        return None
    visible = {"enabled": "true", "backend": backend, "filter": text}
    logtype = "journal" if backend.startswith("systemd") else "file"
    return _at(options.scope, "filter", lambda: find_filter(files.library, text, logtype, visible))


def _options_with(files: JailFiles, name: str, found: Filter | None, problems: list[Problem]) -> Options:
    """The jail's options, in which `%(known/x)s` means what the filter says for x."""
    if found is None:
        return Options(Scope(files.config, name), problems)
    problems += found.problems
    return Options(Scope(files.config, name, known=Known(found.definition)), problems)


def _filter_spec(options: Options, found: Filter | None) -> FilterSpec | None:
    instead = {key: options.text(key) for key in FILTER_OPTIONS if options.has(key)}
    if "maxlines" in instead:
        instead["maxlines"] = str(options.value("maxlines", read.integer(1, MOST_LINES), 1))
    if found is None:
        return None
    places = {key: place for key in instead if (place := options.scope.find(key))}
    spec = _at(options.scope, "filter", lambda: filter_spec(found, instead, places))
    for tag in found.definition.missing:
        near = did_you_mean(tag, found.definition)
        error = ConfigError(f"wants <{tag}>, which nothing defines, so the rules behind it are missing{near}")
        options.problems.append(as_problem(error, options.scope.find("filter"), fatal=False))
    return spec


def _sources(options: Options, spec: FilterSpec | None, backend: str) -> tuple[SourceSpec, ...]:
    if backend.startswith("systemd"):
        return (journal_source(spec.journalmatch if spec else (), backend),)
    sources = file_sources(options.text("logpath"), backend)
    place = options.scope.find("logpath")
    if place is not None and not sources:
        options.problems.append(problem_at(place, "names no file, so this jail has nothing to read"))
    elif not sources and spec is not None and spec.name not in _READ_NO_LOG:
        message = "is not set, so this jail has nothing to read; name its log, or set backend = systemd"
        enabled = options.scope.find("enabled")
        file, line = (enabled.file, enabled.line) if enabled else ("", 0)
        options.problems.append(Problem(message, file, line, options.scope.section, "logpath"))
    return sources


def _journal_instead(
    files: JailFiles, options: Options, spec: FilterSpec | None, sources: tuple[SourceSpec, ...], backend: str
) -> bool:
    """Whether to read the journal because none of the jail's files is there."""
    if not (files.journal and backend.startswith("auto") and sources and spec and spec.journalmatch):
        return False
    return options.value("systemd_if_nologs", read.boolean, default=True) and not any_file(sources)


def _numbers(options: Options, jail: Jail) -> Jail:
    value = options.value
    return replace(
        jail,
        maxretry=value("maxretry", read.integer(1, _MOST), jail.maxretry),
        maxmatches=value("maxmatches", read.integer(0, _MOST), jail.maxmatches),
        findtime=value("findtime", read.duration, jail.findtime),
        bantime=value("bantime", read.ban_length, jail.bantime),
        escalation=_escalation(options) if value("bantime.increment", read.boolean, default=False) else None,
        ipv4prefix=value("ipv4prefix", read.integer(0, 32), jail.ipv4prefix),
        ipv6prefix=value("ipv6prefix", read.integer(0, 128), jail.ipv6prefix),
    )


def _exemptions(options: Options, found: Filter | None, jail: Jail) -> Jail:
    value = options.value
    return replace(
        jail,
        ignoreip=_ignoreip(options),
        ignoreself=value("ignoreself", read.boolean, default=True),
        ignorecommand=options.text("ignorecommand"),
        ignorecache=value("ignorecache", _ignorecache, {}),
        usedns=_usedns(options, found),
        logencoding=value("logencoding", read.encoding, "auto"),
        logtimezone=options.text("logtimezone"),
        plugins=value("plugins", _switches, ()),
    )


def _ignoreip(options: Options) -> tuple[str, ...]:
    words = tuple(options.text("ignoreip").replace(",", " ").split())
    place = options.scope.find("ignoreip")
    if place is not None:
        options.problems += [
            problem_at(place, f"{word!r} is no address, network, host name or file:/path; nobody is spared by it")
            for word in words
            if _LIKE_ADDRESS.fullmatch(word) and not prefix_of(word)
        ]
    return words


def _escalation(options: Options) -> Escalation:
    value = options.value
    return Escalation(
        factor=value("bantime.factor", parse_number, 1.0),
        formula=options.text("bantime.formula"),
        multipliers=value("bantime.multipliers", _multipliers, ()),
        maxtime=value("bantime.maxtime", _maxtime, PERMANENT),
        rndtime=value("bantime.rndtime", read.duration_or_none, 0.0),
        overalljails=value("bantime.overalljails", read.boolean, default=False),
    )


def _multipliers(text: str) -> tuple[float, ...]:
    return tuple(parse_number(word) for word in text.split())


def _maxtime(text: str) -> float:
    return read.duration(text) if text else PERMANENT


def _usedns(options: Options, found: Filter | None) -> str:
    """A bracket option of the filter wins over the jail's own value, and that over the filter file's."""
    words = read.choice("yes", "warn", "no", "raw")
    if found is None or (options.has("usedns") and "usedns" not in found.options):
        return options.value("usedns", words, "warn")
    try:
        return words(found.definition.get("usedns") or "warn")
    except ConfigError as error:
        options.problems.append(as_problem(error, found.definition.place("usedns"), fatal=False))
        return "warn"


def _ignorecache(text: str) -> Mapping[str, str]:
    cache = parse_options(text)
    if cache and "key" not in cache:
        raise ConfigError(f'{text!r} lacks its key, as in key="<ip>", max-count=100, max-time=5m')
    if "max-time" in cache:
        parse_duration(cache["max-time"])
    if "max-count" in cache:
        read.integer(1, _MOST)(cache["max-count"])
    return cache


def _switches(text: str) -> tuple[str, ...]:
    words = tuple(text.replace(",", " ").split())
    wrong = next((word for word in words if word[0] not in "+-" or len(word) == 1), None)
    if wrong:
        raise ConfigError(f"{wrong!r} is neither -NAME (off) nor +NAME (on)")
    return words
