"""Waiting for what another task, thread or process does, without an event of its own to wait for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE = 20.0
"""Seconds after which a test fails."""


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until `condition` holds.

    :raises TimeoutError: if it does not within `PATIENCE`.
    """
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)


def wait_for(condition: Callable[[], bool], what: str, timeout: float = PATIENCE) -> None:
    """Ask until `condition` holds, for what another thread or process does.

    :raises AssertionError: with `what`, if it does not within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(0.02)  # between two looks at another process, which has no event to give us
