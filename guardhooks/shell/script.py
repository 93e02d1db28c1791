"""From a command with dynamic tags to a script: the administrator's text, with values that attackers may have chosen.

A value becomes part of the text only if it is short and consists of `[A-Za-z0-9_.:/@%+=,-]`. Any other value is passed
in an environment variable `f2bV_TAG`, and the text gets a reference to it, quoted as its position requires.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from guardhooks.shell.quoting import Quote, Tag, tags
from guardhooks.text import safe_text

Lookup = Callable[[str], str | None]
"""The value of a dynamic tag; None for an unknown tag."""

_HARMLESS: Final = re.compile(r"[A-Za-z0-9_.:/@%+=,-]*", re.ASCII)
_LONGEST_IN_TEXT: Final = 256
_LONGEST_VALUE: Final = 32_000
"""Characters of one value, at most 128,000 bytes: the kernel accepts no variable of more than 128 KiB."""
_REFERENCE: Final = {
    Quote.BARE: '"${name}"', Quote.DOUBLE: "${name}", Quote.SINGLE: "'\"${name}\"'", Quote.HERE: "${name}",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ShellScript:
    """The argument of `/bin/sh -c`, and the variables besides the inherited ones."""

    text: str
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def argv(self) -> tuple[str, str, str]:
        """The program and its arguments, to be run in `environment`."""
        return "/bin/sh", "-c", self.text

    @property
    def environment(self) -> dict[bytes, bytes]:
        """The inherited environment with the variables of this script."""
        own = {os.fsencode(name): _encoded(value) for name, value in self.variables.items()}
        return {**os.environb, **own}


def shell_script(text: str, lookup: Lookup) -> ShellScript:
    """Replace the dynamic tags of `text` by their values; tags unknown to `lookup` stay."""
    parts: list[str] = []
    values: dict[str, str | None] = {}
    variables: dict[str, str] = {}
    position = 0
    for tag in tags(text):
        if tag.name not in values:
            raw = lookup(tag.name)
            values[tag.name] = None if raw is None else sanitized(raw)
        value = values[tag.name]
        if value is None:
            continue
        parts += (text[position : tag.start], _placed(tag, value, variables))
        position = tag.end
    return ShellScript("".join([*parts, text[position:]]), variables)


def sanitized(value: str) -> str:
    r"""A value with control characters (except newline and tab) shown as `\xNN`, cut to 32,000 characters."""
    cut = value[:_LONGEST_VALUE].replace("\r\n", "\n")
    if cut.isprintable():
        return cut
    lines = ("\t".join(safe_text(cell, _LONGEST_VALUE) for cell in line.split("\t")) for line in cut.split("\n"))
    return "\n".join(lines)[:_LONGEST_VALUE]


def _encoded(value: str) -> bytes:
    return value.replace("\0", "").encode(errors="replace")


def _placed(tag: Tag, value: str, variables: dict[str, str]) -> str:
    if tag.begins and value.startswith("-"):
        value = f"_{value}"  # So that it is not read as an option.
    if len(value) <= _LONGEST_IN_TEXT and _HARMLESS.fullmatch(value):
        return value
    name = variable_name(tag.name)
    while variables.get(name, value) != value:
        name += "_"
    variables[name] = value
    return _REFERENCE[tag.quote].replace("{name}", f"{{{name}}}")


def variable_name(tag: str) -> str:
    """`f2bV_matches`, `f2bV_F_user`: the names that fail2ban uses, so that scripts find them."""
    if tag.startswith("F-"):
        tag = f"F_{tag[2:].lower()}"
    return "f2bV_" + re.sub(r"\W", "_", tag, flags=re.ASCII)
