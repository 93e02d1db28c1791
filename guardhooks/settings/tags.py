"""Phase 2 of substitution: `<tag>` in filter and action files, nested ones (`<mdre-<mode>>`) from the inside out.

Tags that nobody defines stay as they are: they may be matching tags (`<HOST>`), tags of the time of a ban (`<ip>`), or
no tags at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from guardhooks.errors import ConfigError
from guardhooks.settings.interpolation import MAX_SIZE

MAX_DEPTH: Final = 50
"""Tags that may lead from one value to the next, and rounds in which one value may be replaced."""

_TAG = re.compile(r"<([^ <>]+)>")


class Substitution:
    """Replaces tags by what `lookup` says for them (None: not ours, leave it). Each tag is worked out once."""

    def __init__(self, lookup: Callable[[str], str | None]) -> None:
        self._lookup = lookup
        self._done: dict[str, str | None] = {}
        self._active: list[str] = []
        self._as_written: set[str] = set()
        self._composed: set[str] = set()

    def __call__(self, text: str) -> str:
        """The text with all tags replaced that can be.

        Raises ConfigError for a tag that refers to itself or makes the text larger than `MAX_SIZE`.
        """
        self._as_written.update(_TAG.findall(text))
        for _ in range(MAX_DEPTH):
            if "<" not in text:
                return text
            replaced = self._round(text)
            if replaced == text:
                return text
            text = replaced
        raise ConfigError(f"tags are still not settled after {MAX_DEPTH} rounds: {text[:80]!r}")

    @property
    def missing(self) -> list[str]:
        """Tags that were put together from others (`<mdre-<mode>>`) and then stood for nothing."""
        return sorted(tag for tag in self._composed - self._as_written if self._done.get(tag) is None)

    def _round(self, text: str) -> str:
        size = len(text)

        def replacement(match: re.Match[str]) -> str:
            nonlocal size
            self._composed.add(match[1])
            value = self._value(match[1])
            if value is None:
                return match[0]
            size += len(value)
            if size > MAX_SIZE:
                raise ConfigError(f"<{match[1]}> makes a value grow beyond {MAX_SIZE} characters")
            return value

        return _TAG.sub(replacement, text)

    def _value(self, tag: str) -> str | None:
        if tag in self._done:
            return self._done[tag]
        if tag in self._active:
            raise ConfigError(f"<{tag}> refers to itself (through {' '.join(f'<{name}>' for name in self._active)})")
        if len(self._active) >= MAX_DEPTH:
            raise ConfigError(f"more than {MAX_DEPTH} tags lead from one value to the next, up to <{tag}>")
        raw = self._lookup(tag)
        if raw is not None:
            self._active.append(tag)
            raw = self(raw)
            self._active.pop()
        self._done[tag] = raw
        return raw
