"""What is known of this machine: what runs, what is installed, which logs are there, who looks on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from guardhooks.system.listeners import reachable_ports, running_programs
from guardhooks.system.private_networks import private_networks
from guardhooks.system.ssh_sessions import claims_of, sessions_of

_UNITS: Final = tuple(map(Path, ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")))
_SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"
_KERNEL_NAME: Final = 15
"""Longest name of a process."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """`ports` are those that can be reached from elsewhere, by program; `root` is where logs are looked for."""

    running: frozenset[str] = frozenset()
    ports: Mapping[str, frozenset[int]] = field(default_factory=dict)
    units: frozenset[str] = frozenset()
    path: str = ""
    ssh_peers: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    root: Path = Path("/")

    def runs(self, program: str) -> bool:
        """Whether a process of this name runs."""
        return program[:_KERNEL_NAME] in self.running

    def ports_of(self, program: str) -> frozenset[int]:
        """TCP ports on which it listens, loopback left out."""
        return self.ports.get(program[:_KERNEL_NAME], frozenset())

    def has(self, program: str) -> bool:
        """Whether a program or a unit of this name is installed."""
        return f"{program}.service" in self.units or shutil.which(program, path=self.path) is not None

    def log(self, pattern: str) -> str:
        """The first file that a log path means, relative to nothing but `root`; empty where there is none."""
        return next((str(path) for path in self.root.glob(pattern.lstrip("/"))), "")


def look_around() -> Evidence:
    """Find out about this machine. Takes some milliseconds; as root it sees more."""
    peers = {session.peer for session in sessions_of(os.getpid())} | claims_of(os.getpid())
    return Evidence(
        running=running_programs(),
        ports=reachable_ports(),
        units=frozenset(path.name for folder in _UNITS for path in folder.glob("*.service")),
        path=f"{os.environ.get('PATH', '')}:{_SBIN}",
        ssh_peers=tuple(sorted(peers)),
        networks=private_networks(),
    )
