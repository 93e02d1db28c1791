"""The commands of an `action.d` file for one address family: static tags replaced, dynamic tags left in place.

The values of static tags come from the brackets and the file; `tag?family=inet6` takes precedence for that family.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from guardhooks import ActionError, ActionSpec, ConfigError, Option, OptionTable, option_types
from guardhooks_core.actions.common.options import COMMANDS

FAMILIES: Final = ("inet4", "inet6")
DEFAULT_TIMEOUT: Final = 60.0

_TAG: Final = re.compile(r"<([^ <>]+)>")
_CONDITIONAL: Final = re.compile(r"\w+\?family=.*")
_TIMEOUT: Final = Option(
    "timeout",
    option_types.duration(0.1, below=DEFAULT_TIMEOUT),
    DEFAULT_TIMEOUT,
    "the time that a command may take",
)
OPTIONS: Final = OptionTable(
    "action",
    (
        Option("native", option_types.TEXT, "yes", "`no` runs the commands of the file in place of a native plugin"),
        _TIMEOUT,
        Option("families", option_types.TEXT, "", "`inet4`, `inet6` or both", default_text="as the commands differ"),
    ),
    title="Brackets of every action: how its commands are run",
)
_ROUNDS: Final = 25
_VARIANTS: Final = ("", *(f"?family={family}" for family in FAMILIES))
_LONGEST: Final = 120_000
"""Characters of a command; the kernel accepts no argument of more than 128 KiB."""
_RESERVED: Final = frozenset({"bantime"})
"""Tags that take their value from the ban, not from a parameter of that name."""
_ADDRESS_TAGS: Final = ("<ip-rev>", "<ip-host>")
_ADDRESS_OR_ID: Final = "<ip>"
"""The address, or where the ban has none, the id: fail2ban's action files lock accounts by it."""
_ACCOUNT: Final = re.compile(r"\w[\w.@+:/\\%=~#-]{0,255}")
"""Ids that may stand where a command expects an address. Others (with blanks, quotes, line breaks, a leading dash) may
become options, or lines of their own in what the command writes, such as /etc/hosts.deny."""


def has_commands(action: ActionSpec) -> bool:
    """Whether the action's file or brackets define any command."""
    return any(action.get(f"{key}{variant}").strip() for key in COMMANDS for variant in _VARIANTS)


@dataclass(frozen=True)
class Commands:
    """The commands of one action.

    `hostnames` has the values of `<fq-hostname>` and `<sh-hostname>`. Without `ipv6` the family `inet6` is not started.
    """

    action: ActionSpec
    hostnames: Mapping[str, str]
    ipv6: bool = True

    @cached_property
    def _values(self) -> Mapping[str, str]:
        # In the properties, commands have been through the substitution of the file; in the brackets they have not.
        ready = {key: text for key, text in self.action.properties.items() if key in COMMANDS}
        common = {"br": "\n", "sp": " ", **self.hostnames}
        with contextlib.suppress(ActionError):  # Running a command tells of it.
            ready["timeout"] = f"{self.timeout:g}"  # in seconds, whatever unit it is written in
        return {**common, **self.action.properties, **self.action.options, **ready}

    @cached_property
    def families(self) -> tuple[str, ...]:
        """`inet4` and `inet6` if they differ in anything, else a single unnamed family."""
        if named := self.action.get("families").replace(",", " ").split():
            return tuple(named)
        if not self._conditional:
            return ("",)
        return FAMILIES if self.ipv6 else FAMILIES[:1]

    @cached_property
    def _conditional(self) -> bool:
        return any(_CONDITIONAL.fullmatch(key) for key in (*self.action.properties, *self.action.options))

    @cached_property
    def on_demand(self) -> bool:
        """Whether a family is started at its first ban."""
        return self.flag("actionstart_on_demand", default=self._conditional)

    @cached_property
    def norestored(self) -> bool:
        """Whether the action skips bans that are restored after a restart."""
        return self.flag("norestored")

    @cached_property
    def is_notification(self) -> bool:
        """Whether the action only notifies: it puts nothing in force, no ban waits for it, and it is never repeated."""
        undoing = ("actionunban", "actioncheck", "actionflush", "actionprolong")
        return self.norestored and not any(self.text(key, family) for key in undoing for family in self.families)

    def can_undo(self, family: str) -> bool:
        """Whether single bans can be lifted."""
        return bool(self.text("actionunban", family))

    def same(self, other: Commands) -> bool:
        """Whether both run the same commands."""
        return (self.families, self.timeout, self.norestored) == (
            other.families,
            other.timeout,
            other.norestored,
        ) and all(self.text(key, family) == other.text(key, family) for key in COMMANDS for family in self.families)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """A yes/no parameter, `1 on true yes` in any case being yes."""
        text = self.action.get(key).strip()
        try:
            return option_types.BOOLEAN.parse(text) if text else default
        except ConfigError:
            return False  # as fail2ban reads any other word

    @cached_property
    def timeout(self) -> float:
        """Seconds that a command may take.

        :raises ActionError: if the option is not a duration.
        """
        text = self.action.get("timeout").strip()
        try:
            return _TIMEOUT.parse(text) if text else _TIMEOUT.default
        except ConfigError as error:
            raise ActionError(f"action {self.action.actname}: timeout: {error}") from None

    def family_of(self, address: str) -> str:
        """The family of a ban of this address (empty: of a text id)."""
        wanted = ("inet6" if ":" in address else "inet4") if address else ""
        return wanted if wanted in self.families else self.families[0]

    def text(self, command: str, family: str) -> str:
        """A command with all static tags replaced; empty if there is nothing to run.

        :raises ActionError: if a tag refers to itself.
        """
        text = self._value(command, family) or ""
        for _ in range(_ROUNDS):
            replaced = _TAG.sub(lambda match: self._replacement(match, family), text)
            if replaced == text:
                return text.strip()
            text = replaced
            if len(text) > _LONGEST:
                break
        raise ActionError(
            f"action {self.action.actname}: {command}: a tag refers to itself, or makes the command too long"
        )

    def can_name(self, command: str, family: str, id: str) -> bool:
        """Whether the command can be run for an id that is not an address."""
        text = self.text(command, family)
        if any(tag in text for tag in _ADDRESS_TAGS):
            return False
        return _ADDRESS_OR_ID not in text or _ACCOUNT.fullmatch(id) is not None

    def _replacement(self, match: re.Match[str], family: str) -> str:
        value = None if match[1] in _RESERVED else self._value(match[1], family)
        return match[0] if value is None else value

    def _value(self, key: str, family: str) -> str | None:
        conditional = self._values.get(f"{key}?family={family}") if family else None
        return self._values.get(key) if conditional is None else conditional
