"""Elements of nftables sets by netlink: read, add, remove, in transactions of many.

libnftables reads the set for each command; this way an addition costs the same however full the set is.
Format: `linux/netfilter/nf_tables.h`. Timeouts are milliseconds in the kernel.
"""

from __future__ import annotations

import errno
import math
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from guardhooks import ActionError
from guardhooks_core.actions.firewall import netlink
from guardhooks_core.actions.firewall.entries import Entries, Entry
from guardhooks_core.actions.firewall.errors import explain
from guardhooks_core.actions.firewall.netlink import NFTABLES, NetlinkError, attribute, attributes, nested, string
from guardhooks_core.actions.firewall.nftables_monitor import count_transaction
from guardhooks_core.actions.firewall.reconcile import SetFullError
from guardhooks_core.actions.nftables.reading import INET

_NEW, _GET, _DELETE = (NFTABLES << 8 | command for command in (12, 13, 14))
_TABLE, _SET, _ELEMENTS = 1, 2, 3
_ELEMENT: Final = 1
_KEY, _TIMEOUT, _EXPIRATION = 1, 4, 5
_VALUE: Final = 1
_TIMED_OVERHEAD: Final = 36
"""Bytes of an element with timeout and expiration besides its key: five headers and two numbers of 64 bits."""
_LONGEST: Final = 100 * 365 * 86400.0
"""Seconds; a longer ban is cut to this, far inside the kernel's 64 bits."""
_TRANSACTION: Final = 64
"""Messages of up to 64 KiB in one transaction, so that it fits the socket's buffer."""
_TRIES: Final = 5


class SetMissingError(ActionError):
    """The set, or its table, is not in the kernel."""


