"""Ports of bans that do not exist, that nothing listens on, or that the service does not use."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from guardhooks.check.finders.penalties import sshd_configuration
from guardhooks.check.site import Site
from guardhooks.model import ActionSpec, ConfigFinding, Jail, Severity
from guardhooks.settings.problems import did_you_mean
from guardhooks.system.listeners import listening_ports

_SERVICES: Final = Path("/etc/services")
_LAST: Final = 65535


def wrong_ports(site: Site) -> Iterator[ConfigFinding]:
    """Findings about the ports of every jail that closes some of them and not all."""
    listening = listening_ports()
    sshd: frozenset[int] | None = None
    for jail in site.jails.values():
        text = next((action.get("port") for action in jail.actions if _closes_some(action)), "")
        words = text.replace(",", " ").split()
        unknown = [word for word in words if _ports(word) is None]
        for word in unknown:
            yield _unknown(jail, word)
        ranges = [ports for word in words if (ports := _ports(word))]
        if unknown or not ranges:
            continue
        if jail.filter and jail.filter.name == "sshd":
            sshd = _sshd_ports() if sshd is None else sshd
            missed = [port for port in sorted(sshd) if not any(port in ports for ports in ranges)]
            yield from _missed(jail, text, missed)
        if not any(port in ports for ports in ranges for port in listening):
            yield ConfigFinding(
                f"nothing listens on port {text}", Severity.NOTE,
                why="the bans close ports that are not in use now", key="port", jails=(jail.name,),
            )  # fmt: skip


def _closes_some(action: ActionSpec) -> bool:
    every = "allports" in action.name or action.get("type") == "allports"
    return bool(action.get("port")) and not every and (action.file != "" or "port" in action.options)


def _ports(word: str) -> range | None:
    """The ports that one word of a list means; None where it means none."""
    first, separator, last = word.partition(":" if ":" in word else "-" if word[0].isdigit() else ":")
    low = _port(first or "0")
    high = low if not separator else _port(last or str(_LAST))
    return range(low, high + 1) if low is not None and high is not None and low <= high <= _LAST else None


def _port(text: str) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text)
    for protocol in ("tcp", "udp"):
        try:
            return socket.getservbyname(text, protocol)
        except (OSError, UnicodeError, ValueError):
            continue
    return None


def _unknown(jail: Jail, word: str) -> ConfigFinding:
    near = did_you_mean(word, _service_names()).partition("'")[2].partition("'")[0]
    return ConfigFinding(
        f"port: {word!r} is neither a number nor a service of {_SERVICES}", Severity.ERROR,
        why="actions that close ports fail", remedy=f"write {near!r}" if near else "write the number of the port",
        nearest=near, key="port", jails=(jail.name,),
    )  # fmt: skip


def _service_names() -> list[str]:
    try:
        lines = _SERVICES.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    return sorted({line.split()[0] for line in lines if line.strip() and not line.startswith("#")})


def _sshd_ports() -> frozenset[int]:
    port = sshd_configuration().get("port", "")
    return listening_ports("sshd") or (frozenset({int(port)}) if port.isdigit() else frozenset())


def _missed(jail: Jail, text: str, missed: list[int]) -> Iterator[ConfigFinding]:
    if missed:
        ports = ", ".join(map(str, missed))
        yield ConfigFinding(
            f"sshd listens on port {ports}, and bans close port {text}",
            why="who is banned still reaches sshd",
            remedy=f"set port = {','.join([text, *map(str, missed)])}",
            key="port",
            jails=(jail.name,),
        )
