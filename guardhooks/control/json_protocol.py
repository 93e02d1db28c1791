"""The daemon's side of the JSON protocol: reads a request, finds it in the table, checks it, runs it, answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Final

from guardhooks.control.dispatch import Dispatcher
from guardhooks.control.protocol import REQUEST_LIMIT, RequestError, encode, read_request
from guardhooks.control.requests import EVERYTHING, Access, Request, Requests
from guardhooks.errors import GuardhooksError
from guardhooks.text import safe_text

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
        self._dispatcher = Dispatcher(requests, added, access=access)

    async def answer(self, message: bytes) -> bytes:
        """The answer to one request, as one line."""
        try:
            name, arguments = read_request(message)
            request = self._dispatcher.find(name)
            if len(message) > request.limit:
                raise RequestError(f"the request is longer than {request.limit} bytes", "usage")
            return _success(request, await self._dispatcher.run(request, arguments))
        except GuardhooksError as error:
            return _failure(error)

    def refusal(self, error: RequestError) -> bytes:
        """An error as one line."""
        return _failure(error)


def _success(request: Request, result: object) -> bytes:
    try:
        return encode({"ok": True, "result": result})
    except (TypeError, ValueError) as error:
        logger.error("the answer to %s cannot be sent: %s", request.name, safe_text(str(error)))
        raise RequestError(f"the answer to {request.name} cannot be written as JSON; see the daemon's log") from error


def _failure(error: GuardhooksError) -> bytes:
    kind = error.kind if isinstance(error, RequestError) else "failed"
    return encode({"ok": False, "error": safe_text(str(error)), "kind": kind})
