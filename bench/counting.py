#!/usr/bin/env python3
"""What a failure costs after the matcher has found it, and what offenders and bans take in memory.

    python bench/counting.py                    # 100,000 failures of as many offenders; then as many bans
    python bench/counting.py --number 20000     # smaller
    sudo unshare --net python bench/counting.py --kernel   # bans go into an ipset of that namespace

A real guard with the plugins in the box, fed with failures in chunks as the matcher of a busy log does. Prints CPU
microseconds (user and system, all threads) and resident memory.
"""

# ruff: noqa: ARG002 -- the steps within are what is measured

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from guardhooks import (
    ActionSpec,
    Chunk,
    Failure,
    FailureLines,
    FilterSpec,
    Guard,
    Jail,
    LineMatcher,
    LineTrace,
    LogSource,
    Position,
    Problem,
    SourceStatus,
    StartAt,
    hookimpl,
    logs,
)
from guardhooks.daemon import memory
from guardhooks.plugins import Plugins
from guardhooks.plugins.calls import Provided
from guardhooks.settings.model import Settings

CHUNK = 2_000
"""Failures of one chunk: a block of 1 MiB holds more, one of a quiet log fewer."""
LINE = "Nov 22 10:09:41 server sshd[{0}]: Failed password for invalid user admin from {1} port {0} ssh2"


class NoKernel:
    """Serves the action `nowhere`: what is measured is the way there."""

    @hookimpl
    async def execute_action(self, action: ActionSpec) -> bool | None:
        return True if action.name == "nowhere" else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=100_000, help="of offenders, and of bans")
    parser.add_argument("--kernel", action="store_true", help="ban in a real ipset; needs root")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), arguments.number, kernel=arguments.kernel))


