"""The plugins that a command works with when it is not the daemon that loads them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from guardhooks.plugins import Plugins
from guardhooks.settings import find_directory

_HOOKS_FOLDER: Final = "hooks.d"


def load_plugins(config: Path | None) -> Plugins:
    """All plugins that a daemon with this configuration directory would load.

    :raises ConfigError: when there is no such directory. :raises PluginError: when two plugins have one name.
    """
    return Plugins.load(hooks_folder=find_directory(config) / _HOOKS_FOLDER)
