"""Says in the log what becomes of the sources: which wait for a log, which cannot be read, which are read after all."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Final

from guardhooks.text import safe_text
from guardhooks.workers import SourceStatus

_EVERY: Final = 1.0
"""Seconds between two looks. Only what holds at two looks in a row is told: a rotation makes no noise."""
_JAILS_NAMED: Final = 5

logger = logging.getLogger("guardhooks.source")


class SourceNews:
    """Remembers what was told of each source."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, str]] = {}
        self._told: dict[str, tuple[str, str]] = {}
        self._next = 0.0

    def look(self, sources: Iterable[tuple[SourceStatus, Sequence[str]]], now: float) -> None:
        """Log what is new since it was last told; does nothing within a second of the last look.

        :param sources: states, and the names of the jails that read each.
        :param now: epoch seconds.
        """
        if self._next - _EVERY <= now < self._next:
            return
        self._next = now + _EVERY
        seen: dict[str, tuple[str, str]] = {}
        sources = list(sources)
        served = {jail for status, jails in sources if status.state not in {"waiting", "failed"} for jail in jails}
        for status, jails in sources:
            found = (status.state, status.detail)
            if status.state not in {"waiting", "failed"}:
                found = ("read", "")
            if found == self._seen.get(status.key) != self._told.get(status.key, ("read", "")):
                self._tell(status, jails, in_vain=not served.issuperset(jails))
                self._told[status.key] = found
            seen[status.key] = found
        self._seen = seen
        self._told = {key: told for key, told in self._told.items() if key in seen}

    @staticmethod
    def _tell(status: SourceStatus, jails: Sequence[str], *, in_vain: bool) -> None:
        """`in_vain`: one of these jails has nothing else to read. Many name the log of every distribution."""
        more = ", …" if len(jails) > _JAILS_NAMED else ""
        names, detail = ", ".join(jails[:_JAILS_NAMED]) + more, safe_text(status.detail)
        if status.state == "failed":
            logger.error("[%s] log cannot be read: %s", names, detail or safe_text(status.key))
        elif status.state == "waiting":
            level = logging.WARNING if in_vain else logging.INFO
            logger.log(level, "[%s] waiting: %s", names, detail or safe_text(status.key))
        else:
            logger.info("[%s] is read now: %s", names, safe_text(", ".join(status.origins) or status.key))
