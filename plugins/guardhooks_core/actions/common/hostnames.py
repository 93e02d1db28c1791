"""Host names for actions: this machine's, and the reverse DNS name of an address; looked up off the event loop."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import Final

from guardhooks import CachedLookups

_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?", re.ASCII)


def system_lookup(address: str) -> str:
    """The name of an address. Blocks.

    :raises OSError: if there is none.
    """
    return socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0]


class Hostnames:
    """Looks up host names, and caches them.

    The owner of an address chooses its name; a name that is not a valid host name is therefore dropped.
    """

    def __init__(self, lookup: Callable[[str], str] = system_lookup) -> None:
        def valid_name(address: str) -> str:
            name = lookup(address)
            return name if _NAME.fullmatch(name) else ""

        self._reverse = CachedLookups(valid_name, "")
        self._full = CachedLookups(_full_name, "", threads=1)

    async def of_address(self, address: str) -> str:
        """The reverse DNS name; empty if there is none. Never raises."""
        return await self._reverse.get(address) if address and "/" not in address else ""

    async def own(self) -> dict[str, str]:
        """The names of this machine as `fq-hostname` and `sh-hostname`. Never raises."""
        short = socket.gethostname()
        return {"fq-hostname": await self._full.get(short) or short, "sh-hostname": short}


def _full_name(short: str) -> str:
    """The name of this machine in DNS. Blocks.

    :raises OSError: if there is none.
    """
    answers = socket.getaddrinfo(short, None, type=socket.SOCK_DGRAM, flags=socket.AI_CANONNAME)
    return answers[0][3]