async def measure(folder: Path, number: int, *, kernel: bool) -> None:
    guard = await started(folder, kernel=kernel)
    say("resident, started", resident(), "MiB")
    tolerant, strict = guard.jails["tolerant"], guard.jails["strict"]
    await counted(guard, Premade(tolerant, number, 1), number, "first failure of its offender")
    await counted(guard, Premade(tolerant, number, 1), number, "second failure of its offender")
    again = Premade(tolerant, number, 1, offenders=number // 20)
    await counted(guard, again, number, "third to twenty-second failure of its offender")
    say(f"resident, {guard.ledger.totals('tolerant').tracked:,} offenders tracked", resident(), "MiB")
    await banned(guard, strict, number)
    say(f"resident, and {guard.ledger.totals('strict').banned:,} bans in force", resident(), "MiB")
    say("peak", peak(), "MiB")
    await stages(guard, tolerant, number)
    await guard.stop()


async def started(folder: Path, *, kernel: bool) -> Guard:
    ignored = ("127.0.0.1/8", "192.0.2.0/24")
    limits = {"tolerant": 1000, "strict": 1}
    jails = tuple(
        Jail(
            name, FilterSpec("sshd"), (), (_action(name, kernel=kernel),), maxretry=maxretry, bantime=86400.0,
            ignoreip=ignored,
        )
        for name, maxretry in limits.items()
    )  # fmt: skip
    plugins = Plugins.load()
    plugins.register(NoKernel(), "nowhere")
    logs.set_up("INFO", (folder / "log").open("w"))
    guard = Guard(Settings(Path("/nowhere"), jails), plugins, ledger_file=folder / "ledger.sqlite3")
    await guard.start()
    await asyncio.sleep(0.2)
    memory.freeze_gc()
    return guard


def _action(name: str, *, kernel: bool) -> ActionSpec:
    return ActionSpec("ipset", "ipset", {"name": name}) if kernel else ActionSpec("nowhere", "nowhere")


def failures(jail: Jail, number: int, net: int, *, offenders: int = 0) -> Iterator[list[Failure]]:
    """Chunks of failures, one of each offender, or in turn of so many."""
    for start in range(0, number, CHUNK):
        chunk = []
        for each in range(start, min(number, start + CHUNK)):
            address = offender(each % (offenders or number), net)
            lines = (LINE.format(1000 + each % 60_000, address),)
            chunk.append(Failure(jail.name, address, time.time(), address, lines, {"user": "admin"}))
        yield chunk


def offender(number: int, net: int) -> str:
    return f"{10 + net}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


class Premade:
    """Source and matcher in one: chunks whose failures are there already. `spent` is what making them cost."""

    key = "bench"
    problems: ClassVar[Mapping[str, Sequence[Problem]]] = {}

    def __init__(self, jail: Jail, number: int, net: int, *, offenders: int = 0) -> None:
        self.jails = [jail.name]
        self.spent = 0.0
        self._number = number
        self._failures = failures(jail, number, net, offenders=offenders)

    async def chunks(self, start: StartAt) -> AsyncIterator[Chunk]:
        for number in range(0, self._number, CHUNK):
            yield Chunk(b"", "bench", time.time(), Position("bench", "bench", str(number)))

    def feed(self, chunk: Chunk) -> list[Failure]:
        start = time.thread_time()
        found = next(self._failures)
        self.spent += time.thread_time() - start
        return found

    def as_matcher(self) -> list[Provided[LineMatcher]]:
        return [Provided(self, "bench", Premade, jails=tuple(self.jails))]

    def as_source(self) -> Provided[LogSource]:
        return Provided(self, "bench", Premade, key=self.key)

    def time_of(self, line: bytes) -> float | None:
        return None

    def trace(self, chunk: Chunk, *, every: bool = True) -> Iterator[LineTrace]:
        return iter(())

    def status(self) -> SourceStatus:
        return SourceStatus("bench", "reading")

    async def close(self) -> None: ...


def _nothing(chunk: Chunk, found: Sequence[Failure]) -> None:
    """Nobody looks at what was delivered."""


async def counted(guard: Guard, source: Premade, number: int, what: str) -> None:
    """Have the failures counted, and written."""
    began, loop_began = time.process_time(), time.thread_time()
    await guard.pipeline.follow(source.as_source(), list(guard.jails.values()), source.as_matcher, _nothing)
    loop_time = time.thread_time() - loop_began
    await guard.ledger.flush()
    say(f"{what}: until counted", loop_time / number * 1e6, "µs")
    say(f"{what}: and on disk", (time.process_time() - began - source.spent) / number * 1e6, "µs")


async def banned(guard: Guard, jail: Jail, number: int) -> None:
    """Bans at the first failure, until the last one is in force and reported."""
    source = Premade(jail, number, 9)
    began = time.process_time()
    await guard.pipeline.follow(source.as_source(), list(guard.jails.values()), source.as_matcher, _nothing)
    last = offender(number - 1, 9)
    while guard.enforcer.state(jail.name, last) != "active":  # noqa: ASYNC110 -- nothing tells
        await asyncio.sleep(0.01)
    await guard.ledger.flush()
    await guard.supervisor.wait_for("report")
    say("ban, until in force, on disk and told", (time.process_time() - began - source.spent) / number * 1e6, "µs")


async def stages(guard: Guard, jail: Jail, number: int) -> None:
    """Single steps, each for itself."""
    every = [failure for chunk in failures(jail, min(number, 50_000), 2) for failure in chunk]
    gc.collect()
    each("step: asked whether it is ignored", every, lambda failure: guard.plugins.on_failure(jail, failure))
    each("step: counted", every, lambda f: counted_alone(guard, jail, f))
    records = [guard.ledger.count(jail, failure) for failure in every]
    pairs = list(zip(every, records, strict=True))
    each("step: decided, where somebody must be asked", pairs, lambda pair: guard.plugins.decide_ban(jail, *pair))
    start = time.process_time()
    await guard.ledger.flush()
    say("step: written to disk", (time.process_time() - start) / len(every) * 1e6, "µs")
    guard.ledger.drop_jail(jail.name)
    await guard.ledger.flush()


def counted_alone(guard: Guard, jail: Jail, failure: Failure) -> list[object]:
    """As the pipeline does it for the failures of a block together."""
    return list(guard.ledger.record_failures(jail, [failure.id], [failure.time], FailureLines.of(failure)))


def each(what: str, items: Sequence[object], call: Callable[[object], object]) -> None:
    start = time.thread_time()
    for item in items:
        call(item)
    say(what, (time.thread_time() - start) / len(items) * 1e6, "µs")


def resident() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def peak() -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def say(what: str, value: float, unit: str) -> None:
    print(f"{what:<62}{value:>9.2f} {unit}", flush=True)


if __name__ == "__main__":
    main()
