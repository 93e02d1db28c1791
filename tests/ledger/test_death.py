"""Whatever moment the process dies at: no reported ban is lost, no line counted twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WORKER = """
import asyncio, json, os, sys
from pathlib import Path
from guardhooks import Ban, Failure, Jail, Position
from guardhooks.ledger import Ledger
from guardhooks.ledger.state import State
from guardhooks.ledger.store import Store

def say(**facts):
    os.write(1, json.dumps(facts).encode() + b"\\n")

async def live():
    store = Store.open(Path(sys.argv[1]))
    state = State(86400.0, store.details)
    state.load(store.tables, 1000.0)
    ledger = Ledger.load(store, lambda: 1000.0)
    position = ledger.positions("s").get("o")
    number = int(position.cursor) if position else 0
    jail = Jail("j", maxretry=10**6)
    windows, totals = state.jail("j").windows, ledger.totals("j")
    say(pid=os.getpid(), start=number, failures=totals.failures, bans=totals.bans, tracked=totals.tracked,
        counts=sum(map(windows.failures, windows)), banned=[[ban.id, *ban.matches] for ban in ledger.active()])
    while True:
        for _ in range(7):
            number += 1
            ledger.count(jail, Failure("j", f"id {number % 50}", 500.0 + number / 1e6, matches=(f"line {number}",)))
            ledger.advance(Position("s", "o", str(number)))
            if number % 5 == 0:
                ledger.add(Ban(f"ban {number}", "j", 1000.0, 1e6, matches=(f"line {number}",)))
        await ledger.flush()
        say(flushed=number)

for _ in sys.stdin:  # each line asks for a life; the modules are loaded once for all
    if not (child := os.fork()):
        asyncio.run(live())
    say(died=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.timeout(300)
def test_no_reported_ban_is_lost_and_nothing_counted_twice_whenever_the_process_dies(tmp_path: Path) -> None:
    kills = int(os.environ.get("GUARDHOOKS_KILLS", "200" if os.environ.get("CI") else "25"))
    dice = random.Random(7)
    reported = 0
    with parent(tmp_path / "ledger.sqlite") as process:
        for _ in range(kills):
            reported = one_life(process, reported, dice.uniform(0, 0.03))
    assert reported > 0


@contextmanager
def parent(path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WORKER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


def one_life(process: subprocess.Popen[str], reported: int, seconds: float) -> int:
    """Have a worker live, check what it found, kill it some time later; returns the last number it reported flushed."""
    assert process.stdin is not None
    print(file=process.stdin, flush=True)
    found = heard(process)
    time.sleep(seconds)
    os.kill(found["pid"], signal.SIGKILL)
    flushed = found["start"]
    while "died" not in (fact := heard(process)):
        flushed = fact["flushed"]
    assert fact["died"] == -signal.SIGKILL
    assert found["start"] >= reported
    assert found["failures"] == found["counts"] == found["start"]
    assert found["tracked"] == min(50, found["start"])
    numbers = range(5, found["start"] + 1, 5)
    assert found["banned"] == [[f"ban {number}", f"line {number}"] for number in numbers]
    assert found["bans"] == len(found["banned"])
    return int(flushed)


def heard(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    fact: dict[str, Any] = json.loads(process.stdout.readline())
    return fact
