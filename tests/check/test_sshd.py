"""A real sshd that listens on another port than the one that bans close."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardhooks.system.listeners import listening_ports
from tests.check.conftest import SmallSite
from tests.kit.waiting import wait_for

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
IN_CI = "CI" in os.environ
pytestmark = [
    pytest.mark.skipif(SSHD is None and not IN_CI, reason="sshd is not installed"),
    pytest.mark.skipif(os.geteuid() != 0 and not IN_CI, reason="only root sees whose sockets they are"),
]

JAIL = "[sshd]\nenabled = true\nfilter = sshd\nlogpath = {{log}}\nport = {port}\naction = nftables[port=%(port)s]\n"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of an sshd that runs for the test."""
    assert SSHD is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = int(free.getsockname()[1])
    key = tmp_path / "host_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    options = ["-o", "ListenAddress=127.0.0.1", "-o", f"HostKey={key}", "-o", "PidFile=none", "-p", str(number)]
    Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-f", "/dev/null", *options], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: number in listening_ports("sshd"), "sshd listens")
        yield number
    finally:
        server.terminate()
        server.wait()


def test_an_sshd_on_a_port_that_bans_leave_open_is_told(small: SmallSite, port: int) -> None:
    told = [finding for finding in small.findings(JAIL.format(port="ssh")) if "sshd listens on port" in finding.what]
    assert len(told) == 1
    assert str(port) in told[0].what
    assert told[0].why == "who is banned still reaches sshd"
    assert told[0].place == f"{small.folder}/jail.local:5"
    ports = ",".join(map(str, sorted(listening_ports("sshd"))))
    assert not [each for each in small.findings(JAIL.format(port=ports)) if "sshd listens" in each.what]
