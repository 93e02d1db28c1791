"""The systemd unit as shipped, and as it reads for one installation."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Final

from guardhooks.errors import ConfigError

_UNIT: Final = Path(__file__).parent / "guardhooks.service"
_UNSAFE: Final = frozenset("\"'\\\n\r\t")
"""Characters that a unit would read as syntax, even between quotes."""


def unit(program: str, *, config: Path | None = None, state: Path | None = None) -> str:
    """The text of guardhooks.service.

    :param program: the command as `program()` says it. :param config: configuration directory, None for the default.
    :param state: state folder, None for /var/lib/guardhooks; the unit may write it.
    :raises ConfigError: when a path cannot stand in a unit.
    """
    options = "".join(
        f" {option} {_quoted(path)}" for option, path in (("-c", config), ("--state", state)) if path is not None
    )
    text = _UNIT.read_text(encoding="utf-8")
    writable = f" {_quoted(state)}" if state is not None else ""
    for name, value in (("GUARDHOOKS", program), ("OPTIONS", options), ("WRITABLE", writable)):
        text = text.replace(f"@{name}@", value)
    return text


def program() -> str:
    """How a unit starts this very installation: its script, or the interpreter with the module."""
    script = Path(sys.argv[0])
    if script.name == "guardhooks" and script.is_absolute() and os.access(script, os.X_OK):
        return _quoted(script)
    beside = Path(sys.executable).parent / "guardhooks"
    if os.access(beside, os.X_OK):
        return _quoted(beside)
    return f"{_quoted(Path(sys.executable))} -m guardhooks"


def _quoted(path: Path) -> str:
    """An absolute path as one word of a unit: `%` begins a specifier and `$` a variable there."""
    text = os.path.abspath(path)  # noqa: PTH100 -- resolve() would follow links, such as a virtual environment's python
    if _UNSAFE & set(text):
        raise ConfigError(f"{text!r} cannot stand in a systemd unit; use a path without quotes and backslashes")
    if shlex.quote(text) != text:
        return '"' + text.replace("%", "%%").replace("$", "$$") + '"'
    return text.replace("%", "%%")
