"""Builds one frozen `Jail` from its section of the jail files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, TypeVar

from guardhooks.errors import ConfigError
from guardhooks.model import Escalation, FilterSpec, Jail, Problem, SourceSpec
from guardhooks.net.names import misspelt_address
from guardhooks.settings import jail_options as option
from guardhooks.settings.actions import build_actions
from guardhooks.settings.filters import Filter, Known, filter_spec, find_filter, without_file
from guardhooks.settings.ini import Value
from guardhooks.settings.interpolation import Scope
from guardhooks.settings.jail_files import JailFiles
from guardhooks.settings.missing_rules import missing_rules
from guardhooks.settings.option import Option
from guardhooks.settings.problems import SettingError, as_problem, problem_at, remark_at, sorted_out
from guardhooks.settings.reader import OptionReader
from guardhooks.settings.sources import (
    LEFT_OVER_AFTER,
    any_file,
    file_sources,
    journal_source,
    last_written,
    path_fault,
)
from guardhooks.settings.unknown_brackets import unknown_options
from guardhooks.settings.unknown_keys import unknown_in_filter_file, unknown_in_jail
from guardhooks.text import safe_text

T = TypeVar("T")

logger = logging.getLogger("guardhooks.config")

_READ_NO_LOG: Final = frozenset({"recidive"})
"""Filters of jails that make sense without a log: the ledger is looked at instead."""

_PLACED: Final = (option.FILTER.name, option.LOGTIMEZONE.name, option.LOGENCODING.name)
"""Options of the jail that a matcher may find fault with."""

_ESCALATION: Final[tuple[Option[Any], ...]] = (
    option.FACTOR,
    option.MULTIPLIERS,
    option.MAXTIME,
    option.RNDTIME,
    option.OVERALLJAILS,
)


_BANS_NOBODY: Final = "bans of no length keep nobody out; write a time such as 10m, or -1 for permanent bans"


def is_enabled(files: JailFiles, name: str) -> bool:
    """Whether the jail is switched on. Raises ConfigError if the value is wrong."""
    scope = Scope(files.config, name)
    return _at(scope, option.ENABLED, lambda: OptionReader(scope, []).essential(option.ENABLED))


def build_jail(files: JailFiles, name: str, problems: list[Problem]) -> Jail:
    """The jail of this name; what is wrong in it is added to `problems`. Raises ConfigError if it cannot run at all."""
    first = OptionReader(Scope(files.config, name), problems)
    backend = first.value(option.BACKEND)
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
    visible = {each.name: texts[each.name] for each in option.FAIL2BAN_TABLE if each.name in texts}
    actions = build_actions(files, options, visible)
    problems += unknown_in_jail(files.config.sections.get(name, {}), files.referred, files.declared)
    if sources and (spec is None or not (spec.name or spec.failregex)):
        problems.append(Problem("no filter is set, so nothing can be found in its logs", section=name, key="filter"))
    elif found is not None and found.name:
        problems += _unknown_in_filter(files, options, found)
        problems += unknown_in_filter_file(found.definition.config, files.referred, files.declared)
        problems += _filter_remarks(found)
    jail = _numbers(options, Jail(name, filter=spec, sources=sources, actions=actions, options=texts))
    jail = _exemptions(options, found, jail)
    wrong, remarks = sorted_out([*problems, *_plugin_remarks(files, options)])
    return replace(jail, problems=wrong, remarks=remarks)


def _at(scope: Scope, of: Option[Any], work: Callable[[], T]) -> T:
    """Do the work for an essential option; an error that knows no place gets that of the option."""
    try:
        return work()
    except ConfigError as error:
        raise SettingError(as_problem(error, scope.find(of.name), fatal=True)) from None


def _filter(files: JailFiles, options: OptionReader, backend: str) -> Filter | None:
    text = options.text(option.FILTER)
    if not text:
        return without_file() if options.has(option.FAILREGEX) else None
    visible = {"enabled": "true", "backend": backend, "filter": text}
    logtype = "journal" if backend.startswith("systemd") else "file"
    try:
        return find_filter(files.library, text, logtype, visible)
    except ConfigError as error:
        raise SettingError(as_problem(error, _where_the_filter_is_named(options.scope), fatal=True)) from None


def _where_the_filter_is_named(scope: Scope) -> Value | None:
    """The jail's `filter`; where it only has the one of `[DEFAULT]`, the jail itself, whose name is the mistake."""
    place = scope.find(option.FILTER.name)
    own = scope.config.sections.get(scope.section, {})
    if place is None or place.section != "DEFAULT" or not own:
        return place
    first = own.get(option.ENABLED.name) or min(own.values(), key=lambda value: value.line)
    return replace(first, section=scope.section, key=option.FILTER.name)


