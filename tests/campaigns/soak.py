"""A daemon under steady load for as long as wanted: nothing lost or counted twice, nothing that grows.

    python -m tests.campaigns.soak --seconds 1800      # half an hour; prints a line a minute and a table at the end

Many logs are written at a given rate and rotated all the while, some jails read several of them, each offender fails
exactly as often as a ban takes. Meanwhile bans end, `status`, `ping`, `ban`, `unban` and `reload` are asked for.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.daemon import Daemon
from tests.e2e.here import Here
from tests.kit.guards import write_files
from tests.kit.waiting import wait_for

MAXRETRY = 3
_BAN_SECONDS = 20
_TICK = 0.05
"""Seconds between two writes to a log."""
_INNOCENT_PER_GUILTY = 9
_CATCH_UP = 120.0
"""Seconds that the last lines may take to be counted."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is written: lines per second over all logs, which are rotated every `rotate` seconds."""

    seconds: float
    logs: int = 20
    jails: int = 40
    rate: int = 2000
    rotate: float = 3.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The daemon at one moment: memory in bytes, open files, threads, and how long `ping` took in seconds."""

    at: float
    memory: int
    files: int
    threads: int
    ping: float


@dataclass(slots=True)
class Result:
    """What came of it; `written` and `counted` are failures, `told` errors in the log."""

    written: int = 0
    counted: int = 0
    offenders: int = 0
    bans: int = 0
    samples: list[Sample] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def settled(self) -> list[Sample]:
        """The samples without the first third, in which caches fill."""
        return self.samples[len(self.samples) // 3 :]


class Writer(threading.Thread):
    """One service: writes its log and rotates it as logrotate does."""

    def __init__(self, log: Path, number: int, load: Load, over: threading.Event) -> None:
        super().__init__(name=f"writer {number}", daemon=True)
        self._log, self._number, self._load, self._over = log, number, load, over
        self.failures = self.offenders = 0

    def run(self) -> None:
        per_tick = max(10, int(self._load.rate * _TICK / self._load.logs))
        rotate_at = time.monotonic() + self._load.rotate * (1 + self._number / self._load.logs)
        while not self._over.wait(_TICK):
            with self._log.open("a") as file:
                file.write("".join(itertools.islice(self._lines(), per_tick)))
            if time.monotonic() >= rotate_at:
                self._log.replace(self._log.with_suffix(".log.1"))
                self._log.touch()
                rotate_at += self._load.rotate
        with self._log.open("a") as file:
            file.write("".join(self._rest()))

    def _lines(self) -> Iterator[str]:
        while True:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S")
            if self.failures % MAXRETRY == 0:
                self.offenders += 1
            yield self._failure(stamp)
            for _ in range(_INNOCENT_PER_GUILTY):
                yield f"{stamp} login of user{self.failures} accepted\n"

    def _rest(self) -> Iterator[str]:
        while self.failures % MAXRETRY:
            yield self._failure(time.strftime("%Y-%m-%d %H:%M:%S"))

    def _failure(self, stamp: str) -> str:
        self.failures += 1
        offender = self.offenders
        return f"{stamp} login failed from 10.{self._number}.{offender >> 8 & 255}.{offender & 255}\n"


def soak(load: Load, folder: Path, *, every: float = 1.0, report: bool = False) -> Result:
    """Run the campaign in this folder; a sample is taken every `every` seconds."""
    logs = [folder / "logs" / f"{number}.log" for number in range(load.logs)]
    config = _configuration(folder / "config", logs, load.jails)
    over = threading.Event()
    writers = [Writer(log, number, load, over) for number, log in enumerate(logs)]
    for log in logs:
        log.parent.mkdir(exist_ok=True)
        log.touch()
    daemon = Daemon(Here(), config, folder / "state")
    try:
        for writer in writers:
            writer.start()
        result = Result(samples=list(_watch(daemon, load.seconds, every, report)))
        over.set()
        for writer in writers:
            writer.join()
        result.offenders = sum(writer.offenders for writer in writers)
        result.written = sum(writer.failures for writer in writers)
        _count(daemon, result, load)
    finally:
        over.set()
        daemon.stop()
    result.told = [line for line in daemon.log.splitlines() if " ERROR " in line or " CRITICAL" in line]
    return result


def _configuration(folder: Path, logs: list[Path], jails: int) -> Path:
    """Each log has a jail that counts; the other jails read all logs and find nothing."""
    counting = "".join(
        f"[log{number}]\nenabled = true\nfilter = plain\nlogpath = {log}\n" for number, log in enumerate(logs)
    )
    every = "\n          ".join(map(str, logs))
    idle = "".join(
        f"[idle{number}]\nenabled = true\nfilter = none\nlogpath = {every}\n" for number in range(jails - len(logs))
    )
    default = (
        f"[DEFAULT]\nbantime = {_BAN_SECONDS}\nfindtime = 1h\nmaxretry = {MAXRETRY}\naction = observe\n"
        "ignoreself = false\nusedns = no\n"
    )
    return write_files(
        folder,
        {
            "filter.d/plain.conf": "[Definition]\nfailregex = ^\\s*login failed from <ADDR>$\n",
            "filter.d/none.conf": "[Definition]\nfailregex = ^\\s*nothing like this from <ADDR>$\n",
            "jail.conf": default + counting + idle,
        },
    )


def _watch(daemon: Daemon, seconds: float, every: float, report: bool) -> Iterator[Sample]:
    begun = time.monotonic()
    for number in itertools.count():
        asked = time.monotonic()
        if asked - begun >= seconds:
            return
        daemon.command("ping")
        sample = Sample(asked - begun, *_process(daemon.pid), time.monotonic() - asked)
        yield sample
        _use(daemon, number)
        if report and number % max(1, round(60 / every)) == 0:
            print(_line(sample), flush=True)
        time.sleep(max(0.0, every - (time.monotonic() - asked)))  # the pace of the samples, no event


def _use(daemon: Daemon, number: int) -> None:
    """What administrators and their programs do all the while."""
    address = f"198.51.100.{number % 250 + 1}"
    match number % 8:
        case 1:
            daemon.command("status", "--json")
        case 2:
            daemon.command("ban", "log0", address)
        case 3:
            daemon.command("unban", f"198.51.100.{(number - 1) % 250 + 1}", check=False)
        case 5:
            daemon.command("reload")
        case _:
            daemon.command("status", "log1", "--json")


def _process(pid: int) -> tuple[int, int, int]:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    return pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path(f"/proc/{pid}/fd").iterdir())), threads


def _count(daemon: Daemon, result: Result, load: Load) -> None:
    def counted() -> int:
        jails = [daemon.ask("status", f"log{number}") for number in range(load.logs)]
        result.bans = sum(jail["bans"]["total"] for jail in jails)
        result.counted = sum(jail["failures"]["total"] for jail in jails)
        return result.counted

    wait_for(lambda: counted() >= result.written, "all failures are counted", _CATCH_UP)


def _line(sample: Sample) -> str:
    return (
        f"{sample.at:6.0f} s: {sample.memory / 1e6:5.1f} MB, {sample.files} files, {sample.threads} threads, "
        f"ping {1000 * sample.ping:.0f} ms"
    )


def main() -> None:
    """Run the campaign as the command line says, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--logs", type=int, default=20)
    parser.add_argument("--jails", type=int, default=200)
    parser.add_argument("--rate", type=int, default=50_000, help="lines per second over all logs")
    arguments = parser.parse_args()
    load = Load(arguments.seconds, arguments.logs, arguments.jails, arguments.rate)
    with tempfile.TemporaryDirectory() as folder:
        result = soak(load, Path(folder), every=min(10.0, arguments.seconds / 30), report=True)
    first, last = result.settled()[0], result.settled()[-1]
    print(f"{result.written:,} failures written, {result.counted:,} counted; {result.offenders:,} offenders")
    print(f"bans: {result.bans:,}; errors told: {len(result.told)}", *result.told[:5], sep="\n")
    print("after the first third:", _line(first), "at the end:", _line(last), sep="\n")


if __name__ == "__main__":
    main()
