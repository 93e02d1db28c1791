"""Which plugin finds failures for which jail, and why others leave a jail to it."""

from __future__ import annotations

import logging

from guardhooks.plugins.calls import Provided
from guardhooks.text import safe_text
from guardhooks.workers import LineMatcher, SelectiveMatcher

_JAILS_NAMED = 5

logger = logging.getLogger("guardhooks.plugins")


class Matching:
    """Remembers the last answer of each plugin about each jail."""

    def __init__(self) -> None:
        self._serves: dict[str, str] = {}
        self._leaves: dict[str, dict[str, str]] = {}

    def note(self, plugin: str, provided: Provided[LineMatcher]) -> None:
        """A plugin has answered `line_matcher` with this matcher: say whom it serves, and why not the others."""
        matcher, jails = provided.worker, provided.jails
        for jail in jails:
            self._serves[jail] = plugin
            self._leaves.get(jail, {}).pop(plugin, None)
        if jails:
            more = ", …" if len(jails) > _JAILS_NAMED else ""
            logger.info("[%s%s] lines are matched by %s", ", ".join(jails[:_JAILS_NAMED]), more, plugin)
        if isinstance(matcher, SelectiveMatcher):
            for jail, why in matcher.unserved.items():
                self._leaves.setdefault(jail, {})[plugin] = safe_text(why)
                logger.info("[%s] is not matched by %s: %s", jail, plugin, safe_text(why))

    def report(self, jail: str) -> dict[str, object]:
        """`served_by`: the plugin (empty before the jail has started); `left_by`: reasons of others, by plugin."""
        return {"served_by": self._serves.get(jail, ""), "left_by": dict(self._leaves.get(jail, {}))}
