"""Blocking work beside the event loop, in a thread that nobody waits for when the process ends."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from guardhooks import ActionError

T = TypeVar("T")


async def in_thread(function: Callable[[], T]) -> T:
    """What `function` returns. When cancelled, the thread goes on and its result is dropped.

    :raises ActionError: what it raised; OSError and ValueError come as they are.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    threading.Thread(target=_run, args=(function, future, loop), name="mail", daemon=True).start()
    return await future


def _run(function: Callable[[], T], future: asyncio.Future[T], loop: asyncio.AbstractEventLoop) -> None:
    error: Exception = ActionError("the work ended by a fault of the plugin")
    result: list[T] = []
    try:
        result.append(function())
    except (ActionError, OSError, ValueError) as failure:
        error = failure
    finally:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know
            loop.call_soon_threadsafe(_settle, future, result, error)


def _settle(future: asyncio.Future[T], result: list[T], error: Exception) -> None:
    if future.cancelled():
        return
    if result:
        future.set_result(result[0])
    else:
        future.set_exception(error)
