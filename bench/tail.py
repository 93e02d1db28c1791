"""Figures of the file tailer: `python bench/tail.py [latency] [catch_up] [bisect] [idle]` (all without arguments)."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from guardhooks import Chunk, StartAt
from guardhooks_core.sources.tail.source import FileSource

LINE = b"Jan  5 11:55:04 host sshd[1234]: Failed password for root from 192.0.2.1 port 4711 ssh2\n"
WRITER = """
import os, sys, time
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for _ in range(1000):
    os.write(log, b"%.9f\\n" % time.perf_counter())
    time.sleep(0.005)
"""


def start(since: float = 0.0) -> StartAt:
    return StartAt({}, since, lambda line: float(line[:10]) if line[:10].isdigit() else None)


async def latency(folder: Path) -> None:
    """From write() in another process to the chunk."""
    log = folder / "latency.log"
    log.touch()
    source, seconds = FileSource(str(log)), []

    async def consume() -> None:
        async for chunk in source.chunks(start()):
            seconds.append(time.perf_counter() - float(chunk.data.split()[0]))  # noqa: PERF401 -- as it comes

    task = asyncio.create_task(consume())
    await asyncio.sleep(0.3)
    writer = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, str(log))
    await writer.wait()
    await source.close()
    await task
    seconds.sort()
    middle, worst = statistics.median(seconds), seconds[len(seconds) * 99 // 100]
    print(f"latency: median {middle * 1e6:.0f} us, p99 {worst * 1e6:.0f} us")


async def catch_up(folder: Path) -> None:
    log = folder / "big.log"
    with log.open("wb") as file:
        while file.tell() < 500_000_000:
            file.write(LINE * 10_000)
    size = log.stat().st_size
    for _ in range(3):
        source, read, begin = FileSource(str(log)), 0, time.perf_counter()
        async for chunk in source.chunks(start()):
            read += len(chunk.data)
            if read == size:
                break
        print(f"catch-up: {size / (time.perf_counter() - begin) / 1e6:.0f} MB/s")
        await source.close()


async def bisect(folder: Path) -> None:
    log, second = folder / "huge.log", 0
    with log.open("wb") as file:
        while file.tell() < 2 << 30:
            file.write(b"".join(b"%010d %s\n" % (one, b"x" * 89) for one in range(second, second + 100_000)))
            second += 100_000
    source, begin = FileSource(str(log)), time.perf_counter()
    first: Chunk = await anext(source.chunks(start(second - 600)))
    print(f"bisect of 2 GB: {(time.perf_counter() - begin) * 1e3:.1f} ms to the first {len(first.data)} bytes")
    await source.close()


async def idle(folder: Path) -> None:
    for number in range(50):
        (folder / f"{number}.idle").touch()
    source = FileSource(f"{folder}/*.idle")

    async def consume() -> None:
        async for _ in source.chunks(start()):
            pass

    task = asyncio.create_task(consume())
    await asyncio.sleep(1)
    begin = time.process_time()
    await asyncio.sleep(10)
    print(f"idle with 50 files: {(time.process_time() - begin) * 10:.2f} % of a core")
    await source.close()
    await task


if __name__ == "__main__":
    ALL = {"latency": latency, "catch_up": catch_up, "bisect": bisect, "idle": idle}
    for name in sys.argv[1:] or ALL:
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            asyncio.run(ALL[name](Path(folder)))
