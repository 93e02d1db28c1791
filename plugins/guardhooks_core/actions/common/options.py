"""Options in an action's brackets, looked at in the same way by the plugins that serve actions. No plugin."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from typing import Final, TypeVar

from guardhooks import ActionSpec, ConfigError, Option, option_types, safe_text

T = TypeVar("T")

PASSED: Final = frozenset({"name", "actname", "native", "port", "protocol", "chain", "bantime"})
"""What every action may be given: `action = %(action_)s` hands `port` and the like to whatever `banaction` names."""

_COMMANDS: Final = frozenset({
    "actionstart", "actionstop", "actionflush", "actionreload", "actioncheck", "actionrepair", "actionban",
    "actionprolong", "actionreban", "actionunban",
})  # fmt: skip


def fault(action: ActionSpec, message: str) -> ConfigError:
    """The error for something that is wrong in this action's options, with its place where that is known."""
    place = f"{action.place}: " if action.place else ""
    return ConfigError(f"{place}action {action.actname}: {message}")


def unknown_options(action: ActionSpec, known: Collection[str]) -> list[str]:
    """Names in the brackets that neither the action knows nor every action may be given."""
    names = {key.partition("?")[0] for key in action.options}
    return sorted(names - PASSED - set(known))


def refuse_unknown(action: ActionSpec, known: Collection[str]) -> None:
    """Make sure that the brackets hold only options that the action knows.

    :raises ConfigError: naming the first that it does not, and the nearest that it does.
    """
    for name in unknown_options(action, known):
        near = difflib.get_close_matches(name, [*known, *PASSED], 1)
        hint = f"did you mean {near[0]}?" if near else f"it knows {', '.join(sorted(known))}"
        raise fault(action, f"option {safe_text(name, 40)!r} is unknown; {hint}")


def value(action: ActionSpec, option: Option[T], default: T | None = None) -> T:
    """The value of a declared option; where it is not set, `default`, or else the option's own default.

    :raises ConfigError: when it is not allowed.
    """
    text = action.get(option.name).strip()
    if not text:
        return option.default if default is None else default
    try:
        return option.parse(text)
    except ConfigError as error:
        raise fault(action, f"{option.name} = {safe_text(str(error), 300)}") from None


def for_family(action: ActionSpec, key: str, version: int) -> str:
    """An option that may differ by IP version; a plain bracket option beats a family's variant in the file."""
    variant = f"{key}?family=inet{version}"
    for source in (action.options, action.properties):
        for name in (variant, key):
            if name in source:
                return source[name]
    return ""


def is_wanted_native(action: ActionSpec) -> bool:
    """Whether the brackets leave the action to a plugin, that is, do not say `native = no`."""
    try:
        return option_types.BOOLEAN.parse(action.get("native").strip() or "yes")
    except ConfigError:
        return True  # `native = rules` asks for another plugin


def has_commands_like(action: ActionSpec, **patterns: str) -> bool:
    """Whether the action's commands are those that a plugin stands in for: each is blank or matches its pattern.

    So a site's own file of a stock name, and a command given in the brackets, are run as they are written.
    """
    return all(
        not text or re.fullmatch(patterns.get(key, ""), text)
        for key in _COMMANDS
        for text in (" ".join(action.get(key).split()),)
    )


def is_stand_in(action: ActionSpec, known: Collection[str], **patterns: str) -> bool:
    """Whether a plugin serves a stock name in place of its file.

    Not with `native = no`, not where a site's file of that name has commands of its own, and not with options that
    only the file's commands can know.
    """
    has_commands = any(action.get(key).strip() for key in _COMMANDS)
    foreign = has_commands and bool(unknown_options(action, known))
    return is_wanted_native(action) and has_commands_like(action, **patterns) and not foreign
