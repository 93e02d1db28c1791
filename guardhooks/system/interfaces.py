"""The addresses of this machine's interfaces, which pyroute2 asks the kernel for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from guardhooks.net.addresses import canonical
from guardhooks.system.light_pyroute2 import prepare_pyroute2

if TYPE_CHECKING:
    from pyroute2.netlink.nlsocket import AsyncNetlinkSocket

_FAMILIES: Final = frozenset({socket.AF_INET, socket.AF_INET6})
_TIMEOUT: Final = 5.0
"""Seconds to wait for the kernel's answer, which normally takes milliseconds."""
_TRIES: Final = 8


def own_addresses() -> frozenset[str]:
    """All addresses of this machine's interfaces, in canonical spelling; loopback included. Takes milliseconds."""
    try:
        found = set(map(canonical, interface_addresses()))
    except OSError:
        found = _resolved_host_names()
    return frozenset((found | {"127.0.0.1", "::1"}) - {""})


def _resolved_host_names() -> set[str]:
    names: set[str] = set()
    for host in (socket.gethostname(), "localhost"):
        try:
            names.update(canonical(str(info[4][0])) for info in socket.getaddrinfo(host, None))
        except OSError:
            continue
    return names


def interface_addresses() -> frozenset[str]:
    """All of them, IPv4 and IPv6, as text.

    :raises OSError: where there is no netlink, or the kernel refuses.
    """
    if not hasattr(socket, "AF_NETLINK"):
        raise OSError("there is no netlink on this system")
    # pyroute2 runs an event loop, which cannot be in a thread that has one already.
    with ThreadPoolExecutor(1, thread_name_prefix="interfaces") as executor:
        return executor.submit(lambda: asyncio.run(_read_addresses())).result()


async def _read_addresses() -> frozenset[str]:
    prepare_pyroute2()
    from pyroute2.netlink import NETLINK_ROUTE
    from pyroute2.netlink.exceptions import NetlinkError
    from pyroute2.netlink.nlsocket import AsyncNetlinkSocket

    with contextlib.closing(AsyncNetlinkSocket(family=NETLINK_ROUTE)) as netlink:
        for _ in range(_TRIES):
            try:
                found = await asyncio.wait_for(_dump(netlink), _TIMEOUT)
            except NetlinkError as error:
                raise OSError(error.code, str(error.args[1])) from None
            if found is not None:
                return found
    raise OSError(f"the addresses of the interfaces changed during each of {_TRIES} readings")


async def _dump(netlink: AsyncNetlinkSocket) -> frozenset[str] | None:
    """One reading; None where the addresses changed meanwhile, so that some may be missing: pyroute2 ignores that."""
    from pyroute2.netlink import NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST
    from pyroute2.netlink.rtnl import RTM_GETADDR, RTM_NEWADDR
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

    interrupted = False

    def note_interruption(message: Any) -> None:  # noqa: ANN401 -- pyroute2 has no types
        nonlocal interrupted
        interrupted = interrupted or bool(message["header"]["flags"] & NLM_F_DUMP_INTR)

    netlink.register_policy(RTM_NEWADDR, ifaddrmsg)
    answers = await netlink.nlm_request(
        ifaddrmsg(), RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, callback=note_interruption
    )
    messages = [message async for message in answers if message["family"] in _FAMILIES]
    # Of a point-to-point link, IFA_ADDRESS is the other end's.
    found = {message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS") for message in messages}
    return None if interrupted else frozenset(found - {None})
