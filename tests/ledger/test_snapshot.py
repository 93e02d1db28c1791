"""Who only looks sees what the file holds, and neither takes nor changes it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from guardhooks import Ban, Failure, Jail, StateError
from guardhooks.ledger import Ledger

JAIL = Jail("sshd", findtime=600.0)


def written(path: Path) -> None:
    async def story() -> None:
        ledger = Ledger.open(path, clock=lambda: 1000.0)
        ledger.add(Ban("203.0.113.9", "sshd", 900.0, 600.0))
        ledger.add(Ban("203.0.113.10", "sshd", 900.0, 200.0))
        for time in (980.0, 990.0):
            ledger.count(JAIL, Failure("sshd", "198.51.100.1", time))
        await ledger.close()

    asyncio.run(story())


def test_bans_and_windows_are_seen_as_they_are_now(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    written(file)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir() if each.suffix == ".sqlite3"}

    seen = Ledger.snapshot(file, clock=lambda: 1200.0)

    assert [ban.id for ban in seen.active("sshd")] == ["203.0.113.9"]
    assert seen.failure_times("sshd", "198.51.100.1") == (980.0, 990.0)
    assert seen.failure_times("sshd", "198.51.100.2") == seen.failure_times("nosuch", "198.51.100.1") == ()
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir() if each.suffix == ".sqlite3"} == before


def test_it_may_be_looked_at_while_a_daemon_holds_it(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    written(file)

    async def story() -> None:
        ledger = Ledger.open(file, clock=lambda: 1000.0)
        assert len(Ledger.snapshot(file, clock=lambda: 1000.0).active()) == 2
        await ledger.close()

    asyncio.run(story())


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    assert Ledger.snapshot(tmp_path / "ledger.sqlite3", clock=lambda: 1000.0).active() == []


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    written(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StateError, match="written by another release"):
        Ledger.snapshot(file, clock=lambda: 1000.0)
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(StateError, match="cannot read the ledger"):
        Ledger.snapshot(file, clock=lambda: 1000.0)


def test_a_folder_in_its_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite3").mkdir()
    with pytest.raises(StateError, match="cannot read the ledger"):
        Ledger.snapshot(tmp_path / "ledger.sqlite3", clock=lambda: 1000.0)