class ElementSet:
    """One set in our table: all its entries have the same prefix length."""

    def __init__(self, table: str, name: str, prefix: int) -> None:
        self.name = name
        self._prefix = prefix
        self._head = string(_TABLE, table) + string(_SET, name)

    def read(self) -> Entries:
        """What the kernel holds; the kernel leaves out entries that have ended.

        :raises SetMissingError: when there is no such set.
        """
        try:
            answers = netlink.dump(netlink.message(_GET, netlink.DUMP, self._head, family=INET))
        except NetlinkError as error:
            raise self._problem(error, "reading") from None
        found: Entries = {}
        for answer in answers:
            for kind, payload in attributes(answer):
                if kind == _ELEMENTS:
                    found.update(self._parse_alike(payload) or map(self._parse, _payloads(payload)))
        return found

    def _parse_alike(self, data: bytes) -> Entries:
        """All elements of a block when each has a key and a timeout and nothing else; else nothing.

        Much faster than attribute by attribute, which matters when 100,000 are compared at intervals.
        """
        length = int.from_bytes(data[:2], sys.byteorder)
        width = length - _TIMED_OVERHEAD
        if width not in (4, 16) or len(data) % length:
            return {}
        rows = list(struct.iter_unpack(f">12s{width}s4s8x4sQ", data))
        head, _, timeout, expiration, _ = rows[0]
        if _kind(timeout) != _TIMEOUT or _kind(expiration) != _EXPIRATION:
            return {}
        if any(row[0] != head or row[2] != timeout or row[3] != expiration for row in rows):
            return {}
        return {Entry(row[1], self._prefix): row[4] / 1000 for row in rows}

    def _parse(self, data: bytes) -> tuple[Entry, float]:
        fields = dict(attributes(data))
        key = dict(attributes(fields[_KEY]))[_VALUE]
        left = int.from_bytes(fields[_EXPIRATION], "big") / 1000 if _EXPIRATION in fields else math.inf
        return Entry(key, self._prefix), left

    def put(self, entries: Entries) -> None:
        """Add entries; those that are there get the new timeout, and are there all the time.

        :raises SetMissingError: when there is no such set.
        """
        for _ in range(_TRIES):
            try:
                self._send(_NEW, netlink.EXCLUSIVE | netlink.CREATE, entries)
            except NetlinkError as error:
                if error.errno != errno.EEXIST:
                    raise self._problem(error, "adding to") from None
            else:
                return
            held = self.read()
            self.replace({entry: left for entry, left in entries.items() if entry in held})
            entries = {entry: left for entry, left in entries.items() if entry not in held}
            if not entries:
                return
        raise ActionError(f"set {self.name} changes while it is written: another program writes to it")

    def replace(self, entries: Entries) -> None:
        """Give entries that are there another timeout: each is deleted and added in one transaction."""
        if not entries:
            return
        old = self._messages(_DELETE, 0, entries)
        new = self._messages(_NEW, netlink.CREATE, entries)
        try:
            # A message of deletions holds more entries than one of additions: all of them go in one transaction.
            self._commit([*old, *new])
        except NetlinkError as error:
            if error.errno == errno.ENFILE:
                # Deletions make room in a full set only when their transaction has ended.
                self.remove(entries)
            elif error.errno != errno.ENOENT:
                raise self._problem(error, "changing") from None
            # Else one has ended meanwhile: adding all of them is enough.
            self._send(_NEW, netlink.CREATE, entries)

    def remove(self, entries: Iterable[Entry]) -> None:
        """Remove entries; what is not there, the set included, is a success."""
        gone = dict.fromkeys(entries, math.inf)
        for _ in range(_TRIES):
            if not gone:
                return
            try:
                self._send(_DELETE, 0, gone)
            except NetlinkError as error:
                if error.errno != errno.ENOENT:
                    raise self._problem(error, "removing from") from None
            else:
                return
            try:
                held = self.read()
            except SetMissingError:
                return
            gone = {entry: left for entry, left in gone.items() if entry in held}
        raise ActionError(f"set {self.name} changes while it is written: another program writes to it")

    def _send(self, command: int, flags: int, entries: Entries) -> None:
        messages = self._messages(command, flags, entries)
        for start in range(0, len(messages), _TRANSACTION):
            self._commit(messages[start : start + _TRANSACTION])

    def _messages(self, command: int, flags: int, entries: Entries) -> list[bytes]:
        packed = _timed_elements(entries) if command == _NEW else map(_plain_element, entries)
        return [
            netlink.message(
                command, flags | netlink.ACK, self._head + nested(_ELEMENTS, block), sequence=number, family=INET
            )
            for number, block in enumerate(netlink.blocks(packed), 1)
        ]

    def _commit(self, messages: Sequence[bytes]) -> None:
        if messages:
            netlink.transaction(NFTABLES, messages)
            count_transaction()

    def _problem(self, error: NetlinkError, doing: str) -> ActionError:
        what = f"{doing} set {self.name}"
        if error.errno == errno.ENOENT:
            return SetMissingError(f"{what}: the set has vanished; rebuilding it")
        if error.errno == errno.ENFILE:
            return SetFullError(f"set {self.name} is full, its maxelem reached: set a greater maxelem= and reload")
        return explain(error, what)


def _kind(header: bytes) -> int:
    return int.from_bytes(header[2:], sys.byteorder)


def _payloads(data: bytes) -> Iterator[bytes]:
    return (payload for _, payload in attributes(data))


def _timed_elements(entries: Entries) -> Iterator[bytes]:
    """Each entry with its timeout. All headers are alike, so that an element is packed by one call."""
    for entry, left in entries.items():
        if math.isinf(left):
            yield _plain_element(entry)
            continue
        milliseconds = max(1, round(min(left, _LONGEST) * 1000))
        yield _TIMED_HEADS[len(entry.address)] + entry.address + _TIMEOUT_TAIL.pack(_TIMEOUT_HEAD, milliseconds)


def _plain_element(entry: Entry) -> bytes:
    return nested(_ELEMENT, nested(_KEY, attribute(_VALUE, entry.address)))


def _timed_head(width: int) -> bytes:
    """What precedes the address of a timed element: three headers, whose lengths are those of a whole element."""
    address = bytes(width)
    whole = nested(_ELEMENT, nested(_KEY, attribute(_VALUE, address)) + attribute(_TIMEOUT, bytes(8)))
    return whole[:12]


_TIMED_HEADS: Final = {width: _timed_head(width) for width in (4, 16)}
_TIMEOUT_HEAD: Final = attribute(_TIMEOUT, bytes(8))[:4]
_TIMEOUT_TAIL: Final = struct.Struct(">4sQ")
