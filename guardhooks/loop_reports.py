"""What the event loop reports because nobody waits for it, as lines of our log; wants of the machine once a minute."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Any, Final

from guardhooks.plugins.faults import shortage

_PAUSE: Final = 60.0
"""Seconds between two lines about one want: a socket that cannot be accepted is tried a hundred times a second."""

logger = logging.getLogger("guardhooks.daemon")


class LoopReports:
    """An exception handler for `loop.set_exception_handler`."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        want = shortage(error) if error is not None else ""
        if not want:
            loop.default_exception_handler(context)
        elif loop.time() - self._told.get(want, -math.inf) >= _PAUSE:
            self._told[want] = loop.time()
            logger.error("%s", want)
