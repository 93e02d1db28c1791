"""What the ledger costs: `python bench/ledger.py` prints time per call and resident memory."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from guardhooks import Ban, Failure, Jail
from guardhooks.ledger import Ledger

NUMBER = 100_000
FLUSHED_TOGETHER = 1000
LINE = "Nov 22 10:09:41 server sshd[{0}]: Failed password for invalid user admin from {1} port {0} ssh2"


def address(number: int, net: int = 10) -> str:
    return f"{net}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def clock() -> float:
    return 1200.0


def resident() -> float:
    """MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def report(what: str, value: float, unit: str) -> None:
    print(f"{what:<58}{value:>10.2f} {unit}")


def timed(what: str, calls: int, start: float) -> None:
    report(what, (time.perf_counter() - start) / calls * 1e6, "µs")


async def fill_windows(ledger: Ledger, jail: Jail) -> None:
    for n in range(NUMBER):
        ledger.count(jail, Failure("sshd", address(n), 1000.0, matches=(LINE.format(n, address(n)),)))
        if n % FLUSHED_TOGETHER == 0:
            await ledger.flush()
    await ledger.flush()


async def fill_bans(ledger: Ledger) -> None:
    for n in range(NUMBER):
        lines = tuple(LINE.format(n + k, address(n, 11)) for k in range(5))
        fields = {"user": "admin", "port": str(n)}
        ledger.add(Ban(address(n, 11), "sshd", 1000.0 + n / 1000, 6e5, 1, 5, "5 failures in 10m", lines, fields))
        if n % FLUSHED_TOGETHER == 0:
            await ledger.flush()
    await ledger.flush()


async def fill(path: Path) -> None:
    ledger = Ledger.open(path, clock=clock)
    jail = Jail("sshd", maxretry=5, maxmatches=5)
    gc.collect()
    before = resident()
    report("resident, empty", before, "MiB")
    await fill_windows(ledger, jail)
    middle = resident()
    report(f"resident, {NUMBER} windows (one line each) more", middle - before, "MiB")
    await fill_bans(ledger)
    report(f"resident, {NUMBER} bans (five lines each) more", resident() - middle, "MiB")
    report("resident, everything", resident(), "MiB")
    await flush_some(ledger, jail)
    await ledger.close()


async def reopen(path: Path) -> None:
    gc.collect()
    before = resident()
    start = time.process_time()
    ledger = Ledger.open(path, clock=clock)
    report("opening it again, CPU", (time.process_time() - start) * 1e3, "ms")
    report("resident for what was loaded", resident() - before, "MiB")
    start = time.perf_counter()
    bans = ledger.active()
    timed(f"active() per ban, of {len(bans)}", len(bans), start)
    calls(ledger, Jail("sshd", maxretry=5, maxmatches=5))
    start = time.perf_counter()
    await ledger.close()
    report("closing", (time.perf_counter() - start) * 1e3, "ms")


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
    for n in range(10_000):
        ledger.count(jail, Failure("sshd", address(n), 1001.0))
    start, cpu = time.perf_counter(), time.process_time()
    flush = asyncio.create_task(ledger.flush())
    await asyncio.sleep(0)
    blocked = time.perf_counter()
    await flush
    report("flush() of 10,000 windows", (time.perf_counter() - start) * 1e3, "ms")
    report("  of it CPU time", (time.process_time() - cpu) * 1e3, "ms")
    report("  of it on the event loop", (blocked - start) * 1e3, "ms")


def main() -> None:
    """Fill a ledger in one process, open it in another."""
    if len(sys.argv) > 1:
        asyncio.run(reopen(Path(sys.argv[1])))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        asyncio.run(fill(path))
        report("size of the file", path.stat().st_size / 2**20, "MiB")
        sys.stdout.flush()
        subprocess.run([sys.executable, __file__, path], check=True)


if __name__ == "__main__":
    main()
