"""Finds failures in lines, by the filters of `filter.d`."""

from __future__ import annotations

from collections.abc import Sequence

from guardhooks import Jail, LineMatcher, hookimpl


@hookimpl(trylast=True)
def line_matcher(jails: Sequence[Jail]) -> LineMatcher | None:
    """A matcher for all jails with a filter, whatever the source."""
    if not any(jail.filter for jail in jails):
        return None
    from .matcher import FilterMatcher

    return FilterMatcher(jails)
