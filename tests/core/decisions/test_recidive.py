"""Banned again and again, in whatever jails: banned for longer, by what the ledger knows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from guardhooks import Ban, Failure, FilterSpec, Jail
from guardhooks.ledger import Ledger
from guardhooks_core.decisions import recidive

SSHD, POSTFIX = Jail("sshd", maxretry=1), Jail("postfix", maxretry=1)
RECIDIVE = Jail("again", filter=FilterSpec("recidive"), maxretry=3, findtime=1000, bantime=5000)
GUARD: Any = SimpleNamespace(jails={jail.name: jail for jail in (SSHD, POSTFIX, RECIDIVE)})


@pytest.fixture(autouse=True)
def _started() -> Iterator[None]:
    recidive.on_start(GUARD)
    yield
    recidive.on_stop(GUARD)


def decided(ledger: Ledger, jail: Jail, now: float, bans: list[Ban] | None) -> list[Ban] | None:
    failure = Failure(jail.name, "a", now)
    wrapper = recidive.decide_ban(jail, failure, ledger.count(jail, failure))
    next(wrapper)
    try:
        wrapper.send(bans)
    except StopIteration as stop:
        value: list[Ban] | None = stop.value
        return value
    raise AssertionError("the wrapper yielded twice")


def offend(ledger: Ledger, jail: Jail, now: float) -> list[str]:
    """Be banned for a second; the jails that ban for it."""
    ledger.expire(now)
    bans = decided(ledger, jail, now, [Ban("a", jail.name, now, 1)]) or []
    for ban in bans:
        ledger.add(ban)
    return [ban.jail for ban in bans]


def test_the_third_ban_in_any_jails_counts_across_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        ledger = Ledger.open(tmp_path / "l", clock=lambda: 0.0)
        assert offend(ledger, SSHD, 10) == ["sshd"]
        assert offend(ledger, POSTFIX, 20) == ["postfix"]
        await ledger.close()
        ledger = Ledger.open(tmp_path / "l", clock=lambda: 0.0)
        assert offend(ledger, SSHD, 30) == ["sshd", "again"]
        (ban,) = ledger.active("again")
        assert (ban.length, ban.failures, ban.reason) == (5000, 3, "3 bans: sshd 2, postfix 1")
        assert offend(ledger, SSHD, 40) == ["sshd"]
        await ledger.close()

    asyncio.run(scenario())


def test_old_and_forgiven_bans_do_not_count() -> None:
    ledger = Ledger.open(None, clock=lambda: 0.0)
    offend(ledger, SSHD, 10)
    ledger.add(Ban("a", "postfix", 900, 50))
    ledger.remove("postfix", "a")
    offend(ledger, SSHD, 1005)
    assert offend(ledger, SSHD, 1020) == ["sshd"]


def test_a_recidive_ban_restarts_the_count() -> None:
    ledger = Ledger.open(None, clock=lambda: 0.0)
    for now in (1, 2, 3):
        offend(ledger, SSHD, now * 10)
    ledger.remove("again", "a")
    assert [len(offend(ledger, SSHD, now)) for now in (40, 50, 60)] == [1, 1, 2]


def test_it_never_counts_its_own_bans_and_adds_nothing_to_nothing() -> None:
    ledger = Ledger.open(None, clock=lambda: 0.0)
    for now in range(10, 100, 10):
        assert offend(ledger, RECIDIVE, now) == ["again"]
    assert decided(ledger, SSHD, 200, None) is None
    assert decided(ledger, SSHD, 200, []) == []
