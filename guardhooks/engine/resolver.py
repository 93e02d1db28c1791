"""Names to addresses, off the event loop, cached; attackers choose the names, so everything is bounded."""

from __future__ import annotations

import asyncio
import re
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from guardhooks.net.addresses import canonical

_FOUND_TTL: Final = 300.0
_NOT_FOUND_TTL: Final = 60.0
_TIMEOUT: Final = 5.0
_ENTRIES: Final = 10_000
_OUTSTANDING: Final = 256
"""Seconds, seconds, seconds, names remembered, and look-ups under way or waiting: beyond it a name has no address."""
_WORKERS: Final = 8
_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?", re.ASCII)


def system_lookup(name: str) -> Sequence[str]:
    """All addresses that the system's resolver knows for `name`. Blocks; raises OSError where there are none."""
    return [str(info[4][0]) for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]


class Resolver:
    """Looks names up in a few threads and remembers the answers: 5 minutes, or 1 minute that there is none.

    `lookup` is called in a worker thread and may raise OSError. A name that could not be one (longer than 253
    characters, other characters than a host name has, a leading dash) has no address and is never looked up. Queries
    for one name at the same time share one look-up; an answer that takes longer than 5 s counts as none. When 256
    look-ups are under way, further names have no address for the moment, and that is not remembered.
    """

    def __init__(
        self,
        lookup: Callable[[str], Sequence[str]] = system_lookup,
        *,
        clock: Callable[[], float],
        timeout: float = _TIMEOUT,
    ) -> None:
        self._lookup = lookup
        self._clock = clock
        self._timeout = timeout
        self._known: OrderedDict[str, tuple[float, tuple[str, ...]]] = OrderedDict()
        self._asked: dict[str, asyncio.Task[tuple[str, ...]]] = {}
        self._pool = ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix="resolver")

    async def addresses(self, name: str) -> tuple[str, ...]:
        """The canonical addresses of a host name, in the resolver's order; empty where there are none.

        An address comes back as it is, in canonical spelling. Never raises.
        """
        if own := canonical(name):
            return (own,)
        name = name.lower().removesuffix(".")
        if not _NAME.fullmatch(name):
            return ()
        known = self._known.get(name)
        if known is not None and self._clock() < known[0]:
            self._known.move_to_end(name)
            return known[1]
        task = self._asked.get(name)
        if task is None:
            if len(self._asked) >= _OUTSTANDING:
                return ()
            task = self._asked[name] = asyncio.create_task(self._ask(name))
        return await asyncio.shield(task)

    def close(self) -> None:
        """Give up what is under way."""
        for task in self._asked.values():
            task.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, name: str) -> tuple[str, ...]:
        answer = asyncio.get_running_loop().run_in_executor(self._pool, self._lookup, name)
        try:
            async with asyncio.timeout(self._timeout):
                found = tuple(dict.fromkeys(filter(None, map(canonical, await answer))))
        except (OSError, UnicodeError):  # TimeoutError is an OSError
            found = ()
        finally:
            del self._asked[name]
        self._remember(name, found)
        return found

    def _remember(self, name: str, found: tuple[str, ...]) -> None:
        self._known[name] = (self._clock() + (_FOUND_TTL if found else _NOT_FOUND_TTL), found)
        self._known.move_to_end(name)
        while len(self._known) > _ENTRIES:
            self._known.popitem(last=False)
