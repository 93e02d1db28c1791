"""Pools whose threads exist before memory, or the number of threads, is short.

`threading.Thread.start` waits for the new thread without a limit, and one that dies for want of memory before it
reports itself blocks the caller forever: for a pool of the daemon that would be the event loop.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Final

_START_TIME: Final = 30.0
"""Seconds that the threads of a pool may take to start."""


def ready_pool(threads: int, name: str) -> ThreadPoolExecutor:
    """A pool of which every thread runs already.

    :raises RuntimeError: when the threads cannot be started.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    met = Barrier(threads, timeout=_START_TIME)
    for waiting in [pool.submit(met.wait) for _ in range(threads)]:
        waiting.result()
    return pool
