"""A guard that does not work: what a doctor without a daemon asks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from guardhooks.engine.guard import Guard
from guardhooks.ledger import Ledger
from guardhooks.plugins import Plugins
from guardhooks.settings import find_directory, load
from guardhooks.system import state_folders

_LEDGER_FILE: Final = "ledger.sqlite3"


async def offline_guard(plugins: Plugins, config: Path | None, state: Path | None) -> Guard:
    """A guard over the configuration and the ledger that the daemon would have. Nothing of it is started or taken.

    :raises ConfigError: when the configuration cannot be used. :raises StateError: when the ledger cannot be read.
    """
    settings = load(find_directory(config))
    guard = Guard(settings, plugins)
    guard.ledger_file = state_folders.folders(state or settings.state).state / _LEDGER_FILE
    guard.ledger = Ledger.snapshot(guard.ledger_file, clock=time.time)
    await guard.ban_guard.open()
    return guard
