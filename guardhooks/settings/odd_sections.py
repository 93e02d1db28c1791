"""Reports sections of the jail files that look like another one and reach no jail: `[default]`, `[sshd ]`, `[ssdh]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from guardhooks.model import Problem
from guardhooks.settings.ini import Value
from guardhooks.settings.merged import MergedConfig
from guardhooks.settings.problems import did_you_mean

_SPECIAL: Final = {"default": "DEFAULT", "includes": "INCLUDES"}
_MAKES_A_JAIL: Final = frozenset({"enabled", "filter", "logpath", "failregex", "action"})
_TYPING_ERROR: Final = 0.8


def odd_sections(config: MergedConfig) -> Iterator[Problem]:
    """A problem for each such section, at its first key."""
    names = list(config.sections)
    for name, values in config.sections.items():
        meant = _meant(name, [other for other in names if other != name], values)
        if meant:
            message = f"section [{name}] is not [{meant}], so what it says reaches no jail; did you mean {meant!r}?"
            place = min(values.values(), key=lambda value: value.line, default=None)
            file, line = (place.file, place.line) if place else (str(config.files[-1]), 0)
            yield Problem(message, file, line)


def _meant(name: str, others: list[str], values: Mapping[str, Value]) -> str:
    """The section that this one was probably meant to be, else an empty text."""
    plain = name.strip()
    special = _SPECIAL.get(plain.lower(), "")
    if special and special != name:
        return special
    if plain != name:
        return plain
    if special or _MAKES_A_JAIL.intersection(values):
        return ""
    if near := next((other for other in others if other.lower() == name.lower()), ""):
        return near
    hint = did_you_mean(name, [other for other in others if other not in _SPECIAL.values()], _TYPING_ERROR)
    return hint.partition("'")[2].partition("'")[0]
