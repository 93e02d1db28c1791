"""nfnetlink without detours: messages of many entries, written and read with `struct`.

A message that holds a thousand entries costs the kernel one system call; general netlink libraries send and decode one
message for each. Formats: `linux/netlink.h`, `linux/netfilter/nfnetlink.h`. Numbers inside attributes are in network
byte order. A socket is opened for each piece of work: it belongs to the thread and the network namespace that ask.
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

_NETFILTER: Final = 12
_ERROR: Final = 2
_DONE: Final = 3
_INTERRUPTED: Final = 0x10
"""NLM_F_DUMP_INTR: what is dumped changed meanwhile; the dump may lack entries."""
_NESTED: Final = 0x8000
_TYPE_MASK: Final = 0x3FFF
_BATCH_BEGIN: Final = 0x10
_BATCH_END: Final = 0x11
_HEADER: Final = struct.Struct("=IHHIIBBH")  # nlmsghdr, then nfgenmsg
_BUFFER: Final = 8 << 20
_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33
_PATIENCE: Final = 10.0
"""Seconds to wait for the kernel's answer, which normally takes microseconds."""
_DUMP_TRIES: Final = 8
_SOL_NETLINK: Final = 270
_CAP_ACK: Final = 10
"""NETLINK_CAP_ACK: a refusal does not bring back the whole message."""
_STRICT_CHECK: Final = 12
"""NETLINK_GET_STRICT_CHK: a dump of routes holds only those that were asked for."""
MAX_NEST: Final = 0xFFFF - 4
"""Bytes that fit into one nested attribute: its length has 16 bits."""

_attribute_header: Final = struct.Struct("=HH")


class NetlinkError(OSError):
    """The kernel refused; `errno` may also be a subsystem's own number above 4096."""


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return _attribute_header.pack(len(payload) + 4, kind) + payload + b"\0" * (-len(payload) % 4)


def nested(kind: int, payload: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | _NESTED, payload)


def string(kind: int, text: str) -> bytes:
    """An attribute of NUL-terminated text."""
    return attribute(kind, text.encode() + b"\0")


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and payload of each attribute in `data`."""
    offset, end = 0, len(data)
    while offset + 4 <= end:
        length, kind = _attribute_header.unpack_from(data, offset)
        if length < 4:
            return
        yield kind & _TYPE_MASK, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def message(kind: int, flags: int, payload: bytes, *, sequence: int = 1, family: int = 0, resource: int = 0) -> bytes:
    """One whole nfnetlink message; `kind` is subsystem << 8 | command."""
    length = _HEADER.size + len(payload)
    return _HEADER.pack(length, kind, flags | REQUEST, sequence, 0, family, 0, socket.htons(resource)) + payload


def request(payload: bytes) -> None:
    """Send one message that asks for an acknowledgement, and wait for it.

    :raises NetlinkError: when the kernel refuses.
    """
    with open_socket() as channel:
        channel.send(payload)
        _acknowledgements(channel, 1)


def requests(payloads: Iterable[bytes], *, tolerated: Collection[int] = ()) -> None:
    """Send messages one after the other; each asks for an acknowledgement.

    :param tolerated: error numbers that count as done.
    :raises NetlinkError: at the first that the kernel refuses; those before it are done.
    """
    with open_socket() as channel:
        for payload in payloads:
            channel.send(payload)
            try:
                _acknowledgements(channel, 1)
            except NetlinkError as error:
                if error.errno not in tolerated:
                    raise


def transaction(subsystem: int, payloads: Sequence[bytes]) -> None:
    """Send messages as one batch: the kernel does all of them or none. Each asks for an acknowledgement.

    :raises NetlinkError: when the kernel refuses one of them.
    """
    begin = message(_BATCH_BEGIN, 0, b"", sequence=0, resource=subsystem)
    end = message(_BATCH_END, 0, b"", sequence=0xFFFF, resource=subsystem)
    with open_socket() as channel:
        channel.send(b"".join((begin, *payloads, end)))
        _acknowledgements(channel, len(payloads))


def dump(payload: bytes, *, protocol: int = _NETFILTER, head: int = 4) -> list[bytes]:
    """Ask for everything that `payload` names; the attributes of each message that comes back.

    :param head: bytes before the attributes, which are left out: those of nfgenmsg, unless told.
    :raises NetlinkError: when the kernel refuses.
    """
    for _ in range(_DUMP_TRIES):
        with open_socket(protocol) as channel, contextlib.suppress(InterruptedError):
            channel.send(payload)
            return _collect(channel, head)
    raise NetlinkError(errno.EAGAIN, f"what the kernel holds changed during each of {_DUMP_TRIES} readings")


def _collect(channel: socket.socket, head: int) -> list[bytes]:
    found: list[bytes] = []
    while True:
        for kind, flags, body in messages(receive(channel)):
            if flags & _INTERRUPTED:
                raise InterruptedError
            if kind == _ERROR:
                _check(body)
            elif kind == _DONE:
                return found
            else:
                found.append(body[head:])


def _acknowledgements(channel: socket.socket, expected: int) -> None:
    while expected > 0:
        for kind, _, body in messages(receive(channel)):
            if kind == _ERROR:
                _check(body)
                expected -= 1


def _check(body: bytes) -> None:
    if code := -int.from_bytes(body[:4], sys.byteorder, signed=True):
        raise refusal(code)


def refusal(code: int) -> NetlinkError:
    """The error for the number by which the kernel refused."""
    return NetlinkError(code, os.strerror(code) if code < 4096 else f"netfilter error {code}")


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and what is behind the header of each message in `data`."""
    offset = 0
    while offset + 16 <= len(data):
        length, kind, flags = struct.unpack_from("=IHH", data, offset)
        if length < 16:
            return
        yield kind, flags, data[offset + 16 : offset + length]
        offset += (length + 3) & ~3


def receive(channel: socket.socket) -> bytes:
    """What comes next.

    :raises NetlinkError: when nothing comes.
    """
    try:
        return channel.recv(1 << 18)
    except TimeoutError:
        raise NetlinkError(errno.ETIMEDOUT, f"no answer from the kernel in {_PATIENCE:.0f} s") from None


def open_socket(protocol: int = _NETFILTER) -> socket.socket:
    """A socket to the kernel, with room for great batches; close it."""
    channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    channel.settimeout(_PATIENCE)
    for forced, plain in ((_SO_SNDBUFFORCE, socket.SO_SNDBUF), (_SO_RCVBUFFORCE, socket.SO_RCVBUF)):
        try:
            channel.setsockopt(socket.SOL_SOCKET, forced, _BUFFER)
        except PermissionError:
            # Without CAP_NET_ADMIN in the first user namespace the system's limit holds.
            channel.setsockopt(socket.SOL_SOCKET, plain, _BUFFER)
    channel.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
    with contextlib.suppress(OSError):  # before Linux 4.20; answers are looked through anyway
        channel.setsockopt(_SOL_NETLINK, _STRICT_CHECK, 1)
    channel.bind((0, 0))
    return channel


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
