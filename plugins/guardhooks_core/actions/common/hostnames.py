"""Host names for actions: this machine's, and the reverse DNS name of an address; looked up off the event loop."""

from __future__ import annotations

import asyncio
import re
import socket
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_TIMEOUT: Final = 5.0
"""Seconds for one lookup."""
_CACHED: Final = 1000
"""Cached reverse DNS names."""
_OUTSTANDING: Final = 16
"""Lookups that may wait or run at the same time; further ones get no name."""
_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?", re.ASCII)


def system_lookup(address: str) -> str:
    """The name of an address. Blocks.

    :raises OSError: if there is none.
    """
    return socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0]


class Hostnames:
    """Looks up names in two threads, each for at most 5 s, and caches the last 1,000 answers.

    The owner of an address chooses its name; a name that is not a valid host name is therefore dropped.
    """

    def __init__(self, lookup: Callable[[str], str] = system_lookup) -> None:
        self._lookup = lookup
        self._known: OrderedDict[str, str] = OrderedDict()
        self._outstanding = 0
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="hostnames")

    async def of_address(self, address: str) -> str:
        """The reverse DNS name; empty if there is none. Never raises."""
        if not address or "/" in address or self._outstanding >= _OUTSTANDING:
            return ""
        if address not in self._known:
            name = await self._ask(lambda: self._lookup(address))
            self._known[address] = name if _NAME.fullmatch(name) else ""
            while len(self._known) > _CACHED:
                self._known.popitem(last=False)
        self._known.move_to_end(address)
        return self._known[address]

    async def own(self) -> dict[str, str]:
        """`fq-hostname` and `sh-hostname`."""
        short = socket.gethostname()
        return {"fq-hostname": await self._ask(lambda: _full_name(short)) or short, "sh-hostname": short}

    async def _ask(self, function: Callable[[], str]) -> str:
        future = asyncio.get_running_loop().run_in_executor(self._pool, function)
        self._outstanding += 1
        future.add_done_callback(self._done)
        try:
            async with asyncio.timeout(_TIMEOUT):
                return await asyncio.shield(future)
        except (OSError, UnicodeError):  # TimeoutError is an OSError
            return ""

    def _done(self, future: asyncio.Future[str]) -> None:
        self._outstanding -= 1
        if not future.cancelled():
            future.exception()


def _full_name(short: str) -> str:
    """The name of this machine in DNS. Blocks.

    :raises OSError: if there is none.
    """
    answers = socket.getaddrinfo(short, None, type=socket.SOCK_DGRAM, flags=socket.AI_CANONNAME)
    return answers[0][3]
