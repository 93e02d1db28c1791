"""Which known prefixes hold an address: integer look-ups, one for each prefix length in use."""

from __future__ import annotations

import socket
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

Key: TypeAlias = tuple[bool, int, int]
"""Is IPv6, host bits, network number."""
_Table: TypeAlias = dict[int, dict[int, str]]
"""Host bits → network number → the prefix as it was added."""
_FAMILIES: Final = {False: (socket.AF_INET, 32), True: (socket.AF_INET6, 128)}


class PrefixMap:
    """Addresses and prefixes in canonical spelling, with the text that each was added under.

    Look-ups cost about half a microsecond and do not grow with the number of prefixes, only with the number of
    different lengths among them. Text that is no address is never held.
    """

    __slots__ = ("_v4", "_v6")

    def __init__(self, prefixes: Iterable[str] = ()) -> None:
        self._v4: _Table = {}
        self._v6: _Table = {}
        for prefix in prefixes:
            self.add(prefix)

    def add(self, prefix: str, text: str = "") -> bool:
        """Hold a canonical address or prefix, under `text` if given; False if it is neither."""
        key = key_of(prefix)
        if key is None:
            return False
        v6, shift, number = key
        table = self._v6 if v6 else self._v4
        table.setdefault(shift, {})[number] = text or prefix
        return True

    def discard(self, prefix: str) -> None:
        """Let go of a prefix; harmless if it is not held."""
        key = key_of(prefix)
        if key is None:
            return
        v6, shift, number = key
        table = self._v6 if v6 else self._v4
        numbers = table.get(shift, {})
        numbers.pop(number, None)
        if not numbers:
            table.pop(shift, None)

    def holding(self, address: str) -> list[str]:
        """The texts of all prefixes that hold this single address or prefix, in no order; empty for other text."""
        v6 = ":" in address
        table = self._v6 if v6 else self._v4
        if not table:
            return []
        if "/" in address:
            return self._wider(table, address)
        try:
            number = int.from_bytes(socket.inet_pton(_FAMILIES[v6][0], address))
        except (OSError, ValueError):
            return []
        found = []
        for shift, numbers in table.items():
            text = numbers.get(number >> shift)
            if text is not None:
                found.append(text)
        return found

    def held(self, addresses: Sequence[str]) -> Sequence[int]:
        """The places of those for which `holding` is not empty; much faster for many."""
        if not self:
            return ()
        try:
            packed = b"".join(map(socket.inet_aton, addresses))  # takes "1", too: see below
        except OSError:
            return [place for place, address in enumerate(addresses) if self.holding(address)]
        numbers = array("I", packed)
        if sys.byteorder == "little":
            numbers.byteswap()
        found: set[int] = set()
        for shift, known in self._v4.items():
            shifted = [number >> shift for number in numbers]
            if not known.keys().isdisjoint(shifted):
                found.update(place for place, number in enumerate(shifted) if number in known)
        return [place for place in sorted(found) if self.holding(addresses[place])]

    @staticmethod
    def _wider(table: _Table, prefix: str) -> list[str]:
        key = key_of(prefix)
        if key is None:
            return []
        _, own_shift, number = key
        number <<= own_shift
        found = [(shift, numbers.get(number >> shift)) for shift, numbers in table.items()]
        return [text for shift, text in found if text is not None and shift >= own_shift]

    def inside(self, prefix: str) -> Iterator[str]:
        """The texts of all that lies inside `prefix`, itself included. Looks at everything held of that family."""
        key = key_of(prefix)
        if key is None:
            return
        v6, shift, number = key
        for own_shift, numbers in (self._v6 if v6 else self._v4).items():
            if own_shift <= shift:
                yield from (text for own, text in numbers.items() if own >> (shift - own_shift) == number)

    def __bool__(self) -> bool:
        return bool(self._v4 or self._v6)


class PrefixList:
    """A fixed list of addresses and prefixes, sorted: one bisection tells which of them lies inside another."""

    __slots__ = ("_prefixes", "_starts")

    def __init__(self, prefixes: Iterable[str]) -> None:
        found = [(_start(key), prefix) for prefix in prefixes if (key := key_of(prefix))]
        found.sort()
        self._starts = [start for start, _ in found]
        self._prefixes = [prefix for _, prefix in found]

    def first_inside(self, prefix: str) -> str:
        """The first of those that lie inside `prefix`, or begin with it and are wider; empty if there is none."""
        key = key_of(prefix)
        if key is None or not self._starts:
            return ""
        v6, start = _start(key)
        place = bisect_left(self._starts, (v6, start))
        if place == len(self._starts) or self._starts[place] >= (v6, start + (1 << key[1])):
            return ""
        return self._prefixes[place]


def _start(key: Key) -> tuple[bool, int]:
    v6, shift, number = key
    return v6, number << shift


def key_of(prefix: str) -> Key | None:
    """The numbers of a canonical address or prefix, None where it is neither."""
    base, slash, length = prefix.partition("/")
    v6 = ":" in base
    family, bits = _FAMILIES[v6]
    try:
        number = int.from_bytes(socket.inet_pton(family, base))
        shift = bits - int(length) if slash else 0
    except (OSError, ValueError):
        return None
    return (v6, shift, number >> shift) if 0 <= shift <= bits else None
