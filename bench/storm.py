#!/usr/bin/env python3
"""A storm: so many new offenders in one second; time from their last line until the kernel holds all of them.

    sudo python bench/storm.py                         # 10,000 offenders, ipset and nftables
    sudo python bench/storm.py --number 1000 --firewall ipset

Each offender writes one line and `maxretry` is 1. Beside guardhooks: Debian's fail2ban with its own action of the same
name, given up after `--patience` seconds, and the tool's own best (`ipset restore`, `nft -f`) with all addresses known.
Everything happens in a network namespace of its own.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

sys.path.insert(0, str(Path(__file__).parent))

from daemons import Daemon, Fail2ban, Guardhooks
from kernel import FIREWALLS, Firewall
from logs import failed_login, offender
from side_by_side import daemon, enter_namespace, fill, machine

_OUR_PATIENCE = 60.0
_GUSTS = 50
"""Writes that make up the second."""


def main() -> None:
    arguments = _arguments()
    enter_namespace()
    print(machine())
    print("\n| firewall, offenders | guardhooks, s | the tool, s | fail2ban, s | times better |\n|---|--:|--:|--:|--:|")
    for name in arguments.firewall or FIREWALLS:
        print(_row(name, arguments), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=10_000, help="of offenders")
    parser.add_argument("--firewall", choices=FIREWALLS, action="append", help="both by default")
    parser.add_argument("--rounds", type=int, default=5, help="of guardhooks and the tool; the median counts")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds that fail2ban gets; 0 leaves it out")
    return parser.parse_args()


def _row(name: str, arguments: argparse.Namespace) -> str:
    firewall, number = FIREWALLS[name], arguments.number
    ours = statistics.median(_storm(Guardhooks, firewall, number, _OUR_PATIENCE)[0] for _ in range(arguments.rounds))
    tool = statistics.median(_by_tool(firewall, number) for _ in range(arguments.rounds))
    cells = [f"{name}, {number:,}", f"{ours:.2f}", f"{tool:.2f}"]
    if arguments.patience:
        seconds, held = _storm(Fail2ban, firewall, number, arguments.patience)
        whole = seconds * number / max(held, 1)
        late = f"{whole:,.0f}, at the rate of the {held:,} in {seconds:.0f} s"
        cells += [f"{seconds:.1f}" if held >= number else late, f"{whole / ours:,.0f}"]
    return f"| {' | '.join(cells)} |"


def _storm(kind: type[Daemon], firewall: Firewall, number: int, limit: float) -> tuple[float, int]:
    with daemon(kind, firewall, maxretry=1) as one:
        one.start()
        one.wait_ready()
        with one.log.open("a") as log:
            log.write(failed_login(offender(number), time.time()))  # whoever waits for a first ban has had it
            log.flush()
            fill(firewall, [offender(number)], limit)
            _write(log, number)
        return fill(firewall, [offender(each) for each in range(number + 1)], limit)


def _write(log: TextIO, number: int) -> None:
    begin = time.perf_counter()
    for gust in range(_GUSTS):
        time.sleep(max(0.0, begin + gust / _GUSTS - time.perf_counter()))
        some = range(number * gust // _GUSTS, number * (gust + 1) // _GUSTS)
        log.write("".join(failed_login(offender(each), time.time()) for each in some))
        log.flush()


def _by_tool(firewall: Firewall, number: int) -> float:
    command, script = firewall.restore_script([offender(each) for each in range(number)])
    begin = time.perf_counter()
    subprocess.run(command, input=script, text=True, check=True)
    taken = time.perf_counter() - begin
    firewall.clear()
    return taken


if __name__ == "__main__":
    main()
