"""How full the sets are: a warning when one gets nearly full, and a word when it is no more."""

from __future__ import annotations

import logging
from typing import Final

logger = logging.getLogger("guardhooks.firewall")

_ALARM: Final = 0.8


class Filling:
    """How many entries each limited set holds, as far as is known, and which of them are nearly full."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._warnings: dict[str, str] = {}

    def count(self, name: str) -> int:
        """How many entries a set held when it was last looked at, and what was put in and taken out since."""
        return self._counts.get(name, 0)

    def near(self, name: str, limit: int) -> bool:
        """Whether a set may have become nearly full since that was last said."""
        return name not in self._warnings and self.count(name) >= limit * _ALARM

    def guess(self, name: str, more: int) -> None:
        """So many came (or went), unless some of them were there (or were not)."""
        self._counts[name] = max(0, self.count(name) + more)

    def see(self, jail: str, name: str, count: int, limit: int) -> None:
        """A set holds `count` of `limit` entries; what has changed about that is logged."""
        self._counts[name] = count
        if count < limit * _ALARM:
            if self._warnings.pop(name, None):
                logger.warning("[%s] set %s has room again: %d of %d entries", jail, name, count, limit)
            return
        state = "is full" if count >= limit else f"is {count * 100 // limit} % full"
        text = f"set {name} {state}: {count} of {limit} entries; set a greater maxelem= and reload"
        if name not in self._warnings:
            logger.warning("[%s] %s", jail, text)
        self._warnings[name] = text

    def warning(self, name: str) -> str:
        """What there is to say of a set; empty for nothing."""
        return self._warnings.get(name, "")

    def forget(self, name: str) -> None:
        """The set is no more."""
        self._counts.pop(name, None)
        self._warnings.pop(name, None)
