"""Waiting for what another task, thread or process does, without an event of its own to wait for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE = 20.0
"""Seconds after which a test fails."""


async def until(condition: Callable[[], bool], what: str = "", patience: float = PATIENCE) -> None:
    """Let other tasks run until `condition` holds.

    :raises AssertionError: with `what`, if it does not within `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what or condition}"
        await asyncio.sleep(0.001)


def wait_for(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Ask until `condition` holds, for what another thread or process does.

    :raises AssertionError: with `what`, if it does not within `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what}"
        time.sleep(0.02)  # between two looks at another process, which has no event to give us
