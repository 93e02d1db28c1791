"""A thread for calls that may never return."""

from __future__ import annotations

import _thread
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

_Result = TypeVar("_Result")


class BoundedWorker:
    """Makes calls one after the other in a thread of its own.

    :raises RuntimeError: when the thread cannot be started.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        # threading.Thread waits without a limit until the thread has reported itself.
        _thread.start_new_thread(self._work, ())

    def call(self, function: Callable[[], _Result], seconds: float) -> _Result:
        """What `function` returns or raises.

        :raises TimeoutError: when it has not returned in time; the worker must then be given up.
        """
        future: Future[_Result] = Future()
        self._calls.put(lambda: _settle(future, function))
        return future.result(seconds)

    def end(self) -> None:
        """Let the thread end, after the calls that wait."""
        self._calls.put(_thread.exit)

    def _work(self) -> None:
        while True:
            self._calls.get()()


def _settle(future: Future[_Result], function: Callable[[], _Result]) -> None:
    try:
        future.set_result(function())
    except BaseException as error:  # noqa: BLE001 -- raised where the caller waits
        future.set_exception(error)
