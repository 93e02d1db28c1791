"""Which jails a machine needs, and why."""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from guardhooks.settings import Service
from guardhooks.setup.evidence import Evidence
from guardhooks.setup.programs import AT_CHOICE, PROGRAMS

_UNIT: Final = re.compile(r"_SYSTEMD_UNIT=([\w\-.]+)\.service")
_WEB: Final = ("web-secrets", "web-scanner")
_WEB_SERVERS: Final = frozenset({"nginx-http-auth", "apache-auth", "haproxy", "traefik-auth"})
"""With one of these, the jails of `_WEB` are wanted too."""

_CLAIMED: Final = frozenset(program for programs in PROGRAMS.values() for program in programs)
"""They tell of the jail that names them; others for the same server are for the administrator to choose."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A jail to switch on. `port` is empty where the jail's own ports are right; `logs` are files that are there."""

    service: Service
    why: str
    port: str = ""
    logs: tuple[str, ...] = ()


def propose(services: Sequence[Service], evidence: Evidence) -> tuple[Proposal, ...]:
    """The jails for what this machine serves, in the order of `services`."""
    readers = Counter(log for service in services for log in service.logs)
    found = {}
    for service in services:
        if service.name not in AT_CHOICE and (why := _why(service, evidence, readers)):
            found[service.name] = _proposal(service, evidence, why)
    if _WEB_SERVERS & found.keys():
        for service in services:
            if service.name in _WEB and (logs := _logs(service, evidence)):
                found[service.name] = Proposal(service, "a web server's access log is here", logs=logs)
    return tuple(found[service.name] for service in services if service.name in found)


def _why(service: Service, evidence: Evidence, readers: Counter[str]) -> str:
    programs = PROGRAMS.get(service.name) or _units(service)
    for program in programs:
        if evidence.runs(program):
            return f"{program} runs"
    for program in programs:
        if evidence.has(program):
            return f"{program} is installed"
    own = (log for log in service.logs if readers[log] == 1)
    return next((f"{path} is here" for log in own if (path := evidence.log(log))), "")


def _units(service: Service) -> tuple[str, ...]:
    matches = service.jail.filter.journalmatch if service.jail.filter else ()
    found = dict.fromkeys(_UNIT.findall(" ".join(matches)))
    return tuple(unit for unit in found if unit not in _CLAIMED)


def _proposal(service: Service, evidence: Evidence, why: str) -> Proposal:
    programs = PROGRAMS.get(service.name) or _units(service)
    real = frozenset[int]().union(*(evidence.ports_of(program) for program in programs))
    known = _numbers(service.ports)
    port = "" if service.ports == "all" or real <= known else ",".join(map(str, sorted(real)))
    return Proposal(service, why, port, _logs(service, evidence))


def _logs(service: Service, evidence: Evidence) -> tuple[str, ...]:
    return tuple(path for log in service.logs if (path := evidence.log(log)))


def _numbers(ports: str) -> frozenset[int]:
    return frozenset(_each(word.strip() for word in ports.split(",")))


def _each(words: Iterable[str]) -> Iterable[int]:
    for word in words:
        if word.isdigit():
            yield int(word)
        elif re.fullmatch(r"\d+:\d+", word):
            first, _, last = word.partition(":")
            yield from range(int(first), int(last) + 1)
        else:
            try:
                yield socket.getservbyname(word)
            except OSError:
                continue
