"""What the ledger costs: `python bench/ledger.py` prints time per call and resident memory."""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import time
from pathlib import Path

from guardhooks import Ban, Failure, Jail
from guardhooks.ledger import Ledger

NUMBER = 100_000
LINE = "Nov 22 10:09:41 server sshd[{0}]: Failed password for invalid user admin from {1} port {0} ssh2"


def address(number: int, net: int = 10) -> str:
    return f"{net}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def resident() -> float:
    """MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def report(what: str, value: float, unit: str) -> None:
    print(f"{what:<58}{value:>10.2f} {unit}")


def timed(what: str, calls: int, start: float) -> None:
    report(what, (time.perf_counter() - start) / calls * 1e6, "µs")


def fill_windows(ledger: Ledger, jail: Jail) -> None:
    failures = (Failure("sshd", address(n), 1000.0, matches=(LINE.format(n, address(n)),)) for n in range(NUMBER))
    for failure in failures:
        ledger.count(jail, failure)


def fill_bans(ledger: Ledger) -> None:
    for n in range(NUMBER):
        lines = tuple(LINE.format(n + k, address(n, 11)) for k in range(5))
        fields = {"user": "admin", "port": str(n)}
        ledger.add(Ban(address(n, 11), "sshd", 1000.0 + n / 1000, 6e5, 1, 5, "5 failures in 10m", lines, fields))


async def main() -> None:
    folder = tempfile.TemporaryDirectory()
    ledger = Ledger.open(Path(folder.name) / "ledger.sqlite", clock=lambda: 1000.0)
    jail = Jail("sshd", maxretry=5, maxmatches=5)
    gc.collect()
    before = resident()
    report("resident, empty", before, "MiB")
    fill_windows(ledger, jail)
    gc.collect()
    report(f"resident, {NUMBER} windows (one line each) more", resident() - before, "MiB")
    middle = resident()
    fill_bans(ledger)
    gc.collect()
    report(f"resident, {NUMBER} bans (five lines each) more", resident() - middle, "MiB")
    start = time.perf_counter()
    await ledger.flush()
    report(f"first flush of all, per 10,000 of {2 * NUMBER}", (time.perf_counter() - start) * 1e3 / 20, "ms")
    gc.collect()
    report("resident after the flush, everything", resident(), "MiB")
    calls(ledger, jail)
    await flush_some(ledger, jail)
    await ledger.close()
    start = time.perf_counter()
    ledger = Ledger.open(Path(folder.name) / "ledger.sqlite", clock=lambda: 1000.0)
    report("opening it again", (time.perf_counter() - start) * 1e3, "ms")
    start = time.perf_counter()
    bans = ledger.active()
    timed(f"active() per ban, of {len(bans)}", len(bans), start)
    await ledger.close()
    folder.cleanup()


def calls(ledger: Ledger, jail: Jail) -> None:
    failures = [Failure("sshd", address(n, 12), 1000.0 + n, matches=("x" * 100,)) for n in range(20_000)]
    for what in ("count(), new id", "count(), second failure of the id"):
        start = time.perf_counter()
        for failure in failures:
            ledger.count(jail, failure)
        timed(what, len(failures), start)
    for what, ids in (
        ("is_banned(), banned", [address(n, 11) for n in range(20_000)]),
        ("is_banned(), not banned", [address(n, 99) for n in range(20_000)]),
    ):
        start = time.perf_counter()
        for id_ in ids:
            ledger.is_banned(id_)
        timed(what, len(ids), start)
    ledger.add(Ban("2001:db8::/64", "sshd", 1000, 6e5))
    ids = [f"2001:db8::{n:x}" for n in range(20_000)]
    start = time.perf_counter()
    for id_ in ids:
        ledger.is_banned(id_)
    timed("is_banned(), by prefix", len(ids), start)


async def flush_some(ledger: Ledger, jail: Jail) -> None:
    await ledger.flush()
    for n in range(10_000):
        ledger.count(jail, Failure("sshd", address(n), 1001.0))
    start = time.perf_counter()
    flush = asyncio.create_task(ledger.flush())
    await asyncio.sleep(0)
    blocked = time.perf_counter()
    await flush
    report("flush() of 10,000 windows", (time.perf_counter() - start) * 1e3, "ms")
    report("  of it on the event loop", (blocked - start) * 1e3, "ms")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
