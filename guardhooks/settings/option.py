"""Declared options: what a key is called, how its value is written, its default, and where it may stand.

Host and plugins declare every key of every configuration file in `OptionTable`s. Parsing, reports of unknown keys and
the tables of docs/configuration.md all come from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

from guardhooks.settings.ini import Value
from guardhooks.settings.option_types import OptionType

T = TypeVar("T")

Place: TypeAlias = Literal[
    "guardhooks", "log", "plugins", "fail2ban", "jail", "filter", "action", "backend", "ignorecache"
]
"""Where an option may stand.

`guardhooks`, `log` and `plugins` are the sections of `guardhooks.conf`, `fail2ban` is `[Definition]` of
`fail2ban.conf`, `jail` a jail's section or `[DEFAULT]` of the jail files; the others are the brackets behind a filter,
an action and `backend = systemd`, and the list in `ignorecache`.
"""

_HIDDEN: Final = "(hidden)"


@dataclass(frozen=True, slots=True)
class Option(Generic[T]):
    """One key.

    :param default: the value where nobody sets the key.
    :param help: what it does, in words that complete a row of a table; Markdown.
    :param unit: the unit of plain numbers: `seconds`, `bytes`.
    :param default_text: the default in words, where it depends on something else.
    :param reload: whether a reload applies a changed value; else the daemon must be restarted.
    :param secret: whether the value must not be shown.
    """

    name: str
    type: OptionType[T]
    default: T
    help: str
    unit: str = ""
    default_text: str = ""
    reload: bool = True
    secret: bool = False

    def parse(self, text: str) -> T:
        """The value of a text. :raises ConfigError: saying what is allowed."""
        return self.type.parse(text.strip())

    def remark(self, text: str) -> str:
        """What to say of a text that `parse` accepts but takes for another value; empty if nothing."""
        return self.type.remark(text.strip())

    def render(self, value: T) -> str:
        """The text that `parse` turns into this value."""
        return self.type.render(value)


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """The value that an option has, and where it was written; `place` is None for a default."""

    option: Option[T]
    value: T
    place: Value | None = None

    @property
    def origin(self) -> str:
        """`file:line`, or `default`."""
        return f"{self.place.file}:{self.place.line}" if self.place else "default"

    @property
    def text(self) -> str:
        """The value as it would be written in a file; a secret is hidden, and a default may be described in words."""
        if self.place is None and self.option.default_text:
            return self.option.default_text
        return _HIDDEN if self.option.secret and self.place else self.option.render(self.value)


@dataclass(frozen=True, slots=True)
class OptionTable:
    """Options that may stand in one place.

    :param names: the actions or filters whose brackets they belong to; empty for all of them.
    :param title: heading of the table in docs/configuration.md.
    """

    place: Place
    options: tuple[Option[Any], ...]
    names: tuple[str, ...] = ()
    title: str = ""

    def __iter__(self) -> Iterator[Option[Any]]:
        return iter(self.options)

    @property
    def option_names(self) -> frozenset[str]:
        return frozenset(option.name for option in self.options)

    def applies_to(self, place: Place, name: str = "") -> bool:
        """Whether the options may stand there, in the brackets of this action or filter."""
        return self.place == place and (not self.names or name in self.names)
