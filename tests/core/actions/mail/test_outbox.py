"""How many messages are sent for how many bans, and when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from guardhooks import ActionError
from guardhooks_core.actions.mail.outbox import LISTED, Digest, Outbox, Pace
from tests.core.actions.mail.kit import ban
from tests.core.actions.mail.loops import run


@dataclass
class Post:
    """Records when a message was sent and how many bans it reports; fails while `broken`."""

    sent: list[tuple[float, int]] = field(default_factory=list)
    tries: list[tuple[float, bool]] = field(default_factory=list)
    broken: bool = False
    hangs: bool = False
    last: Digest = field(default_factory=Digest)

    async def __call__(self, digest: Digest, is_short: bool) -> None:
        now = asyncio.get_running_loop().time()
        self.tries.append((round(now), is_short))
        if self.hangs:
            await asyncio.Event().wait()
        if self.broken:
            raise ActionError("no server")
        self.sent.append((round(now), digest.banned))
        self.last = digest


def outbox(post: Post, *, interval: float = 30.0, limit: int = 60, at_least: int = 1) -> Outbox:
    return Outbox("sshd/mail", Pace(interval, limit), post, at_least)


def add_bans(box: Outbox, number: int = 1) -> None:
    for each in range(number):
        box.pending.ban(ban(f"203.0.113.{each % 256}"))
    box.touch()


def test_the_first_ban_is_reported_at_once_and_the_next_are_collected():
    async def life() -> Post:
        post = Post()
        box = outbox(post)
        add_bans(box)
        await asyncio.sleep(5)
        for _ in range(10):
            add_bans(box)
            await asyncio.sleep(2)
        await asyncio.sleep(100)
        add_bans(box)
        await asyncio.sleep(100)
        return post

    assert run(life()).sent == [(1, 1), (31, 10), (126, 1)]


def test_a_storm_is_one_message_that_counts():
    async def life() -> Post:
        post = Post()
        box = outbox(post)
        for _ in range(100):
            add_bans(box, 100)
            await asyncio.sleep(0.005)
        await asyncio.sleep(1000)
        return post

    post = run(life())
    assert post.sent == [(1, 10_000)]
    assert len(post.last.bans) == LISTED


def test_a_lasting_storm_is_one_message_per_period():
    async def life() -> Post:
        post = Post()
        box = outbox(post)
        for _ in range(90):
            add_bans(box, 10)
            await asyncio.sleep(1)
        await asyncio.sleep(1000)
        return post

    post = run(life())
    assert [time for time, _ in post.sent] == [1, 31, 61, 91]
    assert sum(number for _, number in post.sent) == 900


def test_the_limit_for_an_hour_delays_and_loses_nothing():
    async def life() -> Post:
        post = Post()
        box = outbox(post, interval=0, limit=3)
        for _ in range(20):
            add_bans(box)
            await asyncio.sleep(60)
        await asyncio.sleep(7200)
        return post

    post = run(life())
    assert post.sent == [(0, 1), (60, 1), (120, 1), (3600, 17)]


def test_without_limits_every_ban_is_a_message():
    async def life() -> Post:
        post = Post()
        box = outbox(post, interval=0, limit=0)
        for _ in range(200):
            add_bans(box)
            await asyncio.sleep(0.1)
        return post

    assert len(run(life()).sent) == 200


def test_some_bans_are_collected_before_anything_is_sent():
    async def life() -> Post:
        post = Post()
        box = outbox(post, interval=0, at_least=5)
        for _ in range(12):
            add_bans(box)
            await asyncio.sleep(1000)
        assert post.sent == [(4000, 5), (9000, 5)]
        await box.drain()
        return post

    assert run(life()).sent[2:] == [(12000, 2)]


def test_what_cannot_be_sent_is_kept_and_retried_with_back_off():
    async def life() -> Post:
        post = Post(broken=True)
        box = outbox(post, interval=0)
        add_bans(box)
        await asyncio.sleep(3600)
        assert box.problem == "mail was not sent, retrying: no server"
        add_bans(box, 10_000)
        assert len(box.pending.bans) == LISTED
        post.broken = False
        await asyncio.sleep(1000)
        assert box.problem == ""
        return post

    post = run(life())
    assert [time for time, _ in post.tries[:7]] == [0, 10, 40, 100, 400, 1300, 2200]
    assert [number for _, number in post.sent] == [10_001]


def test_quotations_are_left_out_after_two_refusals():
    async def life() -> Post:
        post = Post(broken=True)
        add_bans(outbox(post))
        await asyncio.sleep(200)
        return post

    assert [short for _, short in run(life()).tries] == [False, False, True, True]


def test_what_is_pending_is_sent_when_the_action_ends():
    async def life() -> Post:
        post = Post()
        box = outbox(post)
        add_bans(box)
        await asyncio.sleep(2)
        add_bans(box, 3)
        await box.drain()
        return post

    assert run(life()).sent == [(1, 1), (2, 3)]


@pytest.mark.parametrize(("broken", "hangs"), [(True, False), (False, True)])
def test_the_end_waits_a_limited_time(broken: bool, hangs: bool, caplog: pytest.LogCaptureFixture):
    async def life() -> float:
        box = outbox(Post(broken=broken, hangs=hangs))
        add_bans(box, 4)
        await box.drain()
        assert not box.pending
        return asyncio.get_running_loop().time()

    assert run(life()) <= 13
    assert "4 bans and unbans were not reported by mail" in caplog.text


def test_a_changed_pace_keeps_what_was_sent():
    pace = Pace(30, 60)
    pace.sent(100.0)
    pace.failed(101.0)
    assert pace.changed(60, 60).send_time(100.5) == 160.0
    assert pace.changed(0, 1).send_time(100.5) == 3700.0
