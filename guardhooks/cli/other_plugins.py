"""Whether there are plugins that are not in the box. Loading all to list the commands would take half a second."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from guardhooks.system.config_directories import CONFIG_DIRECTORIES

_OWN: Final = ("guardhooks-", "guardhooks.")
_SECTION: Final = b"[guardhooks]"
"""Of a distribution's entry points; the group that plugins are found by."""


def may_add_commands(config: Path | None) -> bool:
    """Whether a site hook, or a plugin of another distribution, is there. Those in the box add no commands."""
    directory = config or next((each for each in CONFIG_DIRECTORIES if each.is_dir()), None)
    return (directory is not None and any((directory / "hooks.d").glob("*.py"))) or _other_distributions()


def _other_distributions() -> bool:
    """Looks through the files of entry points, which `importlib.metadata` takes four times as long for."""
    for place in map(Path, sys.path):
        if place.is_file():
            return True  # a zip file on the path, too rare to be looked into
        for file in place.glob("*-info/entry_points.txt"):
            if not file.parent.name.startswith(_OWN) and _SECTION in file.read_bytes():
                return True
    return False
