"""Reports a mode (or another bracket option) of which a filter has no rules, at the line where it is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from guardhooks.errors import ConfigError
from guardhooks.model import Problem
from guardhooks.settings.filters import Filter
from guardhooks.settings.interpolation import Scope
from guardhooks.settings.jail_options import FILTER
from guardhooks.settings.problems import as_problem, did_you_mean


def missing_rules(found: Filter, scope: Scope) -> Iterator[Problem]:
    """A problem for each option whose value made a tag that nothing defines: `mode = agressive` → `<mdre-agressive>`.

    To be asked once the rules of the filter have been worked out.
    """
    told: set[tuple[str, str]] = set()
    for tag in found.definition.missing:
        option = next(((name, text) for name, text in found.options.items() if text and text in tag), None)
        if option is None:
            near = did_you_mean(tag, found.definition)
            message = f"wants <{tag}>, which nothing defines, so the rules behind it are missing{near}"
            yield as_problem(ConfigError(message), scope.find(FILTER.name), fatal=False)
        elif option not in told:
            told.add(option)
            yield _unknown_value(found, scope, *option, tag)


def _unknown_value(found: Filter, scope: Scope, name: str, text: str, tag: str) -> Problem:
    before, _, after = tag.partition(text)
    near = did_you_mean(text, list(_between(found.definition, before, after)))
    message = f"filter {found.name} has no {name} {text!r}, so the rules of that {name} are missing{near}"
    place = scope.find(FILTER.name)
    others = [value for value in scope.sources(place) if value is not place] if place else []
    written = next((value for value in others if value.text.strip() == text), place)
    return as_problem(ConfigError(message), written, fatal=False)


def _between(names: Iterable[str], before: str, after: str) -> Iterator[str]:
    """What stands between `before` and `after` in those names that have both."""
    for name in names:
        if name.startswith(before) and name.endswith(after) and len(name) > len(before) + len(after):
            yield name[len(before) : len(name) - len(after)]
