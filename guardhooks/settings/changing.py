"""Changes one option of a jail that is built already: what `guardhooks set` does to the running guard.

Values are parsed by the declared options, as those in files are. Options from which other parts of a jail were built
(`filter`, `action`, `port` …) cannot be changed here; the configuration is changed and read again instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from guardhooks.errors import ConfigError
from guardhooks.model import ActionSpec, Escalation, FilterSpec, Jail
from guardhooks.settings import jail_options as option
from guardhooks.settings.filters import lines
from guardhooks.settings.jails import escalation_of
from guardhooks.settings.option import Option, OptionTable
from guardhooks.settings.problems import did_you_mean
from guardhooks.settings.sources import file_sources, journal_source

ACTION_PREFIX: Final = "action."
"""`action.nftables.blocktype` is the property `blocktype` of the action `nftables`; `action.nftables` names all."""

_PLAIN: Final = {
    each.name: each
    for each in (
        option.MAXRETRY, option.MAXMATCHES, option.FINDTIME, option.BANTIME, option.IGNOREIP, option.IGNORESELF,
        option.IGNORECOMMAND, option.IGNORECACHE, option.USEDNS, option.LOGENCODING, option.LOGTIMEZONE,
        option.IPV4PREFIX, option.IPV6PREFIX, option.PLUGINS,
    )
}  # fmt: skip
"""Options whose parsed value is the field of `Jail` of the same name."""
_ESCALATION: Final = {
    each.name: each
    for each in (
        option.INCREMENT, option.FACTOR, option.FORMULA, option.MULTIPLIERS, option.MAXTIME, option.RNDTIME,
        option.OVERALLJAILS,
    )
}  # fmt: skip
_FILTER: Final = {each.name: each for each in option.FILTER_OPTIONS}
_LISTS: Final = frozenset({"failregex", "ignoreregex", "datepattern", "journalmatch"})
_BUILT_FROM: Final = frozenset({"enabled", "filter", "action", "backend", "systemd_if_nologs", "skip_if_nologs"})


def value_of(jail: Jail, key: str, tables: Iterable[OptionTable]) -> object:
    """The value that an option has in a jail, as its option parses it; text for variables such as `port`.

    :raises ConfigError: when jails have no such option.
    """
    if key.startswith(ACTION_PREFIX):
        action, name = _action(jail, key)
        if not name:
            return tuple(sorted({**action.properties, **action.options}))
        if name not in action.options and name not in action.properties:
            raise ConfigError(f"action {action.actname} of jail {jail.name!r} has no property {name!r}")
        return action.get(name)
    if key in _PLAIN:
        return getattr(jail, key)
    if key in _FILTER:
        return getattr(jail.filter, key) if jail.filter else _FILTER[key].default
    if key == option.LOGPATH.name:
        return tuple(
            f"{source.text} tail" if source.start == "tail" else source.text
            for source in jail.sources
            if source.kind == "file"
        )
    found = _declared(key, tables)
    text = jail.options.get(key)
    return found.default if text is None else found.parse(text)


def text_of(jail: Jail, key: str, tables: Iterable[OptionTable]) -> str:
    """The same as it would be written in a file; a secret is hidden. :raises ConfigError: as `value_of`."""
    tables = list(tables)
    value = value_of(jail, key, tables)
    if key.startswith(ACTION_PREFIX):
        return "\n".join(value) if isinstance(value, tuple) else str(value)
    found = _declared(key, tables)
    if found.secret and value:
        return "(hidden)"
    if isinstance(value, tuple) and (key in _LISTS or key == option.LOGPATH.name):
        return "\n".join(value)
    return found.render(value)


def changed(jail: Jail, key: str, text: str, tables: Iterable[OptionTable]) -> Jail:
    """The jail with another value of one option.

    :raises ConfigError: when there is no such option, it cannot be changed in a running guard, or the value is wrong.
    """
    if key.startswith(ACTION_PREFIX):
        return _with_property(jail, key, text)
    found = _declared(key, tables)
    if key in _BUILT_FROM or _is_variable(key):
        raise ConfigError(f"{key} cannot be changed while the jail runs; change it in jail.local and reload")
    try:
        value = found.parse(text)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from error
    written = replace(jail, options={**jail.options, key: text})
    if key in _PLAIN:
        fields: dict[str, Any] = {key: value}
        return replace(written, **fields)
    if key in _ESCALATION:
        return replace(written, escalation=_escalation(written))
    if key in _FILTER:
        return _with_filter(written, key, text, value)
    if key == option.LOGPATH.name:
        backend = jail.sources[0].backend if jail.sources else "auto"
        if backend.startswith("systemd"):
            raise ConfigError(
                f"jail {jail.name!r} reads the journal; change backend and logpath in jail.local and reload"
            )
        return replace(written, sources=file_sources(text, backend))
    return written


def _escalation(jail: Jail) -> Escalation | None:
    texts = jail.options
    values = {name: of.parse(texts[name]) if name in texts else of.default for name, of in _ESCALATION.items()}
    return escalation_of(values) if values[option.INCREMENT.name] else None


def _with_filter(jail: Jail, key: str, text: str, value: object) -> Jail:
    if jail.filter is None:
        raise ConfigError(f"jail {jail.name!r} has no filter; set one in jail.local and reload")
    fields: dict[str, Any] = {key: lines(text) if key in _LISTS else value}
    spec: FilterSpec = replace(jail.filter, **fields)
    if key != option.JOURNALMATCH.name or not any(source.kind == "journal" for source in jail.sources):
        return replace(jail, filter=spec)
    journal = [source for source in jail.sources if source.kind == "journal"]
    return replace(jail, filter=spec, sources=(journal_source(spec.journalmatch, journal[0].backend),))


def _with_property(jail: Jail, key: str, text: str) -> Jail:
    action, name = _action(jail, key)
    if not name:
        raise ConfigError(f"{key} names no property; write {key}.PROPERTY")
    options: Mapping[str, str] = {**action.options, name: text}
    actions = tuple(replace(each, options=options) if each is action else each for each in jail.actions)
    return replace(jail, actions=actions)


def _action(jail: Jail, key: str) -> tuple[ActionSpec, str]:
    """The action and the property that `action.NAME.PROPERTY` means."""
    rest = key.removeprefix(ACTION_PREFIX)
    for action in sorted(jail.actions, key=lambda each: -len(each.actname)):
        if rest == action.actname or rest.startswith(f"{action.actname}."):
            return action, rest[len(action.actname) + 1 :]
    known = ", ".join(action.actname for action in jail.actions) or "none"
    raise ConfigError(f"jail {jail.name!r} has no action for {key!r}; write action.NAME.PROPERTY, actions: {known}")


def _is_variable(key: str) -> bool:
    return key in option.VARIABLES_TABLE.option_names


def _declared(key: str, tables: Iterable[OptionTable]) -> Option[Any]:
    host = (option.FAIL2BAN_TABLE, option.OWN_TABLE, option.VARIABLES_TABLE)
    options = {each.name: each for table in (*tables, *host) if table.place == "jail" for each in table}
    if key not in options:
        raise ConfigError(f"jails have no option {key!r}{did_you_mean(key, options)}")
    return options[key]
