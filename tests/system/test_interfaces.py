"""The addresses of this machine, as the kernel tells them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from guardhooks.system.interfaces import interface_addresses, own_addresses

SCRIPT = """
ip link set lo up
ip link add left type veth peer name right
ip link set left up
ip address add 192.0.2.1/24 dev left
ip address add 198.51.100.1 peer 198.51.100.2/32 dev left
ip address add 2001:db8::1/64 dev left nodad
for number in $(seq 1 250); do echo address add 203.0.113.$number/32 dev left; done | ip -batch -
for number in $(seq 1 250); do echo address add 2001:db8:1::$number/128 dev left nodad; done | ip -batch -
exec "$0" -c 'import json; from guardhooks.system.interfaces import interface_addresses as f; print(json.dumps([*f()]))'
"""


def test_loopback_is_always_among_them() -> None:
    assert {"127.0.0.1", "::1"} <= own_addresses()
    assert interface_addresses() <= own_addresses()


async def _read_in_a_coroutine() -> frozenset[str]:
    return interface_addresses()


def test_a_thread_with_an_event_loop_may_ask_and_nothing_is_left_open() -> None:
    before = set(Path("/proc/self/fd").iterdir())
    assert "127.0.0.1" in asyncio.run(_read_in_a_coroutine())
    assert set(Path("/proc/self/fd").iterdir()) == before
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("interfaces")] == []


def test_every_address_of_every_interface_and_none_of_the_other_end() -> None:
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        if os.environ.get("CI"):
            pytest.fail("needs root, unshare and ip")
        pytest.skip("needs root, unshare and ip")
    command = ["unshare", "--net", "sh", "-ec", SCRIPT, sys.executable]
    found = set(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert {"127.0.0.1", "192.0.2.1", "198.51.100.1", "2001:db8::1", "203.0.113.250", "2001:db8:1::250"} <= found
    assert "198.51.100.2" not in found
    assert len(found) >= 505
