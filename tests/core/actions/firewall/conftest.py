"""Two hosts in network namespaces, joined by a cable, that do firewall actions and talk to each other."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guardhooks import ActionError

_WORKER = Path(__file__).with_name("host_worker.py")


class Host:
    """A namespace with a process in it that does what the test asks."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._worker: subprocess.Popen[str] | None = None

    def sh(self, *argv: str, check: bool = True) -> str:
        done = subprocess.run(["ip", "netns", "exec", self.name, *argv], capture_output=True, text=True, check=check)
        return done.stdout

    def ask(self, do: str, **arguments: object) -> Any:  # noqa: ANN401 -- JSON
        if self._worker is None:
            self._worker = subprocess.Popen(
                ["ip", "netns", "exec", self.name, sys.executable, str(_WORKER)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
        assert self._worker.stdin
        assert self._worker.stdout
        self._worker.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._worker.stdin.flush()
        answer = json.loads(self._worker.stdout.readline())
        if "error" in answer:
            raise ActionError(answer["error"])
        return answer["answer"]

    def restart(self, **guard: object) -> None:
        """New plugins: what they knew is gone, what the kernel holds is not. `guard`: see `TestedGuard`."""
        self.ask("restart", **guard)

    def close(self) -> None:
        if self._worker is not None:
            self._worker.terminate()
            self._worker.communicate()


@pytest.fixture(scope="module")
def _cable() -> Iterator[tuple[Host, Host]]:
    missing = [tool for tool in ("ip", "iptables", "ip6tables", "ipset", "nft") if not shutil.which(tool)]
    if not os.environ.get("CI") and (os.geteuid() != 0 or missing):
        pytest.skip(f"needs root and firewall tools{': ' if missing else ''}{', '.join(missing)}")
    names = [f"ghfw-{os.getpid()}-srv", f"ghfw-{os.getpid()}-att"]
    setup = [
        *(f"netns add {name}" for name in names),
        f"link add gh{os.getpid()}s netns {names[0]} type veth peer name gh{os.getpid()}a netns {names[1]}",
    ]
    addresses = (
        ("s", "198.51.100.1/24", "2001:db8:1::1/64", "2001:db8:2::1/64"),
        ("a", "198.51.100.2/24", "198.51.100.3/24", "2001:db8:1::2/64", "2001:db8:1::3/64", "2001:db8:2::2/64"),
    )
    for name, (end, *assigned) in zip(names, addresses, strict=True):
        device = f"gh{os.getpid()}{end}"
        setup += [f"-n {name} addr add {address} dev {device} {'nodad' * (':' in address)}" for address in assigned]
        setup += [f"-n {name} link set {device} up", f"-n {name} link set lo up"]
    try:
        for command in setup:
            subprocess.run(["ip", *command.split()], check=True, capture_output=True)
        hosts = (Host(names[0]), Host(names[1]))
        for port in (22, 8080):
            hosts[0].ask("listen", port=port)
        yield hosts
        for host in hosts:
            host.close()
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@pytest.fixture
def hosts(_cable: tuple[Host, Host]) -> Iterator[tuple[Host, Host]]:
    """Server and attacker, with an empty firewall; the server listens on ports 22 and 8080."""
    server, _ = _cable
    yield _cable
    server.sh("nft", "flush", "ruleset")
    for _ in range(1000):  # the kernel lets go of a set some time after the last rule that used it is gone
        server.sh("ipset", "destroy", check=False)
        if not server.sh("ipset", "list", "-n").strip():
            break
    server.restart()
