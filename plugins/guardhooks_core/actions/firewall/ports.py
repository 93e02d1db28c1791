"""Port lists as `jail.conf` writes them: `ssh`, `http,https`, `1000:2000`, `1-100`, `0:65535`."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Final, TypeAlias

from guardhooks import ActionError, safe_text

Ports: TypeAlias = tuple[tuple[int, int], ...]
"""Inclusive ranges, ascending, neither overlapping nor touching. Empty: every port."""

_LAST: Final = 65535
_SERVICES: Final = Path("/etc/services")


def parse_ports(text: str, protocols: Iterable[str] = ("tcp", "udp")) -> Ports:
    """The ports of a comma- or blank-separated list of numbers, service names and ranges (`a:b`, `a-b`).

    The whole range (`0:65535`, `1:65535`) is every port: an empty tuple. Service names are looked up in
    `/etc/services`, for `protocols` in order. A `#` begins a comment. A range may end above 65535, the last port.

    :raises ActionError: naming the part that is no port.
    """
    parts = text.partition("#")[0].replace(",", " ").split()
    if not parts:
        raise ActionError("port= is empty: give port names, numbers or ranges, or type=allports")
    ranges = _merge(sorted(_range(part, protocols) for part in parts))
    return () if any(first <= 1 and last == _LAST for first, last in ranges) else ranges


def _range(part: str, protocols: Iterable[str]) -> tuple[int, int]:
    if part.replace("-", "").replace(":", "").isdigit() and part.isascii():
        first, separator, last = part.partition(":" if ":" in part else "-")
        low = _number(first or "0", part)
        high = _end(last, part) if separator else low
    elif ":" in part:
        first, _, last = part.partition(":")
        low, high = _port(first, protocols), _port(last, protocols)
    else:
        low = high = _port(part, protocols)
    if low > high:
        raise ActionError(f"port range {part}: the first port is greater than the last")
    return low, high


def _port(text: str, protocols: Iterable[str]) -> int:
    if text.isascii() and text.isdigit():
        return _number(text, text)
    for protocol in protocols:
        try:
            return socket.getservbyname(text, protocol)
        except (OSError, UnicodeError, ValueError):
            continue
    _require_services(text)
    raise ActionError(
        f"port {safe_text(text, 60)!r} is no number and no service of /etc/services for {', '.join(protocols)}"
        f"{_nearest(text)}"
    )


def _nearest(name: str) -> str:
    """The service that is most like a name, as a question."""
    with suppress(OSError):
        lines = _SERVICES.read_text(encoding="utf-8", errors="replace").splitlines()
        known = [line.split(maxsplit=1)[0] for line in lines if line[:1].isalnum()]
        if near := get_close_matches(name[:60], known, 1, cutoff=0.75):
            return f"; did you mean {near[0]!r}?"
    return ""


def _require_services(name: str) -> None:
    """Make sure that names can be looked up at all.

    :raises ActionError: when they cannot: then it is not the name's fault.
    """
    try:
        _SERVICES.open("rb").close()
    except FileNotFoundError:
        return
    except OSError as error:
        why = f"{_SERVICES} cannot be read: {error.strerror}"
        raise ActionError(f"port {safe_text(name, 60)!r}: {why}; retrying") from None


def _number(text: str, part: str) -> int:
    if not text.isdigit() or len(text) > 5 or int(text) > _LAST:
        raise ActionError(f"port {safe_text(part, 60)!r}: ports are 0 to {_LAST}")
    return int(text)


def _end(text: str, part: str) -> int:
    """The last port of a range; there is none above 65535, whatever the range says."""
    if text.isdigit() and (len(text) > 5 or int(text) > _LAST):
        return _LAST
    return _number(text or str(_LAST), part)


def _merge(ranges: Sequence[tuple[int, int]]) -> Ports:
    merged: list[tuple[int, int]] = []
    for first, last in ranges:
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)
