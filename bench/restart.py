#!/usr/bin/env python3
"""Time from the start of the daemon until the kernel holds all bans again, the sets having been destroyed.

    sudo python bench/restart.py                       # 1,000, 10,000 and 100,000 bans, ipset and nftables
    sudo python bench/restart.py --number 1000 --firewall nftables

Beside guardhooks: Debian's fail2ban with its own action of the same name, given up after `--patience` seconds, and the
tool's own best for the same set (`ipset restore`, `nft -f`). On a busy machine, compare the seconds of the processor.
Bans are put into the databases of the two while they do not run. Everything happens in a network namespace of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from daemons import Daemon, Fail2ban, Guardhooks
from kernel import FIREWALLS, Firewall
from logs import offender
from side_by_side import daemon, enter_namespace, fill, machine

_OUR_PATIENCE = 60.0


def main() -> None:
    arguments = _arguments()
    enter_namespace()
    print(machine())
    print("\n| firewall, bans | guardhooks, s (CPU) | the tool, s (CPU) | ratio (CPU) | fail2ban, s | times better |")
    print("|---|--:|--:|--:|--:|--:|")
    for name in arguments.firewall or FIREWALLS:
        for number in arguments.number or (1_000, 10_000, 100_000):
            print(_row(name, number, arguments), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, action="append", help="of bans; may be given often")
    parser.add_argument("--firewall", choices=FIREWALLS, action="append", help="both by default")
    parser.add_argument("--rounds", type=int, default=5, help="of guardhooks and the tool; the median counts")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds that fail2ban gets; 0 leaves it out")
    return parser.parse_args()


def _row(name: str, number: int, arguments: argparse.Namespace) -> str:
    firewall, addresses = FIREWALLS[name], [offender(each) for each in range(number)]
    ours, cpu = _medians(_restarts(Guardhooks, firewall, addresses, arguments.rounds, _OUR_PATIENCE))
    tool, tool_cpu = _medians(_by_tool(firewall, addresses) for _ in range(arguments.rounds))
    ratios = f"{ours / tool:.1f} ({cpu / tool_cpu:.1f})"
    cells = [f"{name}, {number:,}", f"{ours:.2f} ({cpu:.2f})", f"{tool:.2f} ({tool_cpu:.2f})", ratios]
    if arguments.patience:
        theirs, note = _fail2ban(firewall, addresses, arguments.patience)
        cells += [note, f"{theirs / ours:,.0f}"]
    return f"| {' | '.join(cells)} |"


def _medians(pairs: Iterable[tuple[float, float]]) -> tuple[float, float]:
    seconds, cpu = zip(*pairs, strict=True)
    return statistics.median(seconds), max(0.01, statistics.median(cpu))


def _restarts(
    kind: type[Daemon], firewall: Firewall, addresses: list[str], rounds: int, limit: float
) -> list[tuple[float, float]]:
    """Seconds, and those of the processor, of each round."""
    found = []
    with daemon(kind, firewall) as one:
        one.remember(addresses)
        for _ in range(rounds):
            firewall.clear()
            one.start()
            seconds, held = fill(firewall, addresses, limit)
            if held < len(addresses):
                raise TimeoutError(f"{held} of {len(addresses)} bans after {limit:.0f} s: {one.said()}")
            found.append((seconds, one.cpu()))
            one.wait_ready()
            one.stop()
    return found


def _by_tool(firewall: Firewall, addresses: list[str]) -> tuple[float, float]:
    command, script = firewall.restore_script(addresses)
    begin, used = time.perf_counter(), os.times()
    subprocess.run(command, input=script, text=True, check=True)
    taken, now = time.perf_counter() - begin, os.times()
    firewall.clear()
    return taken, now.children_user + now.children_system - used.children_user - used.children_system


def _fail2ban(firewall: Firewall, addresses: list[str], limit: float) -> tuple[float, str]:
    """Seconds, and how to print them: beyond the limit they are those that the rest would take at the same rate."""
    with daemon(Fail2ban, firewall) as one:
        one.remember(addresses)
        firewall.clear()
        one.start()
        seconds, held = fill(firewall, addresses, limit)
    if held >= len(addresses):
        return seconds, f"{seconds:.1f}"
    whole = seconds * len(addresses) / max(held, 1)
    return whole, f"{whole:,.0f}, at the rate of the {held:,} in {seconds:.0f} s"


if __name__ == "__main__":
    main()
