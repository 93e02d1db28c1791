"""The table of requests: what can be asked of a daemon, by name, with arguments, answer, access and bounds.

guardhooks' own entries are in `commands.py`; plugins add theirs by `add_requests`. Protocols answer from this table,
and docs/socket.md lists it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from guardhooks.control.arguments import ArgumentKind, parse_argument
from guardhooks.control.protocol import REQUEST_LIMIT, TIMEOUT, RequestError
from guardhooks.errors import PluginError
from guardhooks.text import nearest_or_all, safe_text


class Access(StrEnum):
    """Which socket may carry a request."""

    READ = "read"
    """It changes nothing: any socket that observers may open."""
    CHANGE = "change"
    """Only the control socket of the daemon's owner."""


class Ask(Protocol):
    """Has a request of the daemon's table run; arguments that are None count as not given."""

    async def __call__(self, request: str, /, **arguments: object) -> object:
        """The answer. :raises GuardhooksError: when it is refused or fails; `RequestError` tells the kind."""
        ...


EVERYTHING: frozenset[Access] = frozenset(Access)


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a request."""

    name: str
    kind: ArgumentKind = ArgumentKind.TEXT
    help: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    `run` is called with one keyword for each argument that was given, and returns JSON-able data; it may raise
    `RequestError` or another `GuardhooksError`, whose text the client shows. `answer` describes what it returns.
    `limit` is the longest request in bytes. After `timeout` seconds the client is answered that the request still
    runs; it is not cancelled.
    """

    name: str
    run: Callable[..., Awaitable[object]]
    help: str = ""
    answer: str = ""
    arguments: tuple[Argument, ...] = ()
    access: Access = Access.CHANGE
    limit: int = REQUEST_LIMIT
    timeout: float = TIMEOUT

    def parse(self, given: Mapping[str, object]) -> dict[str, Any]:
        """The keywords for `run`. Arguments that are null count as not given.

        :raises RequestError: when one is unknown, missing or of the wrong kind.
        """
        known = [argument.name for argument in self.arguments]
        if unknown := sorted(set(given) - set(known)):
            near = nearest_or_all(unknown[0][:100], known)
            raise RequestError(f"unknown argument {safe_text(unknown[0], 100)!r}{near}", "usage")
        parsed: dict[str, Any] = {}
        for argument in self.arguments:
            value = given.get(argument.name)
            if value is not None:
                parsed[argument.name] = parse_argument(argument.name, argument.kind, value)
            elif argument.required:
                needs = f"{self.name} needs a" if argument.kind is not ArgumentKind.IDS else f"{self.name} needs"
                raise RequestError(f'{needs} "{argument.name}": {argument.help}', "usage")
        return parsed


async def _nobody(request: str, /, **arguments: object) -> object:  # noqa: ARG001 -- as `Ask`
    raise RequestError(f"there is no daemon that could run {safe_text(request, 100)}")


class Requests:
    """Requests by name; what `add_requests` is called with.

    :param reserved: names that cannot be taken.
    :param ask: has any request of the daemon run, for requests that are made of others.
    """

    def __init__(
        self, requests: Iterable[Request] = (), *, reserved: Collection[str] = (), ask: Ask | None = None
    ) -> None:
        self.ask: Ask = ask or _nobody
        self._by_name: dict[str, Request] = {}
        self._reserved = frozenset(reserved)
        for request in requests:
            self.add(request)

    def add(self, request: Request) -> None:
        """Add one. :raises PluginError: when its name is taken."""
        if request.name in self._reserved or request.name in self._by_name:
            raise PluginError(f"there is already a request called {request.name!r}; choose another name")
        self._by_name[request.name] = request

    def get(self, name: str) -> Request | None:
        """The request of this name."""
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[Request]:
        return iter(self._by_name.values())
