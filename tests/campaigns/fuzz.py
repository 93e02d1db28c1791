"""Damaged and hostile input for everything that reads text of others; only the documented errors may come of it.

    python -m tests.campaigns.fuzz --seconds 600                   # every target for ten minutes
    python -m tests.campaigns.fuzz --target filter --seconds 3600

What raised something else, or took longer than two seconds, is kept in tests/campaigns/found/TARGET/, which the tests
read again.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from guardhooks import Chunk, Jail, StateError
from guardhooks.control.protocol import RequestError, read_request
from guardhooks.errors import ConfigError
from guardhooks.ledger import Ledger
from guardhooks.settings import load, load_filter
from guardhooks_core.matchers.filterd.matcher import FilterMatcher
from guardhooks_core.sources.journal.export_format import ExportParser
from guardhooks_core.sources.tail import cursor
from tests.campaigns.mutations import mutated

FOUND: Final = Path(__file__).with_name("found")
LONGEST: Final = 2.0
"""Seconds that one input may take."""
_CONFIG: Final = Path(__file__).parent.parent.parent / "config"
_FILTERS: Final = ("sshd", "dovecot", "postfix", "nginx-http-auth", "recidive", "asterisk", "exim")
NOW: Final = 1_795_362_015.0


@dataclass(frozen=True, slots=True)
class Target:
    """Something that reads input: what sound input looks like, and how it is read. Documented errors are caught."""

    seeds: Callable[[], tuple[bytes, ...]]
    read: Callable[[bytes, Path], None]


def _filters() -> tuple[bytes, ...]:
    return tuple((_CONFIG / "filter.d" / f"{name}.conf").read_bytes() for name in _FILTERS)


def _read_filter(data: bytes, folder: Path) -> None:
    (folder / "filter.d").mkdir(exist_ok=True)
    for common in (_CONFIG / "filter.d").glob("*common.conf"):
        (folder / "filter.d" / common.name).write_bytes(common.read_bytes())
    (folder / "filter.d" / "tried.conf").write_bytes(data)
    with suppress(ConfigError):
        FilterMatcher([Jail("tried", load_filter(folder, "tried"))], clock=lambda: NOW)


def _jails() -> tuple[bytes, ...]:
    own = b"[DEFAULT]\nbantime = 1h\n[sshd]\nenabled = true\nport = ssh, 2222\nlogpath = /no/log\naction = observe\n"
    return (own, (_CONFIG / "jail.conf").read_bytes(), *map(Path.read_bytes, (_CONFIG / "jail.d").glob("*.conf")))


def _read_jails(data: bytes, folder: Path) -> None:
    (folder / "jail.conf").write_bytes(data)
    (folder / "filter.d").mkdir(exist_ok=True)
    (folder / "filter.d" / "sshd.conf").write_text("[Definition]\nfailregex = ^x <ADDR>$\n")
    with suppress(ConfigError):
        load(folder)


def _lines() -> tuple[bytes, ...]:
    return (
        b"Dec 10 06:55:48 host sshd[24200]: Failed password for root from 192.0.2.1 port 38926 ssh2\n" * 3,
        b"2026-11-22T15:40:15.123456+01:00 host sshd-session[1]: Invalid user a b from 2001:db8::1 port 1\n",
        b'192.0.2.7 - x [22/Nov/2026:15:40:15 +0000] "GET /wp-login.php HTTP/1.1" 401 12 "-" "x"\n',
        b"Nov 22 15:40:15 mx dovecot: auth: passwd-file(x,192.0.2.1,<abc>): unknown user\n",
        b'{"level":"error","ts":1795362015.5,"request":{"remote_ip":"192.0.2.1"},"status":401}\n',
    )


@cache
def _matcher() -> FilterMatcher:
    names = ("sshd", "dovecot", "postfix", "nginx-http-auth")
    return FilterMatcher([Jail(name, load_filter(_CONFIG, name), usedns="no") for name in names], clock=lambda: NOW)


def _read_lines(data: bytes, folder: Path) -> None:
    for failure in _matcher().feed(Chunk(data, "log", NOW)):
        assert failure.id.isprintable(), failure.id


def _entries() -> tuple[bytes, ...]:
    return (
        b"__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1795362015000000\n_COMM=sshd\nMESSAGE=Failed password\n\n" * 2,
        b"_PID=1\nMESSAGE\n\x05\x00\x00\x00\x00\x00\x00\x00a\nb\x00c\n\n",
    )


def _read_entries(data: bytes, folder: Path) -> None:
    parser = ExportParser(limit=4096)
    for start in range(0, len(data), 997):
        parser.feed(data[start : start + 997])


def _requests() -> tuple[bytes, ...]:
    return (
        b'{"command": "ban", "arguments": {"jail": "sshd", "ids": ["192.0.2.1"], "seconds": 600, "force": false}}',
        b'{"command": "status"}',
    )


def _read_request(data: bytes, folder: Path) -> None:
    with suppress(RequestError):
        read_request(data)


def _cursors() -> tuple[bytes, ...]:
    file = b'{"ino":7,"pos":5,"head":[5,"%s"],"tail":[5,"%s"],"skip":false}' % (b"a" * 32, b"b" * 32)
    return (b'{"v":1,"files":[%s]}' % file, b'{"v":2,"files":[%s,%s]}' % (file, file))


def _read_cursor(data: bytes, folder: Path) -> None:
    with suppress(ValueError):
        cursor.load(data.decode(errors="replace"))


@cache
def _ledgers() -> tuple[bytes, ...]:
    """A small ledger with bans, windows and positions."""
    import asyncio

    from guardhooks import Ban, Failure, Position

    async def write(path: Path) -> None:
        ledger = Ledger.open(path, clock=lambda: NOW)
        jail = Jail("sshd", maxretry=5)
        for number in range(20):
            failure = Failure("sshd", f"192.0.2.{number}", NOW - number, matches=(f"line {number}",))
            ledger.count(jail, failure)
            ledger.add(Ban(f"198.51.100.{number}", "sshd", NOW, 600.0, matches=("why",), reason="5 failures"))
        ledger.advance(Position("file:/x", "/x", "{}"))
        await ledger.flush()
        await ledger.close()

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite3"
        asyncio.run(write(path))
        sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return (path.read_bytes(),)


def _read_ledger(data: bytes, folder: Path) -> None:
    import asyncio

    async def open_and_use() -> None:
        ledger = Ledger.open(path, clock=lambda: NOW)
        try:
            list(ledger.active())
            ledger.expire(NOW + 3600.0)
            await ledger.flush()
        finally:
            await ledger.close()

    for old in folder.iterdir():
        if old.is_file():
            old.unlink()
    path = folder / "ledger.sqlite3"
    path.write_bytes(data)
    with suppress(StateError):
        asyncio.run(open_and_use())


TARGETS: Final = {
    "filter": Target(_filters, _read_filter),
    "jails": Target(_jails, _read_jails),
    "lines": Target(_lines, _read_lines),
    "journal": Target(_entries, _read_entries),
    "requests": Target(_requests, _read_request),
    "cursors": Target(_cursors, _read_cursor),
    "ledger": Target(_ledgers, _read_ledger),
}


def tried(name: str, data: bytes, folder: Path) -> str:
    """What is wrong with how this input was read; empty if nothing."""
    begun = time.process_time()
    try:
        TARGETS[name].read(data, folder)
    except Exception as error:  # noqa: BLE001 -- what it is for
        return f"{type(error).__name__}: {error}"
    took = time.process_time() - begun
    return f"it took {took:.1f} s of CPU" if took > LONGEST else ""


def inputs(name: str, seed: int) -> Iterator[bytes]:
    """Endlessly many damaged inputs."""
    source, seeds = random.Random(seed), TARGETS[name].seeds()
    while True:
        yield mutated(seeds, source)


def main() -> int:
    """Run the campaign as the command line says; 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=TARGETS, action="append", help="all by default")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target")
    parser.add_argument("--seed", type=int, default=time.time_ns())
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    found = 0
    for name in arguments.target or TARGETS:
        count, bad = _campaign(name, arguments.seed, arguments.seconds)
        print(f"{name}: {count:,} inputs, {bad} kept; seed {arguments.seed}", flush=True)
        found += bad
    return 1 if found else 0


def _campaign(name: str, seed: int, seconds: float) -> tuple[int, int]:
    end, count, reasons = time.monotonic() + seconds, 0, set[str]()
    with tempfile.TemporaryDirectory() as folder:
        for data in inputs(name, seed):
            if time.monotonic() > end:
                break
            count += 1
            reason = tried(name, data, Path(folder))
            if reason and reason[:60] not in reasons:
                reasons.add(reason[:60])
                print(f"{name}: {reason[:300]}", flush=True)
                kept = FOUND / name / hashlib.sha256(data).hexdigest()[:16]
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(data)
    return count, len(reasons)


if __name__ == "__main__":
    sys.exit(main())
