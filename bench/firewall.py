"""Cost of bans in the kernel's sets: batches against `ipset restore` and `nft -f`, and one more ban in a full set.

Run as root: `python bench/firewall.py [ENTRIES…]`. It makes a network namespace of its own and deletes it.
"""

from __future__ import annotations

import ipaddress
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from guardhooks import ActionSpec, Ban, Jail, Op
from guardhooks_core.actions.ipset import IpsetAction
from guardhooks_core.actions.nftables import NftablesAction

JAIL = Jail(name="bench")
ROUNDS = 3


def bans(count: int, first: int = 0x0B000000) -> list[Ban]:
    now = time.time()
    return [Ban(str(ipaddress.ip_address(first + 7 * i)), "bench", now, 3600.0) for i in range(count)]


def timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def by_command(name: str, wanted: list[Ban]) -> float:
    """The tool's own best: one process that reads everything from its standard input."""
    if name == "ipset":
        text = "create plain hash:net timeout 0 maxelem 1048576\n"
        text += "".join(f"add plain {ban.id} timeout 3600\n" for ban in wanted)
        command, clean = ["ipset", "restore"], ["ipset", "destroy", "plain"]
    else:
        elements = ",".join(f"{ban.id} timeout 3600s" for ban in wanted)
        text = "table inet plain { set s { type ipv4_addr; flags timeout; elements = {" + elements + "}; }; }\n"
        command, clean = ["nft", "-f", "-"], ["nft", "delete", "table", "inet", "plain"]
    taken = timed(lambda: subprocess.run(command, input=text, text=True, check=True))
    subprocess.run(clean, check=True)
    return taken


def measure(name: str, plugin: Any, count: int) -> None:  # noqa: ANN401 -- either plugin
    action = ActionSpec(name=name, actname=name, options={"name": "bench", "port": "22"})
    wanted = bans(count)

    def do(op: Op, some: list[Ban]) -> object:
        return plugin.execute_action(JAIL, action, op, some)

    starts, commands = [], []
    for _ in range(ROUNDS):
        do(Op.FLUSH, [])
        starts.append(timed(lambda: do(Op.START, wanted)))
        commands.append(by_command(name, wanted) if count else 0.0)
    check = timed(lambda: do(Op.CHECK, wanted))
    single = statistics.median(timed(lambda ban=ban: do(Op.BAN, [ban])) for ban in bans(200, 0xC6336400))
    do(Op.FLUSH, [])
    start, command = statistics.median(starts), statistics.median(commands)
    ratio = f"{start / command:5.2f}" if command else "    -"
    print(
        f"{name:9} {count:7} bans: start {start * 1e3:7.1f} ms, tool {command * 1e3:7.1f} ms, ratio {ratio}, "
        f"check {check * 1e3:7.1f} ms, one more ban {single * 1e6:5.0f} µs"
    )


def main() -> None:
    if "--inside" not in sys.argv:
        namespace = f"ghfw-bench-{os.getpid()}"
        subprocess.run(["ip", "netns", "add", namespace], check=True)
        try:
            inside = ["ip", "netns", "exec", namespace, sys.executable, __file__, "--inside", *sys.argv[1:]]
            sys.exit(subprocess.run(inside, check=False).returncode)
        finally:
            subprocess.run(["ip", "netns", "del", namespace], check=False)
    counts = [int(text) for text in sys.argv[1:] if text.isdigit()] or [0, 10_000, 100_000]
    for count in counts:
        measure("ipset", IpsetAction(), count)
        measure("nftables", NftablesAction(), count)


main()
