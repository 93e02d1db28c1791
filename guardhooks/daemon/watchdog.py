"""Notices from a thread of its own that the event loop is blocked, and names the plugin that blocks it."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

from guardhooks.plugins import Plugins
from guardhooks.plugins.blocking import Blocker, blocker

_BEAT: Final = 0.25
"""Seconds between two signs of life of the loop, and between two looks for them."""
_BLOCKED: Final = 1.0
"""Seconds without a sign of life that mean that the loop is blocked."""

logger = logging.getLogger("guardhooks.plugins")


class Watchdog:
    """Watches one loop, whose thread must start it. `plugins` gives those that are in use."""

    def __init__(self, loop: asyncio.AbstractEventLoop, plugins: Callable[[], Plugins]) -> None:
        self._loop, self._plugins = loop, plugins
        self._thread = threading.get_ident()
        self._last = time.monotonic()
        self._stopped = threading.Event()
        self._seen: FrameType | None = None
        self._told: Blocker | None = None

    def start(self) -> None:
        """Watch from now on."""
        self._beat()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def _beat(self) -> None:
        now = time.monotonic()
        if self._told is not None:
            logger.warning("the event loop runs again after %.0f s; it waited for %s", now - self._last, self._told)
            self._told = None
        self._last = now
        if not self._stopped.is_set():
            self._loop.call_later(_BEAT, self._beat)

    def _watch(self) -> None:
        while not self._stopped.wait(_BEAT):
            if time.monotonic() - self._last < _BLOCKED:
                self._seen = None
            elif self._told is None:
                self._look()

    def _look(self) -> None:
        """Blame a plugin whose call is the same at two looks: on a machine without time for us it would be another."""
        found = blocker(sys._current_frames().get(self._thread), self._plugins().files())  # noqa: SLF001 -- as documented
        if found is not None and found.frame is self._seen:
            self._told = found
            self._seen = None
            self._plugins().blocks(found)
        else:
            self._seen = None if found is None else found.frame
