"""Who is never banned, whoever asks for it: this machine, its gateways, its administrators, and who is spared."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from guardhooks import ActionError, Ban, Failure, Guard, Ignore, Jail, hookimpl
from guardhooks.engine.ban_guard import BanGuard
from guardhooks.plugins import Plugins
from guardhooks.system.gateways import default_gateways
from tests.kit.clock import Clock
from tests.kit.guards import make_guard

SSHD = Jail("sshd")
ROUTES = """\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	FE6433C6	0003	0	0	0	00000000	0	0	0
wg0	00000000	00000000	0001	0	0	0	00000000	0	0	0
eth0	006433C6	00000000	0001	0	0	0	00FFFFFF	0	0	0
eth0	000000C0	016433C6	0003	0	0	0	000000FF	0	0	0
"""
ROUTES6 = """\
20010db8000000000000000000000000 40 {0} 00 {0} 00000100 00000001 00000000 00000001     eth0
{0} 00 {0} 00 20010db8000000000000000000000001 00000400 00000003 00000000 00000003     eth0
{0} 00 {0} 00 {0} ffffffff 00000001 00000000 00200200       lo
""".format("0" * 32)


def opened(allowlist_reason: Callable[[Jail, str], str] = lambda jail, id: "", clock: Clock | None = None) -> BanGuard:
    ban_guard = BanGuard(clock or Clock(), allowlist_reason)
    asyncio.run(ban_guard.open())
    return ban_guard


def test_the_gateways_of_default_routes_are_found(tmp_path: Path) -> None:
    (tmp_path / "route").write_text(ROUTES)
    (tmp_path / "ipv6_route").write_text(ROUTES6)

    assert default_gateways(tmp_path) == {"198.51.100.254", "2001:db8::1"}
    assert default_gateways(tmp_path / "nothing") == set()


@pytest.mark.parametrize(
    ("id", "why"),
    [
        ("127.0.0.1", "it is this machine's own address"),
        ("::1", "it is this machine's own address"),
        ("127.0.0.0/8", "it covers 127.0.0.1, this machine's own address"),
        ("::/64", "it covers ::1, this machine's own address"),
        ("203.0.113.7", ""),
        ("203.0.113.0/24", ""),
        ("96.0.0.0/8", ""),
        ("96.0.0.0/7", "it is wider than a /8"),
        ("2001:db8::/32", ""),
        ("2001:db8::/31", "it is wider than a /32"),
        ("somebody", ""),
        ("a/b", ""),
    ],
)
def test_what_the_machine_needs_and_what_is_too_wide(id: str, why: str) -> None:
    assert opened().refusal(SSHD, id) == why


def test_who_asks_is_not_shut_out_by_his_own_command() -> None:
    ban_guard = opened()
    comes_from = "where an ssh session that controls this daemon comes from"

    assert ban_guard.refusal(SSHD, "203.0.113.7", {"203.0.113.7"}) == f"it is {comes_from}"
    assert ban_guard.refusal(SSHD, "203.0.113.0/24", {"203.0.113.7"}) == f"it covers 203.0.113.7, {comes_from}"
    assert ban_guard.refusal(SSHD, "203.0.113.8", {"203.0.113.7"}) == ""


def test_force_opens_the_door_to_everything_but_everybody() -> None:
    ban_guard = opened()
    ban_guard.check(SSHD, "127.0.0.1", force=True, protected=())
    ban_guard.check(SSHD, "96.0.0.0/7", force=True, protected=())
    with pytest.raises(ActionError, match=r"127\.0\.0\.1 is refused: .* own address; add --force to ban it anyway"):
        ban_guard.check(SSHD, "127.0.0.1", force=False, protected=())
    for everybody in ("0.0.0.0/0", "::/0"):
        with pytest.raises(ActionError, match="everybody, you too; name a smaller network"):
            ban_guard.check(SSHD, everybody, force=True, protected=())


def test_what_plugins_spare_is_refused_and_prefixes_are_narrowed_for_it() -> None:
    ban_guard = opened(lambda jail, id: "the friends' list" if id in {"203.0.113.7", "2001:db8:1:2::/64"} else "")

    assert ban_guard.refusal(SSHD, "203.0.113.7") == "the friends' list exempts it"
    assert ban_guard.narrow_to_address(SSHD, "2001:db8:1:2::/64", "2001:db8:1:2::66") == "2001:db8:1:2::66"
    assert ban_guard.narrow_to_address(SSHD, "2001:db8:1:3::/64", "2001:db8:1:3::66") == "2001:db8:1:3::/64"
    assert ban_guard.narrow_to_address(SSHD, "::/64", "::66") == "::66"


def test_what_the_machine_needs_is_read_again_every_minute_and_when_the_clock_goes_back() -> None:
    clock = Clock()
    ban_guard = opened(clock=clock)

    async def story() -> list[bool]:
        read = []
        for clock.now in (1059.0, 1060.0, 1060.0, 1000.0):
            read.append(await ban_guard.refresh())
        return read

    assert asyncio.run(story()) == [False, True, False, True]


# --- the guard that asks it ----------------------------------------------------------------------------------------


class Friends:
    """A plugin that bans at the first failure, and spares a network."""

    @hookimpl
    def decide_ban(self, jail: Jail, failure: Failure) -> list[Ban]:
        ids = [*failure.matches] or [failure.id]
        return [Ban(id, jail.name, failure.time, 600.0) for id in ids]

    @hookimpl
    def refuse_ban(self, id: str) -> Ignore | None:
        return Ignore("the friends' list") if id.startswith("203.0.113.") else None


def guard(state: Path) -> Guard:
    plugins = Plugins(lambda: 1000.0)
    plugins.register(Friends(), "friends")
    return make_guard(plugins, SSHD, state=state)


def play(state: Path, story: Callable[[Guard], Awaitable[None]]) -> None:
    async def act() -> None:
        running = guard(state)
        await running.start()
        try:
            await story(running)
        finally:
            await running.stop()

    asyncio.run(act())


@pytest.mark.parametrize(
    ("id", "why"),
    [
        ("203.0.113.5", "the friends' list exempts it"),
        ("96.0.0.0/6", "it is wider than a /8"),
        ("127.0.0.0/16", "it covers 127.0.0.1, this machine's own address"),
    ],
)
def test_a_decided_ban_is_refused_with_one_line_that_says_why_and_the_remedy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, id: str, why: str
) -> None:
    async def story(guard: Guard) -> None:
        assert await guard.failure("sshd", "198.51.100.1", text=id) == []
        assert guard.ledger.active() == []

    play(tmp_path, story)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        f"[sshd] {id} is not banned: {why}; `guardhooks ban sshd {id} --force` bans it anyway"
    ]


def test_a_ban_by_hand_of_who_is_spared_needs_force(tmp_path: Path) -> None:
    async def story(guard: Guard) -> None:
        with pytest.raises(ActionError, match="the friends' list exempts it; add --force"):
            await guard.ban("sshd", "203.0.113.5")
        assert (await guard.ban("sshd", "203.0.113.5", force=True)).id == "203.0.113.5"

    play(tmp_path, story)


def test_a_ban_from_before_of_what_the_machine_needs_by_now_is_lifted_unless_it_was_forced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def before(guard: Guard) -> None:
        guard.ledger.add(Ban("127.0.0.0/24", "sshd", 1000.0, 600.0))
        guard.ledger.add(Ban("198.51.100.1", "sshd", 1000.0, 600.0))
        await guard.ban("sshd", "::1", force=True)

    async def after(guard: Guard) -> None:
        assert {ban.id for ban in guard.ledger.active()} == {"198.51.100.1", "::1"}

    play(tmp_path, before)
    play(tmp_path, after)
    assert (
        "[sshd] the ban of 127.0.0.0/24 is lifted: 127.0.0.1 has become this machine's own address" in caplog.messages
    )


@pytest.mark.parametrize("id", ["127.9.9.9", "127.0.0.2", "127.9.0.0/16"])
def test_all_of_loopback_is_this_machine_and_needs_force(id: str) -> None:
    async def story() -> None:
        guard = make_guard(Plugins(lambda: 1000.0), SSHD)
        await guard.start()
        with pytest.raises(ActionError, match="it is this machine's own address; add --force to ban it anyway"):
            await guard.ban("sshd", id)
        assert (await guard.ban("sshd", id, force=True)).id == id
        await guard.stop()

    asyncio.run(story())
