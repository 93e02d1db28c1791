"""Runs blocking work in a daemon thread, which the end of the process does not wait for."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from guardhooks import ActionError

T = TypeVar("T")


async def in_thread(function: Callable[[], T]) -> T:
    """The result of `function`. If cancelled, the thread continues and its result is dropped.

    :raises ActionError: if it was raised; OSError and ValueError are passed on as well.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    threading.Thread(target=_run, args=(function, future, loop), name="mail", daemon=True).start()
    return await future


def _run(function: Callable[[], T], future: asyncio.Future[T], loop: asyncio.AbstractEventLoop) -> None:
    error: Exception = ActionError("the mail thread failed; this is a fault in the plugin")
    result: list[T] = []
    try:
        result.append(function())
    except (ActionError, OSError, ValueError) as failure:
        error = failure
    finally:
        with contextlib.suppress(RuntimeError):  # The loop is closed: no one awaits the result.
            loop.call_soon_threadsafe(_settle, future, result, error)


def _settle(future: asyncio.Future[T], result: list[T], error: Exception) -> None:
    if future.cancelled():
        return
    if result:
        future.set_result(result[0])
    else:
        future.set_exception(error)
