"""Who is logged in by ssh behind a process: what its environment claims, and what the kernel knows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from guardhooks.system.sockets import Connection, established
from guardhooks.system.ssh_sessions import claims_of, sessions_of

CHILD = "import sys; print('ready', flush=True); sys.stdin.read()"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"
SERVER = f"""
import pathlib, socket, subprocess, sys
listener = socket.create_server(("127.0.0.2", 0))
client = socket.create_connection(listener.getsockname(), source_address=("127.0.0.3", 0))
peer, _ = listener.accept()
client.detach()  # stays open, and is no longer looked after
pathlib.Path("/proc/self/comm").write_text("sshd")
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}])
print(child.pid, flush=True)
child.wait()
"""
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0 100 0 0 10 0
   1: 010200C0:08AE 420200C0:C350 01 00000000:00000000 00:00000000 00000000     0        0 12 1 0 20 4 30 10 -1
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when
   0: 0000000000000000FFFF0000010200C0:0016 0000000000000000FFFF0000090200C0:C351 01 0:0 0:0 0 0 0 13 1 0 20 4 30 10 -1
   1: B80D0120000000000000000001000000:0016 B80D0120000000000000000009000000:C352 01 0:0 0:0 0 0 0 14 1 0 20 4 30 10 -1
"""


@contextmanager
def running(script: str, **variables: str) -> Iterator[tuple[int, str]]:
    """A Python process, and the first line that it or its child prints."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SSH_")}
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env={**environment, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.pid, process.stdout.readline()
        process.communicate()


def test_the_environment_of_a_process_claims_a_peer() -> None:
    with running(CHILD, SSH_CONNECTION="203.0.113.9 50000 192.0.2.1 22") as (pid, _):
        assert "203.0.113.9" in claims_of(pid)
        assert "203.0.113.9" in claims_of(pid, os.geteuid())
        assert "203.0.113.9" not in claims_of(pid, os.geteuid() + 1)


@pytest.mark.parametrize(
    ("value", "peer"), [("2001:DB8::9 50000 22", "2001:db8::9"), ("fe80::9%eth0 50000 22", "fe80::9")]
)
def test_zones_and_spellings_of_claims(value: str, peer: str) -> None:
    with running(CHILD, SSH_CLIENT=value) as (pid, _):
        assert peer in claims_of(pid)


def test_ancestors_claim_for_their_children_and_nonsense_claims_nothing() -> None:
    with running(PARENT, SSH_CONNECTION="203.0.113.9 1 2 3") as (pid, _):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert "203.0.113.9" in claims_of(int(children[0]))
    with running(CHILD, SSH_CONNECTION="$(reboot) 1 2 3", SSH_CLIENT="") as (pid, _):
        assert not {claim for claim in claims_of(pid) if not claim.replace(".", "").replace(":", "").isalnum()}
    assert claims_of(0) == set()


def test_a_session_is_what_an_sshd_of_root_is_connected_to(tmp_path: Path) -> None:
    if os.geteuid() != 0 and not os.environ.get("CI"):
        pytest.skip("needs root")
    with running(SERVER) as (pid, line):
        sessions = {session for session in sessions_of(int(line)) if session.server.pid == pid}
        assert "127.0.0.3" in {session.peer for session in sessions}
        assert all(session.lasts for session in sessions)
    assert not any(session.lasts for session in sessions)


def test_connections_are_read_as_the_kernel_writes_them(tmp_path: Path) -> None:
    if sys.byteorder != "little":
        pytest.skip("the texts are of a little-endian machine")
    (tmp_path / "tcp").write_text(TCP)
    (tmp_path / "tcp6").write_text(TCP6)

    assert list(established(tmp_path)) == [
        Connection("192.0.2.1", 2222, "192.0.2.66", 50000, 12),
        Connection("192.0.2.1", 22, "192.0.2.9", 50001, 13),
        Connection("2001:db8::1", 22, "2001:db8::9", 50002, 14),
    ]
