"""Reports options in the brackets of filters and actions that nothing reads, with the nearest that something does.

Known is what host and plugins declare, what the file of the filter or action sets, and what any of its values refers
to: `%(x)s`, `<x>`, and tags that are put together from others (`<mdre-<mode>>` makes `mdre-ddos` known).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from guardhooks.settings.ini import Value
from guardhooks.settings.merged import MergedConfig
from guardhooks.settings.problems import nearest_or_all

_INTERPOLATION: Final = re.compile(r"%\(([^)]+)\)s")
_INNERMOST_TAG: Final = re.compile(r"<([^ <>]+)>")
_ANYTHING: Final = "\0"
"""Stands for an inner tag in the name of an outer one."""


def unknown_options(
    given: Mapping[str, str], known: Collection[str], config: MergedConfig | None, referred: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Names in brackets that nothing reads, each with the end of a message that says what could be meant.

    :param known: declared names.
    :param config: the merged file of the filter or action, if it has one.
    :param referred: names that the jail files refer to, in lower case.
    """
    own = {value.key.partition("?")[0] for value in _values(config)}
    left = [name for name in given if not _is_in(name, known, own, referred)]
    if not left:
        return
    texts = [text for value in _values(config) for text in _layers(value)]
    used = Referred([*texts, *given.values()])
    for name in left:
        if not used.has(name.partition("?")[0].lower()):
            yield name, nearest_or_all(name.partition("?")[0], filter(_is_plain, [*known, *own]))


def _is_in(name: str, *names: Collection[str]) -> bool:
    plain = name.partition("?")[0].lower()
    return any(plain in some for some in names)


def _is_plain(name: str) -> bool:
    """Whether an option is usually set from outside, and not a command or part of the inner workings of a file."""
    return not name.startswith(("_", "action"))


def _values(config: MergedConfig | None) -> Iterator[Value]:
    for name, section in config.sections.items() if config else ():
        if name != "INCLUDES":
            yield from section.values()


def _layers(value: Value | None) -> Iterator[str]:
    """The text of a value, and of those that it replaced, to which it may refer."""
    while value is not None:
        yield value.text
        value = value.previous


def referred_in(config: MergedConfig) -> Referred:
    """What the values of a filter or action file refer to."""
    return Referred([text for value in _values(config) for text in _layers(value)])


class Referred:
    """The names that texts refer to."""

    def __init__(self, texts: Collection[str]) -> None:
        self._names: set[str] = set()
        self._patterns: set[str] = set()
        for text in texts:
            self._add(text)

    def has(self, name: str) -> bool:
        return name in self._names or any(re.fullmatch(pattern, name) for pattern in self._patterns)

    def _add(self, text: str) -> None:
        for match in _INTERPOLATION.finditer(text):
            self._add_name(match[1])
        while tags := _INNERMOST_TAG.findall(text):
            for tag in tags:
                self._add_name(tag)
            text = _INNERMOST_TAG.sub(_ANYTHING, text)

    def _add_name(self, name: str) -> None:
        name = name.lower()
        names = (name, name.rpartition("/")[2])
        if _ANYTHING in name:
            self._patterns.update(
                ".*".join(map(re.escape, part.split(_ANYTHING))) for part in names if part != _ANYTHING
            )
        else:
            self._names.update(names)
