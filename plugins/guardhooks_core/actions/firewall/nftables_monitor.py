"""Learns from the kernel, by netlink's multicast, when somebody else changes something in nftables.

While this process changes something itself it leaves the multicast group: else the kernel would report each element,
which makes a large batch several times slower. Nothing is missed by that: every transaction of nftables has a number
(generation), so that it is known afterwards whether others had one meanwhile. Format: `linux/netfilter/nf_tables.h`.

pyroute2's sockets cannot do that: one belongs to the thread that opened it, and ours leaves and joins the group in
worker threads; and their queue has no bound, where another program may cause a hundred thousand events at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeAlias

from guardhooks import safe_text
from guardhooks_core.actions.firewall import netlink
from guardhooks_core.actions.firewall.netlink import NETFILTER, NFTABLES, SOL_NETLINK, NetlinkError, attributes, text

_GROUP: Final = 7  # NFNLGRP_NFTABLES
_JOIN: Final = 1
_LEAVE: Final = 2
_SO_RCVBUFFORCE: Final = 33
_BUFFER: Final = 1 << 20
_NETFILTER_HEADER: Final = 4
"""Bytes of nfgenmsg, of which the first is the family."""
_NEW_CHAIN, _DELETE_CHAIN, _NEW_GENERATION, _GET_GENERATION = 3, 5, 15, 16
CHAIN_ADDED: Final = 3
TABLE_REMOVED: Final = 2
REMOVALS: Final = frozenset({TABLE_REMOVED, 5, 8})
"""Kinds of changes that remove a table, a chain or a rule."""
_TABLE, _NAME, _CHAIN_NAME = 1, 2, 3
_GENERATION: Final = 1
_MESSAGES_AT_A_TIME: Final = 64
"""Messages read in one turn of the event loop; each is at most some KiB."""

logger = logging.getLogger("guardhooks.firewall")


class Change(NamedTuple):
    """One thing in nftables that was added or removed: `kind` is the NFT_MSG number, `family` NFPROTO's.

    `name` is the chain of a chain or rule, the set of a set or element, else unspecified.
    """

    family: int
    kind: int
    table: str
    name: str


Changed: TypeAlias = Callable[[Change | None], None]
"""Called with each change; with None when changes were missed, so that anything may have changed. In any thread."""


class ChangeListener:
    """One socket that receives the changes of nftables. Opened by `open` when first needed, closed by `close`."""

    def __init__(self, changed: Changed) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._generation = 0
        self._refused = False

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen from now on, in `loop`; a no-op when open already. For any thread.

        Where the kernel refuses, that is logged once, and changes are noticed at intervals only.
        """
        with self._lock:
            if self._socket is not None or self._refused:
                return
            try:
                self._generation = generation()
                channel = _joined()
            except OSError as error:
                self._refused = True
                logger.warning(
                    "changes to the firewall by others are noticed at intervals only: %s", safe_text(str(error))
                )
                return
            self._socket, self._loop = channel, loop
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._listen, loop, channel)

    def close(self) -> None:
        """Stop listening. For the event loop's thread."""
        with self._lock:
            channel, self._socket, self._refused = self._socket, None, False
            if channel is None:
                return
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(channel)
            channel.close()

    @contextlib.contextmanager
    def own_work(self) -> Iterator[None]:
        """Around what this process itself does to nftables, by one thread at a time; see `count_transaction`."""
        with self._lock:
            channel = self._socket
            if channel is not None:
                channel.setsockopt(SOL_NETLINK, _LEAVE, _GROUP)
                self._drain(channel)
        before = transactions()
        try:
            yield
        finally:
            if channel is not None:
                self._rejoin(transactions() - before)

    def _rejoin(self, own: int) -> None:
        """Join again. Where others had transactions meanwhile, what they changed is not known."""
        with self._lock:
            if self._socket is None:
                return
            try:
                self._socket.setsockopt(SOL_NETLINK, _JOIN, _GROUP)
                now = generation()
            except OSError:
                others = True
            else:
                others = (now - self._generation) % (1 << 32) not in {0, own}
                self._generation = now
        if others:
            self._changed(None)

    def _listen(self, loop: asyncio.AbstractEventLoop, channel: socket.socket) -> None:
        with self._lock:
            if self._socket is channel:
                loop.add_reader(channel, self._read)

    def _read(self) -> None:
        with self._lock:
            if self._socket is not None:
                self._drain(self._socket, _MESSAGES_AT_A_TIME)

    def _drain(self, channel: socket.socket, limit: int | None = None) -> None:
        while limit is None or limit > 0:
            try:
                data = channel.recv(1 << 17, socket.MSG_DONTWAIT)
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    return
                # ENOBUFS: the kernel dropped some, since the socket was full.
                self._changed(None)
                if error.errno != errno.ENOBUFS:
                    return
            else:
                self._report(data)
            limit = None if limit is None else limit - 1

    def _report(self, data: bytes) -> None:
        reported: set[Change] = set()
        for kind, family, body in _messages(data):
            if kind == _NEW_GENERATION:
                self._generation = _number(body)
            elif (change := _change(kind, family, body)) not in reported:
                reported.add(change)
                self._changed(change)


def generation() -> int:
    """The number of the last transaction of nftables in this network namespace.

    :raises NetlinkError: when the kernel refuses.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETFILTER) as channel:
        channel.settimeout(1.0)
        channel.send(netlink.message(NFTABLES << 8 | _GET_GENERATION, 0, b""))
        for kind, _, body in _messages(channel.recv(1 << 12)):
            if kind == _NEW_GENERATION:
                return _number(body)
    raise NetlinkError(errno.EPROTO, "nftables did not answer with its generation")


def _joined() -> socket.socket:
    channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETFILTER)
    try:
        channel.bind((0, 0))
        with contextlib.suppress(PermissionError):
            channel.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        channel.setsockopt(SOL_NETLINK, _JOIN, _GROUP)
    except OSError:
        channel.close()
        raise
    return channel


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Kind, family and attributes of each message of nftables."""
    for kind, _, body in netlink.messages(data):
        if kind >> 8 == NFTABLES and len(body) >= _NETFILTER_HEADER:
            yield kind & 0xFF, body[0], body[_NETFILTER_HEADER:]


def _change(kind: int, family: int, body: bytes) -> Change:
    wanted = _CHAIN_NAME if _NEW_CHAIN <= kind <= _DELETE_CHAIN else _NAME
    table = name = ""
    for number, payload in attributes(body):
        if number == _TABLE:
            table = text(payload)
        if number == wanted:
            name = text(payload)
        if table and name:
            break
    return Change(family, kind, table, name)


def _number(body: bytes) -> int:
    return int.from_bytes(dict(attributes(body)).get(_GENERATION, b""), "big")


_own = threading.local()


def transactions() -> int:
    """How many transactions of nftables this thread has counted."""
    number: int = getattr(_own, "transactions", 0)
    return number


def count_transaction() -> None:
    """Note that the calling thread has made one transaction of nftables: the change is our own."""
    _own.transactions = transactions() + 1
