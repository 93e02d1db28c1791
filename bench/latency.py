"""Milliseconds from the write of the line that is one too many until the kernel's set holds the address."""

from __future__ import annotations

import contextlib
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from daemons import Daemon, Fail2ban, Guardhooks
from kernel import Ipset, Sets, wait_for
from logs import SENTINEL, failed_login, offender, write_log
from tables import Row, Table

_LOOK = 0.0002
"""Seconds between two looks into the kernel; without a pause the looking takes the daemon's processor."""
_BURST = 0.01
LOAD = 100_000
"""Innocent lines a second that another process writes, in bursts of 10 ms."""


def latency(ours: int, theirs: int) -> Table:
    """Idle and under load, so many bans each. fail2ban reads a fifth of that load at best, so it is measured idle."""
    table = Table("Last bad line until it is in the kernel", "milliseconds", more=False)
    idle, load, other = measure(Guardhooks, ours), measure(Guardhooks, ours, load=LOAD), measure(Fail2ban, theirs)
    for what, pick in (("median", statistics.median), ("p99", p99)):
        table.rows.append(Row(f"idle, {what}", {"guardhooks": pick(idle), "fail2ban": pick(other)}))
        table.rows.append(Row(f"{LOAD:,} lines/s, {what}", {"guardhooks": pick(load), "fail2ban": None}))
    return table


def p99(values: list[float]) -> float:
    """The value that 99 of 100 do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


def measure(kind: type[Daemon], number: int, *, load: int = 0) -> list[float]:
    """The milliseconds of each of `number` bans."""
    with TemporaryDirectory() as folder:
        log = Path(folder) / "auth.log"
        write_log(log, 100, 0.0)
        daemon = kind(Path(folder), log)
        try:
            daemon.start()
            daemon.wait_ready()
            sets = Sets()
            wait_for(lambda: sets.holds(SENTINEL), limit=60, pause=0.05)
            name = next(name for name in sets.names() if sets.holds_in(name, SENTINEL))
            with _writing(log, load), log.open("a", buffering=1) as file:
                return [_one(kind, file, sets, name, offender(each)) for each in range(number)]  # type: ignore[arg-type]
        finally:
            daemon.kill()
            Ipset().clear()


def _one(kind: type[Daemon], file: object, sets: Sets, name: str, address: str) -> float:
    write = file.write  # type: ignore[attr-defined]
    for _ in range(4):
        write(failed_login(address, time.time()))
    time.sleep(0.05 if kind is Guardhooks else 1.0)  # the four are read; the fifth is what is measured
    write(failed_login(address, time.time()))
    return 1000 * wait_for(lambda: sets.holds_in(name, address), limit=30, pause=_LOOK)


@contextlib.contextmanager
def _writing(log: Path, load: int) -> Iterator[None]:
    """Another process writes `load` innocent lines a second meanwhile."""
    if not load:
        yield
        return
    writer = multiprocessing.get_context("spawn").Process(target=_write, args=(log, load), daemon=True)
    writer.start()
    try:
        time.sleep(2)  # it has begun, and what it does once is done
        yield
    finally:
        writer.terminate()
        writer.join()


def _write(log: Path, load: int) -> None:
    with TemporaryDirectory() as folder:
        sample = Path(folder) / "sample"
        write_log(sample, int(load * _BURST), 0.0, logins=False)
        lines = [line[15:] for line in sample.read_text().splitlines(keepends=True)[:-6]]
    due = time.monotonic()
    with log.open("ab", buffering=0) as file:
        while True:
            stamp = failed_login("", time.time())[:15]
            file.write("".join([f"{stamp}{line}" for line in lines]).encode())
            due += _BURST
            time.sleep(max(0.0, due - time.monotonic()))
