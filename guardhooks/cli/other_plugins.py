"""What can be known of plugins' commands without loading a plugin: loading all would take half a second.

A distribution declares commands in the entry point group `guardhooks.commands` (name → `module:command`); those that a
plugin adds by the hook `add_commands` are known only when it is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from guardhooks.system.config_directories import CONFIG_DIRECTORIES

_OWN: Final = ("guardhooks-", "guardhooks.")
_SECTION: Final = b"[guardhooks]"
"""Of a distribution's entry points; the group that plugins are found by."""
_COMMANDS: Final = "[guardhooks.commands]"


def may_add_commands(config: Path | None) -> bool:
    """Whether a site hook, or a plugin of another distribution, is there. Those in the box add no commands."""
    directory = config or next((each for each in CONFIG_DIRECTORIES if each.is_dir()), None)
    return (directory is not None and any((directory / "hooks.d").glob("*.py"))) or _other_distributions()


@cache
def declared_commands() -> Mapping[str, str]:
    """Command → `module:attribute`, as installed distributions declare them."""
    found: dict[str, str] = {}
    for file in _entry_point_files():
        text = file.read_text(encoding="utf-8", errors="replace")
        if _COMMANDS in text:
            section = text.partition(_COMMANDS)[2].partition("\n[")[0]
            pairs = (line.partition("=") for line in section.splitlines() if "=" in line)
            found |= {name.strip(): target.strip() for name, _, target in pairs}
    return found


def _other_distributions() -> bool:
    """Looks through the files of entry points, which `importlib.metadata` takes four times as long for."""
    if any(Path(place).is_file() for place in sys.path):
        return True  # a zip file on the path, too rare to be looked into
    return any(not file.parent.name.startswith(_OWN) and _SECTION in file.read_bytes() for file in _entry_point_files())


def _entry_point_files() -> Iterator[Path]:
    for place in map(Path, sys.path):
        yield from place.glob("*-info/entry_points.txt")
