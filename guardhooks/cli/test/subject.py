"""FILTER of `guardhooks test`: a filter, a jail, a filter file or a regex becomes a jail to test."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from guardhooks.cli.test.overrides import Overrides
from guardhooks.errors import ConfigError
from guardhooks.model import FilterSpec, Jail
from guardhooks.settings import find_directory, jail_names, load_filter, load_jail
from guardhooks.settings.definitions import Library
from guardhooks.settings.layers import Reader

_WORD: Final = re.compile(r"/{0,3}[\w/.-]+(?:\[.*\])?", re.DOTALL)
"""What can be the name of something; anything else is a regex."""
_JAIL_PREFIX: Final = "jail:"


@dataclass(frozen=True, slots=True)
class Subject:
    """The jail that is tested, and in words what it was made from."""

    jail: Jail
    made_from: str
    journal: bool = False


def find_subject(config: Path | None, text: str, overrides: Overrides, *, prefer_jail: bool = False) -> Subject:
    """What FILTER means in the configuration directory.

    :param prefer_jail: where a filter and a jail share the name, the jail is meant.
    :raises ConfigError: when it means nothing, or what it means cannot be used.
    """
    jail, made_from = _find(
        find_directory(config), text, logtype="journal" if overrides.journal else "file", prefer_jail=prefer_jail
    )
    if jail.filter is None:
        raise ConfigError(f"jail {jail.name!r} has no filter to test")
    return Subject(overrides.apply(jail), made_from, overrides.journal)


def _find(directory: Path, text: str, *, logtype: str, prefer_jail: bool) -> tuple[Jail, str]:
    if prefer_jail and text in _jail_names(directory):
        text = _JAIL_PREFIX + text
    if text.startswith(_JAIL_PREFIX):
        name = text.removeprefix(_JAIL_PREFIX)
        return load_jail(directory, name), f"jail {name}"
    if not _WORD.fullmatch(text):
        regexes = tuple(line for line in text.splitlines() if line.strip())
        if not regexes:
            raise ConfigError("FILTER is empty; name a filter or write a regex")
        return Jail("regex", FilterSpec("regex", failregex=regexes)), "a regex of the command line"
    name, bracket, options = text.partition("[")
    file = _filter_file(directory, name)
    if file is not None:
        spec = load_filter(directory, f"{file}{bracket}{options}", logtype=logtype)
        return Jail(spec.name, spec), f"filter {text}"
    if "/" in name:
        raise ConfigError(f"there is no filter file {name!r} (.conf), neither here nor in {directory}")
    name = name.removesuffix(".conf").removesuffix(".local")
    if _is_filter(directory, name):
        spec = load_filter(directory, f"{name}{bracket}{options}", logtype=logtype)
        return Jail(spec.name, spec), f"filter {text}"
    if not bracket and name in _jail_names(directory):
        return load_jail(directory, name), f"jail {name}"
    raise ConfigError(_unknown(directory, name))


def _filter_file(directory: Path, name: str) -> Path | None:
    """The file that a path means: as it stands or below the configuration directory, `.conf` added where it lacks."""
    if "/" not in name and not name.endswith(".conf"):
        return None
    places = (Path(name), Path(f"{name}.conf"), directory / name, directory / f"{name}.conf")
    return next((place.absolute() for place in places if place.suffix == ".conf" and place.is_file()), None)


def _is_filter(directory: Path, name: str) -> bool:
    return Library(Reader(), directory).find("filter.d", name) is not None


def _jail_names(directory: Path) -> list[str]:
    try:
        return jail_names(directory)
    except ConfigError:  # a directory may hold filters only
        return []


def _unknown(directory: Path, name: str) -> str:
    known = dict.fromkeys([*Library(Reader(), directory).names("filter.d"), *_jail_names(directory)])
    near = get_close_matches(name, known, 3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "a regex needs an id group such as <HOST>"
    return f"{name!r} is no filter and no jail in {directory}; {hint}"
