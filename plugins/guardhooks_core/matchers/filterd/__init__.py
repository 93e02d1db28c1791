"""Finds failures in log lines with the filters of `filter.d`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from guardhooks import ConfigFinding, GuardView, Jail, LineMatcher, PerGuard, hookimpl

if TYPE_CHECKING:
    from guardhooks_core.matchers.filterd.cache import Cache


class Filterd:
    """The plugin."""

    def __init__(self) -> None:
        self._caches: PerGuard[Cache] = PerGuard()

    @hookimpl
    def on_start(self, guard: GuardView) -> None:
        """Use the cache of compiled regexes in the guard's state folder."""
        file = guard.ledger_file
        if file is None:
            return
        from guardhooks_core.matchers.filterd.cache import Cache

        self._caches.start(guard, lambda: Cache.beside(file))

    @hookimpl
    def on_stop(self, guard: GuardView) -> None:
        """Remove the cache entries that no source of this guard has used."""
        if cache := self._caches.stop(guard):
            cache.sweep()

    @hookimpl(trylast=True)
    def line_matcher(self, jails: Sequence[Jail]) -> LineMatcher | None:
        """A matcher for all jails with a filter, whatever the source."""
        if not any(jail.filter for jail in jails):
            return None
        from guardhooks_core.matchers.filterd.matcher import FilterMatcher

        return FilterMatcher(jails, cache=self._caches.of(jails[0]))

    @hookimpl
    def check_jail(self, jail: Jail) -> list[ConfigFinding]:
        """Regexes, dates and encodings that cannot be used, and logs whose dates are hours off."""
        if jail.filter is None:
            return []
        from guardhooks_core.matchers.filterd.check import check

        return check(jail)


_plugin = Filterd()
on_start = _plugin.on_start
on_stop = _plugin.on_stop
line_matcher = _plugin.line_matcher
check_jail = _plugin.check_jail