def _unknown_in_filter(files: JailFiles, options: OptionReader, found: Filter) -> Iterator[Problem]:
    """A problem for each option in the filter's brackets that neither its file nor anybody else knows."""
    place = options.scope.find(option.FILTER.name)
    known = files.declared.names("filter", found.name)
    for name, hint in unknown_options(found.options, known, found.definition.config, files.referred):
        message = f"filter {found.name} has no option {name!r}{hint}"
        yield problem_at(place, message) if place else Problem(message)


def _filter_remarks(found: Filter) -> Iterator[Problem]:
    """How the filter's own `maxlines` is taken."""
    text, place = found.definition.get(option.MAXLINES.name), found.definition.place(option.MAXLINES.name)
    with suppress(ConfigError):
        if text and place and (remark := option.MAXLINES.remark(text)):
            yield remark_at(place, remark)


def _options_with(files: JailFiles, name: str, found: Filter | None, problems: list[Problem]) -> OptionReader:
    """The jail's options, in which `%(known/x)s` means what the filter says for x."""
    if found is None:
        return OptionReader(Scope(files.config, name), problems)
    problems += found.problems
    return OptionReader(Scope(files.config, name, known=Known(found.definition)), problems)


def _filter_spec(options: OptionReader, found: Filter | None) -> FilterSpec | None:
    instead = {each.name: options.text(each) for each in option.FILTER_OPTIONS if options.has(each)}
    if option.MAXLINES.name in instead:
        instead[option.MAXLINES.name] = str(options.value(option.MAXLINES))
    if found is None:
        return None
    places = {key: place for key in instead if (place := options.scope.find(key))}
    spec = _at(options.scope, option.FILTER, lambda: filter_spec(found, instead, places))
    options.problems += missing_rules(found, options.scope)
    own = {key: (place.file, place.line) for key in _PLACED if (place := options.scope.find(key)) and place.file}
    return replace(spec, places={**own, **spec.places})


def _sources(options: OptionReader, spec: FilterSpec | None, backend: str) -> tuple[SourceSpec, ...]:
    if backend.startswith("systemd"):
        return (journal_source(spec.journalmatch if spec else (), backend),)
    sources = file_sources(options.text(option.LOGPATH), backend)
    place = options.scope.find("logpath")
    if place is not None:
        faults = [(source.text, path_fault(source.text)) for source in sources]
        options.problems += [problem_at(place, f"{path!r} {fault}") for path, fault in faults if fault]
    if place is not None and not sources:
        options.problems.append(problem_at(place, "names no file, so this jail has nothing to read"))
    elif not sources and spec is not None and spec.name not in _READ_NO_LOG:
        message = "is not set, so this jail has nothing to read; name its log, or set backend = systemd"
        enabled = options.scope.find("enabled")
        file, line = (enabled.file, enabled.line) if enabled else ("", 0)
        options.problems.append(Problem(message, file, line, options.scope.section, "logpath"))
    return sources


def _journal_instead(
    files: JailFiles, options: OptionReader, spec: FilterSpec | None, sources: tuple[SourceSpec, ...], backend: str
) -> bool:
    """Whether to read the journal because none of the jail's files is there, or all are left-overs."""
    if not (files.journal and backend.startswith("auto") and sources and spec and spec.journalmatch):
        return False
    if not options.value(option.SYSTEMD_IF_NOLOGS):
        return False
    return not any_file(sources) or _is_left_over(files, options.scope.section, sources, spec.journalmatch)


