"""Random changes to bytes, as a fuzzer makes them; the same seed makes the same changes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

_INTERESTING: Final = (
    b"\x00", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf", b"\x1b[2J",
    b"\r", b"\n", b"\t", b" ", b"=", b"[", b"]", b"%", b"%%", b"%(", b"%(known/failregex)s", b"#", b";",
    b"<HOST>", b"<ADDR>", b"<F-ID>", b"</F-ID>", b"<F-MLFID>", b"<SKIPLINES>", b"{NONE}",
    b"(?P<", b"(?:", b")", b"(.+)+", b"\\", b"{", b"}", b"^", b"$", b'"', b"'", b"`", b"$(", b"../", b"/dev/zero",
    b"-1", b"0", b"NaN", b"1e999", b"inf", b"99999999999999999999", b"-9223372036854775808", b"true", b"null",
    b"x" * 5000,
)  # fmt: skip
_MOST: Final = 64 * 1024
"""Bytes of a changed text at most."""


def mutated(seeds: Sequence[bytes], source: random.Random) -> bytes:
    """One of the seeds with one to eight changes."""
    data = bytearray(source.choice(seeds))
    for _ in range(source.choice((1, 1, 1, 2, 3, 8))):
        _change(data, seeds, source)
    return bytes(data[:_MOST])


def _change(data: bytearray, seeds: Sequence[bytes], source: random.Random) -> None:
    at = source.randint(0, len(data))
    end = min(len(data), at + source.choice((1, 2, 4, 16, 200)))
    match source.randrange(6):
        case 0:
            data[at:end] = b""
        case 1:
            data[at:at] = source.choice(_INTERESTING)
        case 2:
            data[at:end] = source.choice(_INTERESTING)
        case 3:
            data[at:at] = data[at:end] * source.choice((1, 2, 50))
        case 4:
            other = source.choice(seeds)
            start = source.randint(0, len(other))
            data[at:end] = other[start : start + source.choice((1, 10, 300))]
        case _:
            for place in range(at, end):
                data[place] ^= 1 << source.randrange(8)
