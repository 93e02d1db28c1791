"""Housekeeping survives whatever goes wrong in it, and tells it."""

from __future__ import annotations

import asyncio

import pytest

from guardhooks import Ban, Guard, Jail
from guardhooks.ledger import Ledger
from guardhooks.plugins import Plugins
from tests.kit.clock import Clock
from tests.kit.guards import settings
from tests.kit.waiting import until


class Stumbling(Ledger):
    """A ledger that cannot end bans for a while, as one damaged byte once made it."""

    stumbles = 3

    def expire(self, now: float) -> list[Ban]:
        if self.next_end() is not None and self.stumbles:
            self.stumbles -= 1
            raise ValueError("not a JSON document")
        return super().expire(now)


def test_a_ban_that_cannot_be_ended_is_told_and_ended_when_it_can(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        clock = Clock()
        ledger = Stumbling.open(None, clock=clock)
        guard = Guard(settings(Jail("sshd")), Plugins([]), ledger=ledger, clock=clock)
        await guard.start()
        ledger.add(Ban("192.0.2.1", "sshd", clock(), 5.0))
        clock.now += 10
        await until(lambda: ledger.next_end() is None)
        await until(lambda: "works again" in caplog.text)
        await guard.stop()

    asyncio.run(story())
    told = [record.getMessage() for record in caplog.records if "is retried" in record.getMessage()]
    assert told == ["ending bans, or watching the clock, failed and is retried: ValueError: not a JSON document"]
