"""The last lines of log files that name an offender: what `grep -w` would show, read from the end and bounded."""

from __future__ import annotations

import glob
import ipaddress
import re
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from guardhooks import canonical

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_TAIL: Final = 8 << 20
"""Bytes at the end of each file that are searched."""
_FILES: Final = 20
_LONGEST: Final = 8192
"""Bytes of a line that are kept."""
_ADDRESS: Final = re.compile(rb"[0-9A-Fa-f:.]{2,45}")


def last_lines(logpath: str, address: str, most: int) -> list[str]:
    """At most `most` lines that name the address, or an address of the network, oldest first within each file.

    :param logpath: paths as in a jail: several lines or blanks between them, wildcards, position words.
    """
    wanted = _test(address)
    if wanted is None or most <= 0:
        return []
    found: deque[str] = deque(maxlen=most)
    for path in _files(logpath):
        found.extend(line[:_LONGEST].decode("utf-8", "replace") for line in _tail(path) if wanted(line))
    return list(found)


def _test(address: str) -> Callable[[bytes], bool] | None:
    if not canonical(address):
        return None
    network = ipaddress.ip_network(address)
    if network.num_addresses == 1 and network.version == 4:
        word = re.compile(rb"(?<![\w.])" + re.escape(str(network.network_address).encode()) + rb"(?![\w]|\.\w)")
        return lambda line: word.search(line) is not None
    return lambda line: any(_is_in(text, network) for text in _ADDRESS.findall(line))


def _is_in(text: bytes, network: _Network) -> bool:
    """Whether this is an address of the network, in whatever spelling; a port or full stop may stick to it."""
    if (b":" if network.version == 6 else b".") not in text:
        return False
    known = canonical(text.decode().rstrip(".:")) or canonical(text.decode())
    return bool(known) and ipaddress.ip_address(known) in network


def _files(logpath: str) -> Iterator[Path]:
    """The regular files that are meant, each once."""
    words = [word for line in logpath.splitlines() for word in _paths(line)]
    matched = dict.fromkeys(path for word in words for path in _matching(word))
    return iter([Path(path) for path in matched][:_FILES])


def _paths(line: str) -> Sequence[str]:
    whole = line.strip().removesuffix(" head").removesuffix(" tail").strip()
    if not whole.startswith("/"):
        return ()
    return (whole,) if _matching(whole) else [word for word in whole.split() if word.startswith("/")]


def _matching(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern))  # noqa: PTH207 -- the pattern is absolute, which Path.glob refuses


def _tail(path: Path) -> Iterator[bytes]:
    """The last whole lines of a file; none of what is no regular file or cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            if size > _TAIL:
                file.readline(_TAIL)
            yield from file.read(_TAIL).split(b"\n")
    except OSError:
        return
