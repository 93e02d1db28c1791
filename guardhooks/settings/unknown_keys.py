"""Reports keys of the jail files and of `guardhooks.conf` that nobody reads, each with the nearest known name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from guardhooks.model import Problem
from guardhooks.settings.daemon_options import SECTIONS
from guardhooks.settings.declared import DeclaredOptions
from guardhooks.settings.ini import Value
from guardhooks.settings.merged import MergedConfig
from guardhooks.settings.problems import did_you_mean, problem_at
from guardhooks.settings.unknown_brackets import referred_in

_REFERENCE: Final = re.compile(r"%\((?:[\w-]+/)?([^)]+)\)s|<([^ <>]+)>")
_TYPING_ERROR: Final = 0.85
"""Likeness from which an unknown key of `[DEFAULT]` is a mistyped option and not somebody's variable."""

_MISPLACED: Final = "is an option of the daemon and has no effect here; it belongs in guardhooks.local"


def references(config: MergedConfig) -> frozenset[str]:
    """Every name that any value of the files refers to, in lower case."""
    names: set[str] = set()
    for section in config.sections.values():
        for value in section.values():
            names.update((match[1] or match[2]).lower() for match in _REFERENCE.finditer(value.text))
    return frozenset(names)


def unknown_in_jail(
    section: Mapping[str, Value], referred: frozenset[str], declared: DeclaredOptions
) -> Iterator[Problem]:
    """A problem for each key of a jail that is not an option and that nothing refers to.

    `prefix.key` belongs to a plugin. It is reported where the plugins that own the prefix do not declare it, and where
    it looks like another option that has a dot, too.
    """
    for key, value in section.items():
        name = key.partition("?")[0]
        if name in declared.jail_names or name in referred:
            continue
        if name in declared.daemon_names:
            yield problem_at(value, _MISPLACED)
            continue
        prefix, dot, _ = name.partition(".")
        near = did_you_mean(name, sorted(option for option in declared.jail_names if not dot or "." in option))
        if not dot or near or prefix in declared.prefixes:
            yield problem_at(value, f"no such option{near}")


def unknown_in_defaults(config: MergedConfig, referred: frozenset[str], declared: DeclaredOptions) -> Iterator[Problem]:
    """A problem for each key of `[DEFAULT]` that nothing refers to and that is almost the name of an option.

    Other unknown keys there are variables that no jail happens to use.
    """
    for key, value in config.defaults.items():
        if key in declared.jail_names or key in referred:
            continue
        if key in declared.daemon_names:
            yield problem_at(value, _MISPLACED)
        elif near := did_you_mean(key, sorted(declared.jail_names - declared.variables), likeness=_TYPING_ERROR):
            yield problem_at(value, f"no such option{near}")


def unknown_in_filter_file(
    config: MergedConfig, referred: frozenset[str], declared: DeclaredOptions
) -> Iterator[Problem]:
    """A problem for each key of a filter's file that nothing refers to and that is almost the name of an option.

    Other unknown keys are variables that the file happens not to use.
    """
    options = declared.names("filter")
    used = None
    for section in ("Definition", "Init"):
        for key, value in config.sections.get(section, {}).items():
            near = "" if key in options or key in referred else did_you_mean(key, sorted(options), _TYPING_ERROR)
            if not near:
                continue
            used = used or referred_in(config)
            if not used.has(key):
                yield problem_at(value, f"no such option{near}")


def unknown_in_daemon(config: MergedConfig, declared: DeclaredOptions) -> Iterator[Problem]:
    """A problem for each section and key of `guardhooks.conf` that the daemon does not have."""
    section_of = {option.name: section for section, table in SECTIONS.items() for option in table}
    for name, section in config.sections.items():
        if name in {"DEFAULT", "INCLUDES"}:
            continue
        known = [option.name for option in SECTIONS.get(name, ())]
        for key, value in section.items():
            if not known:
                near = did_you_mean(name, SECTIONS) or f"; there are {', '.join(SECTIONS)}"
                yield problem_at(value, f"no such section{near}")
            elif key not in known and key in section_of:
                yield problem_at(value, f"has no effect here; it belongs in section [{section_of[key]}]")
            elif key not in known and key in declared.jail_names:
                yield problem_at(value, "is an option of jails and has no effect here; it belongs in jail.local")
            elif key not in known:
                yield problem_at(value, f"no such option{did_you_mean(key, known)}")