def _is_left_over(files: JailFiles, jail: str, sources: Sequence[SourceSpec], matches: Sequence[str]) -> bool:
    """Whether the files were last written long before the journal: rsyslog was removed, its logs are still there."""
    written = last_written(sources)
    if written is None or files.now - written < LEFT_OVER_AFTER:
        return False
    entry = files.newest_entry(matches)
    if entry is None or entry - written < LEFT_OVER_AFTER:
        return False
    days = (entry - written) / 86400
    paths = safe_text(", ".join(source.text for source in sources), 200)
    logger.warning(
        "[%s] %s was last written %.0f days before the newest entry of the journal: the journal is read. "
        "Remove the log, or set systemd_if_nologs = false to read it",
        jail, paths, days,
    )  # fmt: skip
    return True


def _plugin_remarks(files: JailFiles, options: OptionReader) -> Iterator[Problem]:
    """How the jail's values of plugins' options are taken; what is wrong with them the plugins say themselves."""
    for each in files.declared.plugin_options("jail"):
        found: list[Problem] = []
        OptionReader(options.scope, found).setting(each)
        yield from (problem for problem in found if problem.remark)


def _numbers(options: OptionReader, jail: Jail) -> Jail:
    value = options.value
    place = options.scope.find(option.BANTIME.name)
    if place is not None and value(option.BANTIME) == 0:
        options.problems.append(problem_at(place, _BANS_NOBODY))
    return replace(
        jail,
        maxretry=value(option.MAXRETRY),
        maxmatches=value(option.MAXMATCHES),
        findtime=value(option.FINDTIME),
        bantime=value(option.BANTIME),
        escalation=_escalation(options) if value(option.INCREMENT) else None,
        ipv4prefix=value(option.IPV4PREFIX),
        ipv6prefix=value(option.IPV6PREFIX),
    )


def _exemptions(options: OptionReader, found: Filter | None, jail: Jail) -> Jail:
    value = options.value
    return replace(
        jail,
        ignoreip=_ignoreip(options),
        ignoreself=value(option.IGNORESELF),
        ignorecommand=options.text(option.IGNORECOMMAND),
        ignorecache=value(option.IGNORECACHE),
        usedns=_usedns(options, found),
        logencoding=value(option.LOGENCODING),
        logtimezone=options.text(option.LOGTIMEZONE),
        plugins=value(option.PLUGINS),
    )


def _ignoreip(options: OptionReader) -> tuple[str, ...]:
    words = options.essential(option.IGNOREIP)
    place = options.scope.find(option.IGNOREIP.name)
    if place is not None:
        options.problems += [
            problem_at(place, f"{word!r} {why}; it exempts nobody") for word in words if (why := misspelt_address(word))
        ]
    return words


def _escalation(options: OptionReader) -> Escalation:
    values = {each.name: options.value(each) for each in _ESCALATION}
    return escalation_of({**values, option.FORMULA.name: options.text(option.FORMULA)})


def escalation_of(values: Mapping[str, Any]) -> Escalation:
    """`bantime.increment` by the parsed values of its options."""
    return Escalation(
        factor=values[option.FACTOR.name],
        formula=values[option.FORMULA.name],
        multipliers=values[option.MULTIPLIERS.name],
        maxtime=values[option.MAXTIME.name],
        rndtime=values[option.RNDTIME.name],
        overalljails=values[option.OVERALLJAILS.name],
    )


def _usedns(options: OptionReader, found: Filter | None) -> str:
    """A bracket option of the filter wins over the jail's own value, and that over the filter file's."""
    usedns = option.USEDNS
    if found is None or (options.has(usedns) and usedns.name not in found.options):
        return options.value(usedns)
    try:
        return usedns.parse(found.definition.get(usedns.name) or usedns.default)
    except ConfigError as error:
        options.problems.append(as_problem(error, found.definition.place(usedns.name), fatal=False))
        return usedns.default
