"""Finds a request in the tables, checks it and runs it, for whatever protocol it came by."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Final

from guardhooks.control.peers import current_peer
from guardhooks.control.protocol import RequestError
from guardhooks.control.requests import EVERYTHING, Access, Request, Requests
from guardhooks.text import did_you_mean, safe_text

_NONE: Final = Requests()

FOR_READERS: Final = frozenset({"ping", "version", "status", "banned", "is_banned", "why", "report", "metrics"})
"""What members of the group `readers` may ask, as far as there is such a request."""

logger = logging.getLogger("guardhooks.control")


class Dispatcher:
    """The requests that one socket may carry.

    :param requests: guardhooks' own.
    :param added: gives those that plugins added; called for each request that is not guardhooks' own.
    :param access: what this socket may carry.
    """

    def __init__(
        self,
        requests: Requests,
        added: Callable[[], Requests] = lambda: _NONE,
        *,
        access: Collection[Access] = EVERYTHING,
    ) -> None:
        self._requests, self._added, self._access = requests, added, frozenset(access)
        self._running: set[asyncio.Task[object]] = set()

    async def ask(self, request: str, /, **arguments: object) -> object:
        """See `guardhooks.control.requests.Ask`."""
        return await self.run(self.find(request), arguments)

    def find(self, name: str) -> Request:
        """The request of this name. :raises RequestError: when there is none, or not on this socket."""
        request = self._requests.get(name) or self._added().get(name)
        if request is None:
            known = sorted(each.name for each in [*self._requests, *self._added()])
            near = did_you_mean(name[:100], known) or f"; known are {', '.join(known)}"
            raise RequestError(f"unknown command {safe_text(name, 100)!r}{near}", "usage")
        peer = current_peer.get()
        if peer is not None and not peer.may_change and name not in FOR_READERS:
            allowed = ", ".join(sorted(FOR_READERS))
            raise RequestError(f"{safe_text(name, 100)} is for root; members of the group may ask {allowed}", "refused")
        if request.access not in self._access:
            raise RequestError(f"{name} is not allowed on this socket; use the daemon's control socket", "refused")
        return request

    async def run(self, request: Request, arguments: Mapping[str, object]) -> object:
        """Run it, at most its time; what takes longer continues, for half of it may be done.

        :raises RequestError: when an argument is wrong, or it takes too long.
        """
        task = asyncio.ensure_future(request.run(**request.parse(arguments)))
        try:
            done, _ = await asyncio.wait({task}, timeout=request.timeout)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if done:
            return task.result()
        self._running.add(task)
        task.add_done_callback(self._finished_late)
        raise RequestError(f"{request.name} still runs after {request.timeout:.0f} seconds; see the daemon's log")

    def _finished_late(self, task: asyncio.Task[object]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a request that took too long failed: %s", safe_text(str(error)))
