"""From `filter = sshd[mode=aggressive]` to a `FilterSpec`, with what the jail itself says instead of the filter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from guardhooks.errors import ConfigError
from guardhooks.model import NO_OPTIONS, FilterSpec, Problem
from guardhooks.settings.brackets import parse_brackets
from guardhooks.settings.definitions import Definition, Library
from guardhooks.settings.ini import Value
from guardhooks.settings.jail_options import FILTER_OPTIONS, MAXLINES
from guardhooks.settings.merged import MergedConfig
from guardhooks.settings.problems import SettingError, did_you_mean, error_at

_KEYS: Final = tuple(option.name for option in FILTER_OPTIONS)
NO_PLACES: Final[Mapping[str, Value]] = MappingProxyType({})

_LISTS: Final = frozenset({"failregex", "ignoreregex", "journalmatch"})


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter file family with the bracket options it was named with."""

    name: str
    options: Mapping[str, str]
    definition: Definition
    problems: tuple[Problem, ...] = ()


class Known(Mapping[str, str]):
    """What `%(known/x)s` in a jail means first: the final values of its filter, worked out when asked for."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key in self._definition

    def __getitem__(self, key: str) -> str:
        value = self._definition.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._definition)

    def __len__(self) -> int:
        return len(list(self._definition))


def find_filter(library: Library, text: str, logtype: str, visible: Mapping[str, str] = NO_OPTIONS) -> Filter:
    """The filter that `text` names. Raises ConfigError for a wrong syntax, a missing or an unusable file.

    :param logtype: `file` or `journal`, used unless the options or the filter's `[Definition]` say otherwise.
    :param visible: options of the jail that the filter may refer to.
    """
    name, options = parse_brackets(text)
    config = library.find("filter.d", name)
    if config is None:
        hint = "; one filter only is possible" if "\n" in name else did_you_mean(name, library.names("filter.d"))
        raise ConfigError(f"there is no filter {name!r} in filter.d{hint}")
    fatal = next((problem for problem in config.problems if problem.fatal), None)
    if fatal:
        raise SettingError(fatal)
    if "Definition" not in config.sections:
        raise ConfigError(f"{config.files[-1]}: has no section [Definition], so it is not a filter")
    given = dict(options)
    if "logtype" not in config.sections["Definition"]:
        given.setdefault("logtype", logtype)
    return Filter(name, options, Definition(config, given, visible), tuple(config.problems))


def without_file() -> Filter:
    """The filter of a jail that names none and says itself what it looks for."""
    return Filter("", NO_OPTIONS, Definition(MergedConfig(), NO_OPTIONS, NO_OPTIONS))


def filter_spec(
    found: Filter, instead: Mapping[str, str] = NO_OPTIONS, places: Mapping[str, Value] = NO_PLACES
) -> FilterSpec:
    """What the filter says in the end.

    `instead` are the jail's own filter options: each replaces what the file says, but stands behind a bracket option
    of the same name (lists then hold both). `places` tells where they are written. Raises ConfigError.
    """
    values = {key: _value(found, key, instead) for key in _KEYS}
    return FilterSpec(
        name=found.name,
        prefregex=values["prefregex"],
        failregex=lines(values["failregex"]),
        ignoreregex=lines(values["ignoreregex"]),
        datepattern=lines(values["datepattern"]),
        maxlines=_maxlines(found, values["maxlines"]),
        journalmatch=lines(values["journalmatch"]),
        options=found.options,
        places={key: (place.file, place.line) for key in _KEYS if (place := _place(found, key, places))},
    )


def _place(found: Filter, key: str, places: Mapping[str, Value]) -> Value | None:
    place = places.get(key) if key not in found.options else None
    place = place or found.definition.place(key)
    return place if place and place.file else None


def lines(text: str) -> tuple[str, ...]:
    """The lines of a value that hold anything."""
    return tuple(line for line in map(str.strip, text.split("\n")) if line)


def _value(found: Filter, key: str, instead: Mapping[str, str]) -> str:
    if key not in instead:
        return found.definition.get(key) or ""
    if key not in found.options:
        return instead[key]
    own = found.definition.get(key) or ""
    return f"{own}\n{instead[key]}" if key in _LISTS else own


def _maxlines(found: Filter, text: str) -> int:
    if not text:
        return MAXLINES.default
    try:
        return MAXLINES.parse(text)
    except ConfigError as error:
        raise error_at(found.definition.place(MAXLINES.name), str(error)) from None
