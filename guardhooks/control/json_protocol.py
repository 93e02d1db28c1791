"""The daemon's side of the JSON protocol: reads a request, finds it in the table, checks it, runs it, answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Final

from guardhooks.control.protocol import REQUEST_LIMIT, RequestError, encode, read_request
from guardhooks.control.requests import EVERYTHING, Access, Request, Requests
from guardhooks.errors import GuardhooksError
from guardhooks.text import did_you_mean, safe_text

_NONE: Final = Requests()

logger = logging.getLogger("guardhooks.control")


class JsonProtocol:
    """See `protocol` for the format.

    :param requests: guardhooks' own.
    :param added: gives those that plugins added; called for each request that is not guardhooks' own.
    :param access: what this socket may carry.
    """

    separator = b"\n"
    limit = REQUEST_LIMIT

    def __init__(
        self,
        requests: Requests,
        added: Callable[[], Requests] = lambda: _NONE,
        *,
        access: Collection[Access] = EVERYTHING,
    ) -> None:
        self._requests, self._added, self._access = requests, added, frozenset(access)
        self._running: set[asyncio.Task[object]] = set()

    async def answer(self, message: bytes) -> bytes:
        """The answer to one request, as one line."""
        try:
            name, arguments = read_request(message)
            request = self._find(name)
            if len(message) > request.limit:
                raise RequestError(f"the request is longer than {request.limit} bytes", "usage")
            return _success(request, await self._run(request, arguments))
        except GuardhooksError as error:
            return _failure(error)

    def refusal(self, error: RequestError) -> bytes:
        """An error as one line."""
        return _failure(error)

    def _find(self, name: str) -> Request:
        request = self._requests.get(name) or self._added().get(name)
        if request is None:
            known = sorted(each.name for each in [*self._requests, *self._added()])
            near = did_you_mean(name[:100], known) or f"; known are {', '.join(known)}"
            raise RequestError(f"unknown command {safe_text(name, 100)!r}{near}", "usage")
        if request.access not in self._access:
            raise RequestError(f"{name} is not allowed on this socket; use the daemon's control socket", "refused")
        return request

    async def _run(self, request: Request, arguments: Mapping[str, object]) -> object:
        """Run it, at most its time; what takes longer continues, for half of it may be done."""
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


def _success(request: Request, result: object) -> bytes:
    try:
        return encode({"ok": True, "result": result})
    except (TypeError, ValueError) as error:
        logger.error("the answer to %s cannot be sent: %s", request.name, safe_text(str(error)))
        raise RequestError(f"the answer to {request.name} cannot be written as JSON; see the daemon's log") from error


def _failure(error: GuardhooksError) -> bytes:
    kind = error.kind if isinstance(error, RequestError) else "failed"
    return encode({"ok": False, "error": safe_text(str(error)), "kind": kind})
