"""Speaks to the service manager that started the daemon: ready, reloading, stopping, and that the loop still turns.

Protocol: sd_notify(3), datagrams to `$NOTIFY_SOCKET`; keep-alives as in sd_watchdog_enabled(3).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

_KEEP_ALIVES: Final = 4
"""So many within the time after which the manager ends a service that has sent none."""

_MICROSECONDS: Final = 1_000_000

logger = logging.getLogger("guardhooks.daemon")


class ServiceManager:
    """The manager that `environment` names; nobody is told anything where it names none."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._patience = _watchdog_seconds(environment)
        self._told = ""

    def ready(self, status: str) -> None:
        """The service has started, or reloaded; `status` is shown by `systemctl status`."""
        self._told = status
        self._send(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        """The service is about to end."""
        self._send("STOPPING=1")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """The service reads its configuration again; it is ready afterwards, whatever became of it."""
        self._send("RELOADING=1")
        try:
            yield
        finally:
            self._send("READY=1")

    async def keep_alive(self, status: Callable[[], str]) -> None:
        """Send keep-alives from the running loop, and the status when it changed.

        A loop that is blocked sends none: the manager ends the daemon then and starts it again. Returns at once where
        no keep-alives are wanted.
        """
        while self._patience:
            self._send("WATCHDOG=1")
            now = status()
            if now != self._told:
                self._told = now
                self._send(f"STATUS={now}")
            await asyncio.sleep(self._patience / _KEEP_ALIVES)

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
            notifier.setblocking(False)  # a manager that does not read must not block the loop
            try:
                notifier.sendto(message.encode(), self._address)
            except OSError as error:
                logger.warning("cannot notify the service manager of %s: %s", message.partition("\n")[0], error)


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """How long the manager waits for a keep-alive of this process; 0 where it does not."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    wanted = environment.get("WATCHDOG_USEC", "")
    return int(wanted) / _MICROSECONDS if wanted.isdecimal() else 0.0
