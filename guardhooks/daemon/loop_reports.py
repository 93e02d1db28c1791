"""Logs errors of the event loop and of threads that no code awaits; exhausted resources once a minute."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from typing import Any, Final

from guardhooks.plugins.faults import cause_of, resource_exhaustion

_PAUSE: Final = 60.0
"""Seconds between two lines about one cause: a socket that cannot be accepted is tried a hundred times a second."""

logger = logging.getLogger("guardhooks.daemon")


class LoopReports:
    """An exception handler for `loop.set_exception_handler`."""

    def __init__(self) -> None:
        self._logged: dict[str, float] = {}

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        cause = resource_exhaustion(error) if error is not None else ""
        if not cause:
            loop.default_exception_handler(context)
        elif loop.time() - self._logged.get(cause, -math.inf) >= _PAUSE:
            self._logged[cause] = loop.time()
            logger.error("%s", cause)


def thread_died(what: threading.ExceptHookArgs) -> None:
    """A `threading.excepthook`: one line for a thread that ended by an error, such as the one that waits for inotify.

    The part that relied on it notices: a log source changes to polling.
    """
    if what.exc_type is not SystemExit and what.exc_value is not None:
        logger.error("thread %s died: %s", what.thread.name if what.thread else "?", cause_of(what.exc_value))
