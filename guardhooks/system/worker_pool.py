"""Worker threads for what may block: bounded, and never a reason for the process to stay.

`ThreadPoolExecutor` lets the interpreter wait at its end for every call that is under way, so one call that hangs keeps
a daemon from stopping; these threads do not stay. A `Bulkhead` keeps what hangs in one place from using up a pool.

`threading.Thread.start` waits for the new thread without a limit, and one that dies for want of memory before it
reports itself would block the caller, the event loop, forever. So threads are started by `_thread`, which waits for
nothing.
"""

from __future__ import annotations

import _thread
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_IDLE: Final = 30.0
"""Seconds after which a thread that is not needed ends."""
_names: Final[dict[int, str]] = {}


def thread_names() -> dict[int, str]:
    """The names of all threads by their idents, those of pools included."""
    return {**_names, **{thread.ident: thread.name for thread in threading.enumerate() if thread.ident is not None}}


class _Job:
    """A call to be made, and the future that gets what comes of it."""

    __slots__ = ("_call", "future")

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self.future: Future[Any] = Future()

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self._call()
        except BaseException as error:  # noqa: BLE001 -- it is raised where the result is awaited
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class WorkerPool(ThreadPoolExecutor):
    """An executor of daemon threads.

    It is a `ThreadPoolExecutor` by name only: asyncio takes no other for its default. Where the system refuses a new
    thread, the call waits for one of those that there are.

    :param ready: threads that are started at once, so that they are there when none can be started any more.
    :param most: threads at most.
    :param start_time: seconds that the first threads may take to start.
    :raises RuntimeError: when the first threads cannot be started.
    """

    def __init__(self, name: str, *, ready: int = 1, most: int = 16, start_time: float = 30.0) -> None:
        self._name, self._ready, self._most = name, ready, most
        self._changed = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._idle = self._running = 0
        self._is_closed = False
        with self._changed:
            for _ in range(ready):
                self._start()
            if not self._changed.wait_for(lambda: self._idle >= ready, start_time):
                self._is_closed = True  # a thread that starts after all ends at once
                raise RuntimeError(f"the threads of the worker pool {name} do not start")

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a function called by the next free thread.

        :raises RuntimeError: when the pool is closed, or has no thread and can start none.
        """
        job = _Job(lambda: fn(*args, **kwargs))
        with self._changed:
            if self._is_closed:
                raise RuntimeError(f"the worker pool {self._name} is closed")
            if self._idle <= len(self._jobs) and self._running < self._most:
                try:
                    self._start()
                except RuntimeError:
                    if not self._running:
                        raise
            self._jobs.append(job)
            self._changed.notify()
        return job.future

    def _start(self) -> None:
        _thread.start_new_thread(self._work, ())
        self._running += 1

    def _work(self) -> None:
        if trace := threading.gettrace():  # as `threading` does, for debuggers and the coverage
            sys.settrace(trace)
        _names[threading.get_ident()] = self._name
        try:
            self._work_until_idle()
        finally:
            _names.pop(threading.get_ident(), None)

    def _work_until_idle(self) -> None:
        while (job := self._next()) is not None:
            job.run()
            del job  # with what it holds, while the thread waits for the next

    def _next(self) -> _Job | None:
        """The next job; None when the thread is to end."""
        with self._changed:
            self._idle += 1
            if self._idle == self._ready:
                self._changed.notify_all()  # the constructor waits for it
            try:
                while not self._jobs:
                    if self._is_closed or (not self._changed.wait(_IDLE) and self._running > self._ready):
                        self._running -= bool(not self._jobs)
                        return self._jobs.popleft() if self._jobs else None
                return self._jobs.popleft()
            finally:
                self._idle -= 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 -- the interface's
        """Take no more calls. Those under way are not waited for."""
        with self._changed:
            self._is_closed = True
            waiting = list(self._jobs) if cancel_futures else []
            for job in waiting:
                self._jobs.remove(job)
            self._changed.notify_all()
        for job in waiting:
            job.future.cancel()


class Bulkhead(Executor):
    """A part of a pool: at most `most` of its threads at a time, so that what hangs here leaves the rest to others."""

    def __init__(self, pool: Executor, most: int) -> None:
        self._pool, self._most = pool, most
        self._lock = threading.Lock()
        self._jobs: deque[_Job] = deque()
        self._running = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As the pool's."""
        job = _Job(lambda: fn(*args, **kwargs))
        with self._lock:
            self._jobs.append(job)
            is_full = self._running >= self._most
            self._running += not is_full
        if not is_full:
            try:
                self._pool.submit(self._work)
            except RuntimeError:
                with self._lock, suppress(ValueError):
                    self._running -= 1
                    self._jobs.remove(job)
                raise
        return job.future

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._running -= 1
                    return
                job = self._jobs.popleft()
            job.run()
