"""The commands of an `action.d` file for one family of addresses: static tags replaced, dynamic ones left.

Sources of a static `<tag>` are the bracket options and the file's values; `tag?family=inet6` wins for that family.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from guardhooks import ActionError, ActionSpec, ConfigError, Option, OptionTable, option_types

COMMANDS: Final = (
    "actionstart", "actionstop", "actionflush", "actionreload", "actioncheck", "actionrepair", "actionban",
    "actionprolong", "actionreban", "actionunban",
)  # fmt: skip
FAMILIES: Final = ("inet4", "inet6")
DEFAULT_TIMEOUT: Final = 60.0

_TAG: Final = re.compile(r"<([^ <>]+)>")
_CONDITIONAL: Final = re.compile(r"\w+\?family=.*")
OPTIONS: Final = OptionTable(
    "action",
    (
        Option("native", option_types.TEXT, "yes", "`no` runs the commands of the file in place of a native plugin"),
        Option("timeout", option_types.TEXT, "60s", "the time that a command may take"),
        Option("families", option_types.TEXT, "", "`inet4`, `inet6` or both", default_text="as the commands differ"),
    ),
    title="Brackets of every action: how its commands are run",
)
_ROUNDS: Final = 25
_LONGEST: Final = 120_000
"""Characters of a command; the kernel takes no argument of more than 128 KiB."""
_RESERVED: Final = frozenset({"bantime"})
"""Tags that belong to the ban, whatever a parameter of that name says."""
_ADDRESS_TAGS: Final = ("<ip>", "<ip-rev>", "<ip-host>")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*")
_UNITS: Final = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}


def is_served(action: ActionSpec) -> bool:
    """Whether the action's file or brackets give any command."""
    return any(action.get(f"{key}{variant}").strip() for key in COMMANDS for variant in ("", *_VARIANTS))


_VARIANTS: Final = tuple(f"?family={family}" for family in FAMILIES)


@dataclass(frozen=True)
class Commands:
    """What an action runs.

    `hostnames` gives `<fq-hostname>` and `<sh-hostname>`. Without `ipv6` the family `inet6` is never started.
    """

    action: ActionSpec
    hostnames: Mapping[str, str]
    ipv6: bool = True

    @cached_property
    def _values(self) -> Mapping[str, str]:
        # The commands among the properties have been through the file's own substitution, those in the brackets not.
        ready = {key: text for key, text in self.action.properties.items() if key in COMMANDS}
        common = {"br": "\n", "sp": " ", **self.hostnames}
        return {**common, **self.action.properties, **self.action.options, **ready}

    @cached_property
    def families(self) -> tuple[str, ...]:
        """`inet4` and `inet6` if they differ in anything, else one family without a name."""
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
        """Whether a family is started with its first ban only."""
        return self.flag("actionstart_on_demand", default=self._conditional)

    @cached_property
    def norestored(self) -> bool:
        """Whether bans that are put back after a restart are none of its business."""
        return self.flag("norestored")

    @cached_property
    def is_notice(self) -> bool:
        """Whether it only tells somebody: nothing is in force by it, nobody waits for it, it is never repeated."""
        undoing = ("actionunban", "actioncheck", "actionflush", "actionprolong")
        return self.norestored and not any(self.text(key, family) for key in undoing for family in self.families)

    def same(self, other: Commands) -> bool:
        """Whether both run the same."""
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
        """Seconds that a command may take. :raises ActionError: for what is no time."""
        text = self.action.get("timeout").strip().lower()
        if not text:
            return DEFAULT_TIMEOUT
        match = _DURATION.fullmatch(text)
        if match is None or match[2] not in _UNITS or not float(match[1]):
            raise ActionError(f"action {self.action.actname}: timeout {text!r} is no time such as 60, 30s or 2m")
        return float(match[1]) * _UNITS[match[2]]

    def family_of(self, address: str) -> str:
        """The family that a ban of this address, or of no address, belongs to."""
        wanted = ("inet6" if ":" in address else "inet4") if address else ""
        return wanted if wanted in self.families else self.families[0]

    def text(self, command: str, family: str) -> str:
        """A command with all static tags replaced; empty where there is nothing to do.

        :raises ActionError: for a tag that leads to itself.
        """
        text = self._value(command, family) or ""
        for _ in range(_ROUNDS):
            replaced = _TAG.sub(lambda match: self._replacement(match, family), text)
            if replaced == text:
                return text.strip()
            text = replaced
            if len(text) > _LONGEST:
                break
        raise ActionError(f"action {self.action.actname}: {command}: a tag leads to itself, or makes it grow too long")

    def names_an_address(self, command: str, family: str) -> bool:
        """Whether the command needs to know the address of the banned."""
        text = self.text(command, family)
        return any(tag in text for tag in _ADDRESS_TAGS)

    def _replacement(self, match: re.Match[str], family: str) -> str:
        value = None if match[1] in _RESERVED else self._value(match[1], family)
        return match[0] if value is None else value

    def _value(self, key: str, family: str) -> str | None:
        conditional = self._values.get(f"{key}?family={family}") if family else None
        return self._values.get(key) if conditional is None else conditional
