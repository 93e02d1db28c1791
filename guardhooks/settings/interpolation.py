"""Phase 1 of substitution: `%(name)s`, `%(section/name)s`, `%(known/name)s`, evaluated when a value is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from guardhooks.settings.ini import Value
from guardhooks.settings.merged import MergedConfig
from guardhooks.settings.problems import did_you_mean, error_at

MAX_DEPTH: Final = 40
"""References that may lead from one value to the next."""
MAX_SIZE: Final = 1024 * 1024
"""Characters that a value may grow to."""

_REFERENCE = re.compile(r"%(?:(?P<percent>%)|\((?P<name>[^)]*)\)s)?")
_SECTION_AND_OPTION = re.compile(r"(?P<section>[\w-]+)/(?P<option>.+)")
_NOTHING: Final[Mapping[str, str]] = {}


class Scope:
    """A section in which values are evaluated.

    :param overrides: final texts that win over the section and `[DEFAULT]` (bracket options, options of the jail).
    :param known: final texts that `%(known/name)s` means first (what the jail's filter says).
    """

    def __init__(
        self,
        config: MergedConfig,
        section: str,
        overrides: Mapping[str, str] = _NOTHING,
        known: Mapping[str, str] = _NOTHING,
    ) -> None:
        self.config = config
        self.section = section
        self.overrides = overrides
        self.known = known
        self._done: dict[int, tuple[Value, str]] = {}  # by identity; holding the value keeps its id from being reused

    def find(self, key: str) -> Value | None:
        """Where `key` is written, without the overrides."""
        return self.config.find(self.section, key)

    def get(self, key: str) -> str | None:
        """The evaluated value of `key`, None where nobody sets it. Raises ConfigError if it cannot be evaluated."""
        if key in self.overrides:
            return self.overrides[key]
        value = self.find(key)
        return None if value is None else self.text(value)

    def earlier(self, key: str) -> str | None:
        """What `known/key` means here for somebody who is not one of the values; None where nothing was replaced."""
        value = self._earlier(key, None)
        return None if value is None else self.text(value)

    def text(self, value: Value) -> str:
        """A value's text with all references replaced. Raises ConfigError naming the value that is wrong."""
        return self._expand(value, (value,))

    def sources(self, value: Value) -> list[Value]:
        """The value and all values that it refers to, directly or through others."""
        found: list[Value] = []
        left = [value]
        while left:
            value = left.pop()
            if any(value is one for one in found):
                continue
            found.append(value)
            names = [match["name"] for match in _REFERENCE.finditer(value.text) if match["name"]]
            left += [target for name in names if (target := self._target(name.lower(), value)) is not None]
        return found

    def _expand(self, value: Value, chain: tuple[Value, ...]) -> str:
        if "%" not in value.text:
            return value.text
        if id(value) not in self._done:
            self._done[id(value)] = (value, self._replace_all(value, chain))
        return self._done[id(value)][1]

    def _replace_all(self, value: Value, chain: tuple[Value, ...]) -> str:
        parts: list[str] = []
        size = end = 0
        for match in _REFERENCE.finditer(value.text):
            parts += (value.text[end : match.start()], self._replacement(match, value, chain))
            end = match.end()
            size += len(parts[-1])
            if size > MAX_SIZE:
                raise error_at(value, f"grows beyond {MAX_SIZE} characters")
        parts.append(value.text[end:])
        return "".join(parts)

    def _replacement(self, match: re.Match[str], value: Value, chain: tuple[Value, ...]) -> str:
        if match["percent"]:
            return "%"
        if match["name"] is None:
            found = value.text[match.start() : match.start() + 12]
            raise error_at(
                value, f"'%' must be followed by '%' or '(name)s', found {found!r}; write '%%' for a percent"
            )
        name = match["name"].lower()
        if name == "__name__":
            return self.section
        if name in self.overrides:
            return self.overrides[name]
        if name.startswith("known/") and name[6:] in self.known:
            return self.known[name[6:]]
        target = self._target(name, value)
        if target is None:
            raise error_at(value, f"%({match['name']})s is not set anywhere{did_you_mean(name, self._names())}")
        if any(target is seen for seen in chain):
            raise error_at(value, f"%({match['name']})s refers to itself")
        if len(chain) >= MAX_DEPTH:
            raise error_at(value, f"more than {MAX_DEPTH} references lead from one value to the next")
        return self._expand(target, (*chain, target))

    def _target(self, name: str, referrer: Value) -> Value | None:
        """The value that a reference means: a plain name, else `known/x`, else `section/x`."""
        plain = self.config.find(self.section, name)
        parts = _SECTION_AND_OPTION.fullmatch(name)
        if plain is not None or parts is None:
            return plain
        section, option = parts["section"], parts["option"]
        if section == "known":
            return self._earlier(option, referrer)
        if section == "default":
            return self.config.defaults.get(option)
        return self.config.find(section, option) if section in self.config.sections else None

    def _earlier(self, option: str, referrer: Value | None) -> Value | None:
        """What `option` said before the value that refers to it, or before the last one that replaced it."""
        default = self.config.defaults.get(option)
        if referrer is not None and referrer.key == option and referrer.section == "DEFAULT":
            return referrer.previous
        if referrer is not None and referrer.key == option and referrer.section == self.section:
            return referrer.previous or default
        own = self.config.sections.get(self.section, {}).get(option)
        return (own.previous if own and self.section != "DEFAULT" else None) or default

    def _names(self) -> set[str]:
        return {*self.config.sections.get(self.section, {}), *self.config.defaults, *self.overrides}
