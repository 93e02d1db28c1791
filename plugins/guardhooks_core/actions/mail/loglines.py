"""The last lines of log files that name an offender, as `grep -w` would show them; read from the end and limited."""

from __future__ import annotations

import contextlib
import glob
import ipaddress
import re
import socket
import stat
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

from guardhooks import canonical

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_TAIL: Final = 8 << 20
"""Bytes at the end of each file that are searched."""
_FILES: Final = 20
"""Files that are searched."""
_LONGEST: Final = 8192
"""Bytes of a line that are kept."""
_IPV4: Final = re.compile(rb"(?<![\w.])[0-9.]{7,16}(?!\w)")
_IPV6: Final = rb"[0-9a-f]{0,4}(?::[0-9a-f.]{0,15}){2,8}"
"""A possible address; a full stop may follow it directly, and after IPv6 a colon with a port."""


def last_lines(logpath: str, address: str, most: int) -> list[str]:
    """At most `most` lines that contain the address, or an address of the network, oldest first within each file.

    :param logpath: paths as in a jail: several lines or blanks between them, wildcards, position words.
    """
    wanted = _test(address)
    if wanted is None or most <= 0:
        return []
    found: list[str] = []
    for path in reversed(_files(logpath)):
        named = (line for line in reversed(_tail(path)) if wanted(line))
        found += (line[:_LONGEST].decode("utf-8", "replace") for line in islice(named, most - len(found)))
    return found[::-1]


def _test(address: str) -> Callable[[bytes], bool] | None:
    if not canonical(address):
        return None
    network = ipaddress.ip_network(address, strict=False)
    needle = _needle(network)
    if network.version == 4:
        pattern = _IPV4
    else:
        pattern = re.compile(rb"(?<![0-9a-f:.])" + (rb"0{0,3}" + needle + rb"[0-9a-f:.]{1,41}" if needle else _IPV6))
    is_in = _membership(network)
    return lambda line: needle in (low := line.lower()) and any(map(is_in, pattern.findall(low)))


def _needle(network: _Network) -> bytes:
    """The beginning of every notation of every address of the network, so that few lines need the full test."""
    if network.version == 4:
        return ".".join(str(network.network_address).split(".")[: network.prefixlen // 8]).encode()
    first = int(network.network_address) >> 112
    return f"{first:x}:".encode() if first and network.prefixlen >= 16 else b""


def _membership(network: _Network) -> Callable[[bytes], bool]:
    """A test whether a word is an address of the network, in any notation."""
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    shift = network.max_prefixlen - network.prefixlen
    number = int(network.network_address) >> shift

    def is_in(text: bytes) -> bool:
        for word in (text.rstrip(b".:"), text):
            with contextlib.suppress(OSError):
                return int.from_bytes(socket.inet_pton(family, word.decode())) >> shift == number
        return False

    return is_in


def _files(logpath: str) -> list[Path]:
    """The files that match, each once."""
    words = [word for line in logpath.splitlines() for word in _paths(line)]
    matched = dict.fromkeys(path for word in words for path in _matching(word))
    return [Path(path) for path in matched][:_FILES]


def _paths(line: str) -> Sequence[str]:
    whole = line.strip().removesuffix(" head").removesuffix(" tail").strip()
    if not whole.startswith("/"):
        return ()
    return (whole,) if _matching(whole) else [word for word in whole.split() if word.startswith("/")]


def _matching(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern))  # noqa: PTH207 -- the pattern is absolute, which Path.glob refuses


def _tail(path: Path) -> list[bytes]:
    """The last whole lines of a file; none if it is not a regular file or cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return []
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            if size > _TAIL:
                file.readline(_TAIL)
            return file.read(_TAIL).split(b"\n")
    except OSError:
        return []
