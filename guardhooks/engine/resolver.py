"""Resolves host names that filters captured to addresses, off the event loop; attackers choose the names."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Final

from guardhooks.net.addresses import canonical
from guardhooks.net.names import is_host_name
from guardhooks.system.lookups import CachedLookups

_CACHED: Final = 10_000
_OUTSTANDING: Final = 256
_THREADS: Final = 8


def system_lookup(name: str) -> Sequence[str]:
    """All addresses that the system's resolver knows for `name`. Blocks.

    :raises OSError: if there are none.
    """
    return [str(info[4][0]) for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]


class Resolver:
    """Looks up names; see `CachedLookups` for what is cached and limited.

    A text that cannot be a host name (see `is_host_name`) has no address and is never looked up.

    :param lookup: called in a worker thread; may raise OSError.
    """

    def __init__(
        self,
        lookup: Callable[[str], Sequence[str]] = system_lookup,
        *,
        clock: Callable[[], float],
        timeout: float = 5.0,
        entries: int = _CACHED,
    ) -> None:
        def addresses(name: str) -> tuple[str, ...]:
            return tuple(dict.fromkeys(filter(None, map(canonical, lookup(name)))))

        nothing: tuple[str, ...] = ()
        self._lookups = CachedLookups(
            addresses,
            nothing,
            clock=clock,
            timeout=timeout,
            entries=entries,
            outstanding=_OUTSTANDING,
            threads=_THREADS,
        )

    async def addresses(self, name: str) -> tuple[str, ...]:
        """The canonical addresses of a host name, in the resolver's order; empty if there are none.

        An address is returned as it is, in canonical form. Never raises.
        """
        if own := canonical(name):
            return (own,)
        name = name.lower().removesuffix(".")
        return await self._lookups.get(name) if is_host_name(name) else ()

    def close(self) -> None:
        """Cancel what is under way."""
        self._lookups.close()
