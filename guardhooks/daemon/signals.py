"""Signals, noticed by a thread of its own: SIGTERM ends the process though a plugin blocks the event loop.

The interpreter's C handler writes the number of each signal to the wakeup descriptor at once; its Python handlers, and
asyncio's, have to wait for the main thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Final

from guardhooks import logs
from guardhooks.system.worker_pool import thread_names
from guardhooks.text import safe_text

STOP_TIME: Final = 15.0
"""Seconds after which a daemon that was asked to end is ended, whatever hangs."""
_LAST_WORDS: Final = 1.0
"""Seconds that the log has to be written then."""

logger = logging.getLogger("guardhooks.daemon")


class Signals:
    """Calls `stop` (SIGTERM, SIGINT), `reload` (SIGHUP) and `reopen` (SIGUSR1) in the loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        stop: Callable[[], None],
        reload: Callable[[], None],
        reopen: Callable[[], None],
    ) -> None:
        self._loop, self._stop = loop, stop
        self._others = {signal.SIGHUP: reload, signal.SIGUSR1: reopen}
        self._reading, self._written = socket.socketpair()
        self._deadline: float | None = None

    def start(self) -> None:
        """Handle signals from now on. To be called in the main thread."""
        self._written.setblocking(False)
        for number in (signal.SIGTERM, signal.SIGINT, *self._others):
            signal.signal(number, self._in_main_thread)
            signal.siginterrupt(number, False)
        signal.set_wakeup_fd(self._written.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, name="signals", daemon=True).start()

    def expect_end(self) -> None:
        """The process has been asked to end: from now on the time runs. May be called from any thread."""
        with contextlib.suppress(OSError):
            self._written.send(bytes([signal.SIGTERM]))

    def _in_main_thread(self, number: int, _frame: object) -> None:
        if other := self._others.get(signal.Signals(number)):
            self._call(other)
        else:  # for the thread, if a plugin has taken the wakeup descriptor
            with contextlib.suppress(OSError):
                self._written.send(bytes([number]))

    def _call(self, function: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(function)

    def _watch(self) -> None:
        while True:
            left = None if self._deadline is None else self._deadline - time.monotonic()
            if left is not None and left <= 0:
                self._end_by_force()
            self._reading.settimeout(left)
            with contextlib.suppress(TimeoutError):
                for number in self._reading.recv(64):
                    self._noticed(number)

    def _noticed(self, number: int) -> None:
        if number not in {signal.SIGTERM, signal.SIGINT}:
            return
        if self._deadline is None:
            self._deadline = time.monotonic() + STOP_TIME
        self._call(self._stop)

    @staticmethod
    def _end_by_force() -> None:
        logger.critical("did not end within %.0f s, ending by force; bans stay in force. %s", STOP_TIME, what_hangs())
        logs.wait(_LAST_WORDS)
        os._exit(1)


def what_hangs() -> str:
    """Where each thread stands that is not just waiting for work, one line."""
    names = thread_names()
    places = []
    for ident, frame in sys._current_frames().items():  # noqa: SLF001 -- documented, for this purpose
        if ident == threading.get_ident():
            continue
        last = traceback.extract_stack(frame)[-1]
        if not last.filename.endswith(("/threading.py", "/worker_pool.py", "/selectors.py")):
            places.append(f"{names.get(ident, '?')}: {last.filename}:{last.lineno} in {last.name}")
    return safe_text(f"Under way: {'; '.join(places) or 'nothing'}")
