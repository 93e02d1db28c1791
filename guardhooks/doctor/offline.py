"""A guard that is never started: what the doctor asks when no daemon runs."""

from __future__ import annotations

import time
from pathlib import Path

from guardhooks.engine.guard import Guard
from guardhooks.ledger import Ledger
from guardhooks.plugins import Plugins
from guardhooks.settings import find_directory, load
from guardhooks.system import state_folders


async def offline_guard(plugins: Plugins, config: Path | None, state: Path | None) -> Guard:
    """A guard over the configuration and the ledger that the daemon would have. Nothing is started, locked or changed.

    :raises ConfigError: when the configuration cannot be used. :raises StateError: when the ledger cannot be read.
    """
    settings = load(find_directory(config), plugins.declared_options())
    file = state_folders.folders(state or settings.state).state / state_folders.LEDGER_FILE
    guard = Guard(settings, plugins, ledger_file=file, ledger=Ledger.snapshot(file, clock=time.time))
    await guard.ban_guard.open()
    return guard
