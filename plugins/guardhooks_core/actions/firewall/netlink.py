"""Netlink for what happens at each ban, every second, or a hundred thousand times: packed messages, answered at once.

pyroute2 does the rest (whole ipset sets, single routes, addresses of interfaces). Here its sockets would be too slow:
each runs an event loop of its own and takes about a millisecond to open, 0.3 ms for a request and 150 µs for a message
of a batch, where this module takes 0.1 ms in all; docs/dependencies.md has the figures. A socket is opened for each
piece of work: it belongs to the thread and the network namespace of the caller.

Formats: `linux/netlink.h`, `linux/netfilter/nfnetlink.h`. Numbers inside netfilter's attributes are in network byte
order.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

REQUEST: Final = 0x1
ACK: Final = 0x4
EXCLUSIVE: Final = 0x200
CREATE: Final = 0x400
DUMP: Final = 0x300

ROUTE: Final = 0
"""NETLINK_ROUTE, a protocol."""
NETFILTER: Final = 12
"""NETLINK_NETFILTER, a protocol."""
NFTABLES: Final = 10
"""NFNL_SUBSYS_NFTABLES."""
MAX_NEST: Final = 0xFFFF - 4
"""Bytes that fit into one nested attribute: its length has 16 bits."""
SOL_NETLINK: Final = 270
"""Level of a netlink socket's options."""

_ERROR: Final = 2
_DONE: Final = 3
_INTERRUPTED: Final = 0x10
"""NLM_F_DUMP_INTR: what is dumped changed meanwhile; the dump may lack entries."""
_NESTED: Final = 0x8000
_TYPE_MASK: Final = 0x3FFF
_BATCH_BEGIN: Final = 0x10
_BATCH_END: Final = 0x11
_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr
_NETFILTER_HEADER: Final = struct.Struct("=BBH")  # nfgenmsg
_ATTRIBUTE_HEADER: Final = struct.Struct("=HH")
_ACKNOWLEDGEMENT: Final = struct.Struct("=i8xI")  # nlmsgerr: the error, then the number of the message
_BUFFER: Final = 8 << 20
_RECEIVED: Final = 1 << 18
"""Bytes of a datagram at most."""
_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33
_TIMEOUT: Final = 10.0
"""Seconds to wait for the kernel's answer, which normally takes microseconds."""
_DUMP_TRIES: Final = 8
_EXTENDED_ERRORS_FROM: Final = 4096
_CAP_ACK: Final = 10
"""NETLINK_CAP_ACK: a refusal does not bring back the whole message."""
_STRICT_CHECK: Final = 12
"""NETLINK_GET_STRICT_CHK: a dump of routes holds only those that were asked for."""


class NetlinkError(OSError):
    """The kernel refused; `errno` may also be a subsystem's own number above 4096."""


# --- format -----------------------------------------------------------------------------------------------------------


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return _ATTRIBUTE_HEADER.pack(len(payload) + 4, kind) + payload + b"\0" * (-len(payload) % 4)


def nested(kind: int, payload: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | _NESTED, payload)


def string(kind: int, text: str) -> bytes:
    """An attribute of NUL-terminated text."""
    return attribute(kind, text.encode() + b"\0")


