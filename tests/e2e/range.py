"""The range: a server and an attacker on hosts of their own, that is in two network namespaces joined by a veth pair.

Every range has its own firewall, sets, addresses, system log and sshd, so several can stand side by side and the
machine's own are never touched. Needs root and the tools named in `TOOLS`.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

TOOLS: Final = ("ip", "unshare", "rsyslogd", "sshd", "ssh", "sshpass", "ssh-keygen", "nft", "ipset", "iptables")
SSH_PORT: Final = 2222
SERVER: Final = {4: "192.0.2.1", 6: "2001:db8:0:1::1"}
ATTACKER: Final = {4: "192.0.2.66", 6: "2001:db8:0:66::1"}
NEIGHBOUR: Final = {4: "192.0.2.77", 6: "2001:db8:0:77::1"}
"""Another address of the attacker's host. Over IPv6 it lies in another /64, else one ban would cover both."""

_PREFIX_LENGTH: Final = {4: 24, 6: 48}
_numbers = itertools.count()
Command: TypeAlias = Sequence[str | Path]


def missing() -> str:
    """Why no range can be set up here; empty where it can."""
    if os.geteuid() != 0:
        return "needs root"
    absent = [tool for tool in TOOLS if shutil.which(tool, path=_search_path()) is None]
    if absent:
        return f"needs {', '.join(absent)}"
    probe = f"ghe2e-probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode:
        return "network namespaces cannot be made here"
    subprocess.run(["ip", "netns", "delete", probe], check=True)
    return ""


class Host:
    """A network namespace."""

    def __init__(self, name: str) -> None:
        self.name = name
        subprocess.run(["ip", "netns", "add", name], check=True)

    def command(self, *argv: str | Path) -> list[str]:
        """The command line that runs `argv` on this host."""
        return ["ip", "netns", "exec", self.name, *map(str, argv)]

    def run(self, *argv: str | Path, check: bool = True, timeout: float = 20.0) -> subprocess.CompletedProcess[str]:
        """Run a command on this host to its end."""
        done = subprocess.run(
            self.command(*argv),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env=environment(),
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def delete(self) -> None:
        """Remove the namespace. What still runs in it keeps it until it ends."""
        subprocess.run(["ip", "netns", "delete", self.name], check=True)


class Network:
    """The two hosts and the wire between them."""

    def __init__(self) -> None:
        stem = f"ghe2e-{os.getpid()}-{next(_numbers)}"
        self.server = Host(f"{stem}-srv")
        self.attacker = Host(f"{stem}-att")
        self._connect()

    def _connect(self) -> None:
        wire = ["link", "add", "wire", "netns", self.server.name, "type", "veth"]
        subprocess.run(["ip", *wire, "peer", "name", "wire", "netns", self.attacker.name], check=True)
        for host, addresses in ((self.server, [SERVER]), (self.attacker, [ATTACKER, NEIGHBOUR])):
            for family, length in _PREFIX_LENGTH.items():
                for address in addresses:
                    flags = ["nodad"] if family == 6 else []
                    host.run("ip", "address", "add", f"{address[family]}/{length}", "dev", "wire", *flags)
            for link in ("lo", "wire"):
                host.run("ip", "link", "set", link, "up")

    def delete(self) -> None:
        """Remove both hosts."""
        self.server.delete()
        self.attacker.delete()


def environment() -> dict[str, str]:
    """This process's environment, with the folders of system tools, plain messages and no agent of the user's.

    Without Python's development mode either: what runs end to end runs as it does for users.
    """
    left_out = ("SSH_", "LC_", "GUARDHOOKS", "PYTHONDEVMODE")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
    return {**kept, "PATH": _search_path(), "LANG": "C.UTF-8"}


def _search_path() -> str:
    return os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"


def end(process: subprocess.Popen[str] | subprocess.Popen[bytes], patience: float = 10.0) -> int:
    """Ask a process of ours to end, insist if it does not; its exit status."""
    process.terminate()
    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
