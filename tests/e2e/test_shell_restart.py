"""Bans that commands put in force survive the daemon, and what was torn down behind its back comes back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.range import missing
from tests.e2e.stockactions import FAIL2BAN, Side, Stock, configure
from tests.kit.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]

STOCK: Final = [
    Stock("iptables-multiport", 50, "port=22"),
    Stock("iptables-ipset-proto6", 51, "port=22"),
    Stock("nftables", 52, "table=f2b-JAIL, type=allports"),
    Stock("hostsdeny", 53, "file=TRACES/JAIL.hosts.deny"),
    Stock("route", 54),
    Stock("ufw", 55),
]
JUMP: Final = ("INPUT", "-p", "tcp", "-m", "multiport", "--dports", "22", "-j", "f2b-stock50")


@pytest.fixture
def side(tmp_path: Path) -> Iterator[Side]:
    reason = missing() or ("" if FAIL2BAN.is_dir() and shutil.which("fail2ban-server") else "needs fail2ban's files")
    if reason and not os.environ.get("CI"):
        pytest.skip(f"the test {reason}")
    assert not reason
    side = Side(f"ghsh-{os.getpid()}-restart", tmp_path / "side")
    configure(side.folder / "config", side.traces, STOCK)
    yield side
    side.delete()


def start(side: Side) -> Daemon:
    return Daemon(side, side.folder / "config", side.folder / "state")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_nothing_moves_while_the_daemon_restarts(side: Side, end: str) -> None:
    daemon = start(side)
    try:
        for each in STOCK:
            daemon.command("ban", each.jail, *each.addresses)
        before = side.settled(STOCK)
        getattr(daemon, end)()
        assert side.look(STOCK) == before
        daemon = start(side)
        for each in STOCK:
            daemon.wait_for_log(f"[{each.jail}] action {each.file}: commands of")
        assert side.settled(STOCK) == before
        daemon.command("stop", "--flush")
        left = side.settled(STOCK)
        assert "10.77." not in "".join(text for file, text in left.items() if file != "ufw")
        assert [left["ufw"].count(f"<delete> <reject> <from> <{ip}>") for ip in STOCK[-1].addresses] == [1] * 4
    finally:
        daemon.kill()


def test_a_jump_that_somebody_removed_comes_back_with_its_bans(side: Side) -> None:
    (side.folder / "config" / "guardhooks.conf").write_text("[Guardhooks]\nreconcile = 1s\n")
    daemon = start(side)
    try:
        jail = STOCK[0]
        daemon.command("ban", jail.jail, *jail.addresses)
        before = side.look(STOCK)[jail.file]
        side.run("iptables", "-D", *JUMP)
        side.run("iptables", "-F", "f2b-stock50")
        assert side.look(STOCK)[jail.file] != before
        wait_for(lambda: side.look(STOCK)[jail.file] == before, "the rules come back")
        daemon.wait_for_log("Invariant check failed")
    finally:
        daemon.kill()