def text(payload: bytes) -> str:
    """The text of a NUL-terminated string."""
    return payload.rstrip(b"\0").decode(errors="replace")


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and payload of each attribute in `data`."""
    offset, end = 0, len(data)
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE_HEADER.unpack_from(data, offset)
        if length < 4:
            return
        yield kind & _TYPE_MASK, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def plain_message(kind: int, flags: int, body: bytes, sequence: int = 1) -> bytes:
    """One whole message."""
    return _HEADER.pack(_HEADER.size + len(body), kind, flags | REQUEST, sequence, 0) + body


def message(kind: int, flags: int, payload: bytes, *, sequence: int = 1, family: int = 0, resource: int = 0) -> bytes:
    """One whole nfnetlink message; `kind` is subsystem << 8 | command."""
    body = _NETFILTER_HEADER.pack(family, 0, socket.htons(resource)) + payload
    return plain_message(kind, flags, body, sequence)


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and what is behind the header of each message in `data`."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, _, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        yield kind, flags, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def blocks(items: Iterable[bytes], limit: int = MAX_NEST) -> Iterator[bytes]:
    """Join items into blocks of at most `limit` bytes, in order."""
    block: list[bytes] = []
    size = 0
    for item in items:
        if size + len(item) > limit:
            yield b"".join(block)
            block, size = [], 0
        block.append(item)
        size += len(item)
    if block:
        yield b"".join(block)


# --- exchange ---------------------------------------------------------------------------------------------------------


def request(payload: bytes) -> None:
    """Send one nfnetlink message that asks for an acknowledgement, and wait for it.

    :raises NetlinkError: when the kernel refuses.
    """
    requests([payload])


def requests(payloads: Iterable[bytes], *, tolerated: Collection[int] = ()) -> None:
    """Send nfnetlink messages one after the other; each asks for an acknowledgement.

    :param tolerated: error numbers that count as done.
    :raises NetlinkError: at the first that the kernel refuses; those before it are done.
    """
    with _open_socket(NETFILTER) as channel:
        for payload in payloads:
            channel.send(payload)
            (code,) = _answers(channel, 1)
            if code not in tolerated:
                _check(code)


def transaction(subsystem: int, payloads: Sequence[bytes]) -> None:
    """Send nfnetlink messages as one batch: the kernel does all of them or none. Each asks for an acknowledgement.

    :raises NetlinkError: when the kernel refuses one of them.
    """
    begin = message(_BATCH_BEGIN, 0, b"", sequence=0, resource=subsystem)
    end = message(_BATCH_END, 0, b"", sequence=0xFFFF, resource=subsystem)
    with _open_socket(NETFILTER) as channel:
        channel.send(b"".join((begin, *payloads, end)))
        for code in _answers(channel, len(payloads)):
            _check(code)


def refusals(payload: bytes, last: int, *, protocol: int) -> dict[int, int]:
    """Send many messages at once, of which only the one with the number `last` asks for an acknowledgement.

    :returns: the error numbers of those that the kernel refuses, by the number of the message.
    """
    refused: dict[int, int] = {}
    with _open_socket(protocol) as channel:
        channel.send(payload)
        while True:
            for kind, _, body in messages(_receive(channel)):
                if kind == _ERROR:
                    code, number = _ACKNOWLEDGEMENT.unpack_from(body)
                    if code:
                        refused[number] = -code
                    if number == last:
                        return refused


def dump(payload: bytes, *, protocol: int = NETFILTER, head: int = _NETFILTER_HEADER.size) -> list[bytes]:
    """Ask for everything that `payload` names; the attributes of each message of the answer.

    :param head: bytes before the attributes, which are left out: those of nfgenmsg by default.
    :raises NetlinkError: when the kernel refuses.
    """
    for _ in range(_DUMP_TRIES):
        with _open_socket(protocol) as channel, contextlib.suppress(InterruptedError):
            channel.send(payload)
            return _collect(channel, head)
    raise NetlinkError(errno.EAGAIN, f"what the kernel holds changed during each of {_DUMP_TRIES} readings")


def refusal(code: int) -> NetlinkError:
    """The error for the number by which the kernel refused."""
    return NetlinkError(code, os.strerror(code) if code < _EXTENDED_ERRORS_FROM else f"netfilter error {code}")


def _collect(channel: socket.socket, head: int) -> list[bytes]:
    found: list[bytes] = []
    while True:
        for kind, flags, body in messages(_receive(channel)):
            if flags & _INTERRUPTED:
                raise InterruptedError
            if kind == _ERROR:
                _check(_code(body))
            elif kind == _DONE:
                return found
            else:
                found.append(body[head:])


def _answers(channel: socket.socket, expected: int) -> Iterator[int]:
    """The error numbers of so many acknowledgements, 0 for done."""
    while expected > 0:
        for kind, _, body in messages(_receive(channel)):
            if kind == _ERROR:
                expected -= 1
                yield _code(body)


def _code(body: bytes) -> int:
    return -int.from_bytes(body[:4], sys.byteorder, signed=True)


def _check(code: int) -> None:
    if code:
        raise refusal(code)


def _receive(channel: socket.socket) -> bytes:
    try:
        return channel.recv(_RECEIVED)
    except TimeoutError:
        raise NetlinkError(errno.ETIMEDOUT, f"no answer from the kernel in {_TIMEOUT:.0f} s") from None


def _open_socket(protocol: int) -> socket.socket:
    """A socket to the kernel, with room for large batches; close it."""
    channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    channel.settimeout(_TIMEOUT)
    for forced, plain in ((_SO_SNDBUFFORCE, socket.SO_SNDBUF), (_SO_RCVBUFFORCE, socket.SO_RCVBUF)):
        try:
            channel.setsockopt(socket.SOL_SOCKET, forced, _BUFFER)
        except PermissionError:
            # Without CAP_NET_ADMIN in the first user namespace the system's limit holds.
            channel.setsockopt(socket.SOL_SOCKET, plain, _BUFFER)
    channel.setsockopt(SOL_NETLINK, _CAP_ACK, 1)
    with contextlib.suppress(OSError):  # before Linux 4.20; answers are looked through anyway
        channel.setsockopt(SOL_NETLINK, _STRICT_CHECK, 1)
    channel.bind((0, 0))
    return channel
