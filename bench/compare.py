#!/usr/bin/env python3
"""Runs guardhooks and Debian's fail2ban side by side on the same input and prints a Markdown table of ratios.

    sudo python bench/compare.py            # all cases, some minutes
    sudo python bench/compare.py --quick    # the same with smaller numbers

Needs root, Debian's fail2ban (with python3-pyinotify), ipset and iptables. Everything happens in a network namespace
of its own, so that neither the machine's firewall nor a running fail2ban is touched. The logs are made from a seed.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from daemons import Daemon, Fail2ban, Guardhooks
from kernel import Sets, wait_for
from logs import SENTINEL, failed_login, offender, write_log

_INSIDE = "GUARDHOOKS_BENCH_NAMESPACE"
_LOOK = 0.0002
"""Seconds between two looks into the kernel; without a pause the looking takes the daemon's processor."""


@dataclass(frozen=True, slots=True)
class Size:
    """How big the cases are; fail2ban gets shorter logs, figures are per line."""

    our_lines: int = 1_000_000
    their_lines: int = 100_000
    our_latencies: int = 300
    their_latencies: int = 30
    our_bans: tuple[int, ...] = (1_000, 10_000, 50_000)
    their_bans: tuple[int, ...] = (1_000,)


QUICK = Size(100_000, 20_000, 50, 10, (1_000,), (200,))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `better` is how many times better we are."""

    case: str
    ours: str
    theirs: str
    better: float


def main() -> None:
    arguments = _arguments()
    if os.environ.get(_INSIDE) != "1":
        command = ["unshare", "--net", sys.executable, *sys.argv]
        sys.exit(subprocess.run(command, env={**os.environ, _INSIDE: "1"}, check=False).returncode)
    size = QUICK if arguments.quick else Size()
    cases: dict[str, Callable[[Size, int], list[Row]]] = {
        "throughput": throughput, "latency": latency, "restart": restart
    }  # fmt: skip
    rows = [row for name in arguments.cases or cases for row in cases[name](size, arguments.seed)]
    print(markdown(rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller numbers, a minute")
    parser.add_argument("--seed", type=int, default=1, help="of the logs")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="throughput, latency, restart; all by default")
    return parser.parse_args()


# --- cases ------------------------------------------------------------------------------------------------------------


def throughput(size: Size, seed: int) -> list[Row]:
    """CPU seconds of the daemon from its start until the last line's offender is banned, less those of an empty log."""
    rows = []
    for share in (0.01, 1.0):
        ours = _read_log(Guardhooks, size.our_lines, share, seed)
        theirs = _read_log(Fail2ban, size.their_lines, share, seed)
        rows.append(
            Row(
                f"{share:.0%} attack lines, lines per CPU second",
                f"{ours[0]:,.0f}",
                f"{theirs[0]:,.0f}",
                ours[0] / theirs[0],
            )
        )
        rows.append(
            Row(f"{share:.0%} attack lines, peak memory MB", f"{ours[1]:.0f}", f"{theirs[1]:.0f}", theirs[1] / ours[1])
        )
    return rows


def _read_log(kind: type[Daemon], lines: int, share: float, seed: int) -> tuple[float, float]:
    idle, _ = _cpu_to_sentinel(kind, 0, share, seed)
    busy, memory = _cpu_to_sentinel(kind, lines, share, seed)
    return lines / max(busy - idle, 0.01), memory


