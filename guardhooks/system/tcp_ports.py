"""Port lists as action files have them: numbers, names of services and ranges."""

from __future__ import annotations

import socket

_HIGHEST = 65535


def ports_of(text: str) -> frozenset[int] | None:
    """The ports of a list such as `ssh,8080,1000:2000`; None for every port, and where one cannot be read."""
    ports: set[int] = set()
    for word in text.partition("#")[0].replace(",", " ").split():
        first, _, last = word.replace("-", ":").partition(":") if word[:1].isdigit() else (word, "", "")
        begin, end = _number(first), _number(last or first)
        if begin is None or end is None or (begin <= 1 and end >= _HIGHEST):
            return None
        ports.update(range(begin, min(end, _HIGHEST) + 1))
    return frozenset(ports)


def _number(text: str) -> int | None:
    if text.isdigit():
        return int(text)
    try:
        return socket.getservbyname(text)
    except (OSError, UnicodeError):
        return None
