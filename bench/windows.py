"""Failure windows on disk: segments, as the ledger writes them, against a plain row for each with an integer key.

`python bench/windows.py` flushes the ledger after each stage of a storm of 100,000 ids and writes the same windows to
two more tables of the same settings. Printed are milliseconds of wall time, the median of some rounds.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from guardhooks import Ban, Failure, Jail
from guardhooks.ledger import Ledger
from guardhooks.ledger.segments import packed_segments, unpacked_segment
from guardhooks.ledger.store import Store
from guardhooks.ledger.tables import Batch, SegmentRow

NUMBER = 100_000
ROUNDS = 5
JAIL = Jail("sshd", maxretry=3, maxmatches=3)
LINE = "Nov 22 10:09:41 server sshd[{0}]: Failed password for invalid user admin from {1} port {0} ssh2"
IDS = [f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(NUMBER)]
SETTINGS = "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
TABLES = """
CREATE TABLE segments (number INTEGER PRIMARY KEY, jail ANY NOT NULL, segment BLOB NOT NULL) STRICT;
CREATE TABLE plain (number INTEGER PRIMARY KEY, jail ANY NOT NULL, id ANY NOT NULL, packed BLOB NOT NULL) STRICT;
"""


LAST: list[SegmentRow] = []
"""Segments of the last flush."""


class RecordingStore(Store):
    def write(self, batch: Batch) -> None:
        LAST[:] = batch.segments
        super().write(replace(batch, segments=LAST))


class Side:
    """The same windows in both forms, in a file of their own."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.executescript(SETTINGS + TABLES)
        self.numbers: dict[str, int] = {}

    def segments(self, windows: dict[str, bytes | None]) -> None:
        rows = ((JAIL.name, segment) for segment in packed_segments(list(windows), list(windows.values())))
        self.connection.executemany("INSERT INTO segments (jail, segment) VALUES (?, ?)", rows)

    def plain(self, windows: dict[str, bytes | None]) -> None:
        numbers = self.numbers
        rows = [
            (numbers.setdefault(id, len(numbers)), JAIL.name, id, packed) for id, packed in windows.items() if packed
        ]
        gone = [(numbers[id],) for id, packed in windows.items() if not packed]
        self.connection.executemany("INSERT OR REPLACE INTO plain VALUES (?, ?, ?, ?)", rows)
        self.connection.executemany("DELETE FROM plain WHERE number = ?", gone)


@contextmanager
def timed(figures: list[float]) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    figures.append((time.perf_counter() - begin) * 1e3)


def count(ledger: Ledger, ids: list[str], now: float) -> None:
    for number, id in enumerate(ids):
        ledger.count(JAIL, Failure(JAIL.name, id, now, matches=(LINE.format(number, id),)))


def ban(ledger: Ledger, ids: list[str], now: float) -> None:
    count(ledger, ids, now)
    for number, id in enumerate(ids):
        ledger.add(Ban(id, JAIL.name, now, 6e5, 1, 3, "3 failures in 10m", (LINE.format(number, id),) * 3))
        ledger.forget(JAIL.name, id)


STAGES = {
    "first failure of each id": lambda ledger: count(ledger, IDS, 1000.0),
    "second failure of each id": lambda ledger: count(ledger, IDS, 1001.0),
    "another failure of 1,000 scattered ids": lambda ledger: count(ledger, IDS[::100], 1001.5),
    "third failure: each id banned, its window dropped": lambda ledger: ban(ledger, IDS, 1002.0),
}


async def one_round(folder: Path, figures: dict[str, tuple[list[float], list[float], list[float]]]) -> None:
    ledger = Ledger.load(RecordingStore.open(folder / "ledger"), lambda: 1200.0)
    side = Side(folder / "side")
    for stage, happen in STAGES.items():
        happen(ledger)
        flush, segments, plain = figures[stage]
        with timed(flush):
            await ledger.flush()
        windows = {id: packed for _, segment in LAST for id, packed in unpacked_segment(segment)}
        for write, column in ((side.segments, segments), (side.plain, plain)):
            with timed(column), side.connection:
                side.connection.execute("BEGIN IMMEDIATE")
                write(windows)
    await ledger.close()
    side.connection.close()


def main() -> None:
    """Print a table of the stages."""
    figures: dict[str, tuple[list[float], list[float], list[float]]] = defaultdict(lambda: ([], [], []))
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(one_round(Path(folder), figures))
    print("| stage | whole flush | of it windows, as segments | windows as plain rows | whole flush with plain rows |")
    print("|---|--:|--:|--:|--:|")
    sums = [0.0] * 4
    for stage, columns in figures.items():
        flush, segments, plain = map(statistics.median, columns)
        row = [flush, segments, plain, flush - segments + plain]
        sums = [total + value for total, value in zip(sums, row, strict=True)]
        print(f"| {stage} | {' | '.join(f'{value:.0f}' for value in row)} |")
    print(f"| all of it | {' | '.join(f'{value:.0f}' for value in sums)} |")


if __name__ == "__main__":
    main()