def _cpu_to_sentinel(kind: type[Daemon], lines: int, share: float, seed: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "auth.log"
        # Every offender stays below maxretry, so that lines are measured and not bans.
        write_log(log, lines, share, seed=seed, offenders=max(lines, 1000))
        daemon = kind(Path(folder), log, maxretry=6)
        daemon.start()
        sets = Sets()
        wait_for(lambda: sets.holds(SENTINEL), limit=600, pause=0.05)
        result = daemon.cpu(), daemon.peak_memory()
        _finish(daemon)
        return result


def latency(size: Size, seed: int) -> list[Row]:  # noqa: ARG001 -- all cases are called alike
    """Milliseconds from the write of the line that is one too many until the kernel's set holds the address."""
    ours = _latencies(Guardhooks, size.our_latencies)
    theirs = _latencies(Fail2ban, size.their_latencies)
    return [
        Row(f"{what}, line to kernel, ms", f"{pick(ours):.1f}", f"{pick(theirs):.1f}", pick(theirs) / pick(ours))
        for what, pick in (("median", statistics.median), ("p99", _p99))
    ]


def _p99(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


def _latencies(kind: type[Daemon], number: int) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "auth.log"
        write_log(log, 100, 0.0)
        daemon = kind(Path(folder), log)
        daemon.start()
        daemon.wait_ready()
        sets = Sets()
        wait_for(lambda: sets.holds(SENTINEL), limit=60, pause=0.05)
        name = next(name for name in sets.names() if sets.holds_in(name, SENTINEL))
        found = []
        with log.open("a", buffering=1) as file:
            for round_ in range(number):
                address = offender(round_)
                for _ in range(4):
                    file.write(failed_login(address, time.time()))
                time.sleep(0.05 if kind is Guardhooks else 1.0)  # the four are read; the fifth is what is measured
                file.write(failed_login(address, time.time()))
                found.append(1000 * wait_for(lambda a=address: sets.holds_in(name, a), limit=30, pause=_LOOK))  # type: ignore[misc]
        _finish(daemon)
        return found


def restart(size: Size, seed: int) -> list[Row]:  # noqa: ARG001 -- all cases are called alike
    """Seconds from the start of the daemon until the kernel holds all bans again, the sets having been destroyed."""
    theirs = {number: _restart(Fail2ban, number) for number in size.their_bans}
    per_ban = max(seconds / number for number, seconds in theirs.items())
    rows = []
    for number in size.our_bans:
        ours = _restart(Guardhooks, number)
        other = theirs.get(number, per_ban * number)
        mark = "" if number in theirs else " (from the smaller case)"
        rows.append(Row(f"restart with {number:,} bans, s", f"{ours:.2f}", f"{other:.1f}{mark}", other / ours))
    return rows


def _restart(kind: type[Daemon], number: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "auth.log"
        log.write_text("")
        daemon = kind(Path(folder), log)
        daemon.start()
        daemon.wait_ready()
        sets = Sets()
        daemon.ban([offender(each) for each in range(number)])
        wait_for(lambda: sets.size() >= number, limit=1200, pause=0.05)
        time.sleep(1)  # both write their databases in the background
        daemon.stop()
        _clear_firewall()
        daemon.start()
        seconds = wait_for(lambda: sets.size() >= number, limit=1200, pause=0.005)
        _finish(daemon)
        return seconds


def _finish(daemon: Daemon) -> None:
    assert daemon.process is not None
    daemon.process.kill()
    daemon.process.wait()
    _clear_firewall()


def _clear_firewall() -> None:
    for tool in ("iptables", "ip6tables"):
        for words in (("-F",), ("-X",)):
            subprocess.run([tool, "-w", *words], check=False, capture_output=True)
    subprocess.run(["ipset", "destroy"], check=False, capture_output=True)


def markdown(rows: list[Row]) -> str:
    """The table, with the machine and the versions above it."""
    fail2ban = subprocess.run(["fail2ban-client", "-V"], capture_output=True, text=True, check=False).stdout.strip()
    machine = f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    head = [
        f"{time.strftime('%Y-%m-%d')}, {machine}, fail2ban {fail2ban}",
        "",
        "| case | guardhooks | fail2ban | times better |",
        "|---|--:|--:|--:|",
    ]
    return "\n".join(head + [f"| {row.case} | {row.ours} | {row.theirs} | {row.better:,.1f} |" for row in rows])


if __name__ == "__main__":
    main()
