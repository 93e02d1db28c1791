"""The whole flow in one process, with a source, a matcher and a firewall that are plugins of the test."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from guardhooks import (
    ActionError,
    ActionSpec,
    Ban,
    Chunk,
    ConfigError,
    Failure,
    FilterSpec,
    Guard,
    Ignore,
    Jail,
    LineTrace,
    LogSource,
    Op,
    Outcome,
    Position,
    Problem,
    Record,
    SourceSpec,
    SourceStatus,
    StartAt,
    hookimpl,
)
from guardhooks.model import PERMANENT
from guardhooks.plugins import Plugins
from guardhooks.settings.model import Settings
from guardhooks.status import BanCounts, FailureCounts
from tests.kit.guards import settings
from tests.kit.waiting import until

WALL = ActionSpec("wall", "wall", {"name": "sshd"})
SSHD = Jail("sshd", FilterSpec("sshd"), (SourceSpec("memory"),), (WALL,), maxretry=3)


class Memory:
    """A source that delivers what the test puts into it, from the saved position on."""

    def __init__(self, lines: list[str]) -> None:
        self.key = "memory"
        self._lines = lines
        self._more = asyncio.Event()
        self._closed = False
        self.reads = 0

    def wake(self) -> None:
        self._more.set()

    async def chunks(self, start: StartAt) -> AsyncIterator[Chunk]:
        done = int(start.positions["memory"].cursor) if "memory" in start.positions else 0
        while not self._closed:
            self._more.clear()
            new, done = self._lines[done:], len(self._lines)
            if new:
                self.reads += 1
                data = "".join(f"{line}\n" for line in new).encode()
                yield Chunk(data, "memory", 1000.0, Position("memory", "memory", str(done)))
            await self._more.wait()

    def status(self) -> SourceStatus:
        return SourceStatus(self.key, "reading", "", ("memory",))

    async def close(self) -> None:
        self._closed = True
        self._more.set()


class Words:
    """A matcher: `JAIL ADDRESS SECONDS` is a failure, anything else is not."""

    problems: Mapping[str, Sequence[Problem]] = {}

    def __init__(self, jails: Sequence[Jail]) -> None:
        self.jails = [jail.name for jail in jails]

    def feed(self, chunk: Chunk) -> Iterable[Failure]:
        for line in chunk.data.decode().splitlines():
            if line == "raise":
                raise RuntimeError("a line that the matcher chokes on")
            if found := re.fullmatch(r"(\w+) (\S+) (\d+)", line):
                name, address, time = found.groups()
                for jail in self.jails:
                    if name == jail:
                        yield Failure(
                            jail, address, float(time), address="" if "/" in address else address, matches=(line,)
                        )

    def time_of(self, line: bytes) -> float | None:
        return None

    def trace(self, chunk: Chunk, *, every: bool = True) -> Iterable[LineTrace]:
        return ()


@dataclass
class World:
    """The plugin of the test, with everything that it sees and is told."""

    state: Path
    now: float = 1000.0
    lines: list[str] = field(default_factory=list)
    kernel: dict[str, set[str]] = field(default_factory=dict)
    banned: list[tuple[str, str]] = field(default_factory=list)
    unbanned: list[tuple[str, str]] = field(default_factory=list)
    sources: list[Memory] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)
    spared: set[str] = field(default_factory=set)

    @hookimpl
    def log_source(self, spec: SourceSpec) -> LogSource | None:
        if spec.text != "memory":
            return None
        self.sources.append(Memory(self.lines))
        return self.sources[-1]

    @hookimpl
    def line_matcher(self, jails: Sequence[Jail]) -> Words:
        return Words(jails)

    @hookimpl
    def on_failure(self, failure: Failure) -> Ignore | None:
        return Ignore("the test says so") if failure.id in self.ignored else None

    @hookimpl
    def refuse_ban(self, id: str) -> Ignore | None:
        return Ignore("the list") if id in self.spared else None

    @hookimpl
    def decide_ban(self, jail: Jail, failure: Failure, record: Record) -> list[Ban] | None:
        if len(record.times) < jail.maxretry:
            return None
        return [Ban(failure.id, jail.name, failure.time, jail.bantime, failures=record.failures)]

    @hookimpl
    async def execute_action(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> bool | None:
        if action.name not in {"wall", "observe"}:
            return None
        ids = {each.id for each in bans}
        held = self.kernel.setdefault(f"{action.name} {jail.name}", set())
        if op in {Op.START, Op.CHECK}:
            held &= ids
        if op in {Op.START, Op.CHECK, Op.BAN}:
            held |= ids
        if op in {Op.UNBAN, Op.FLUSH}:
            held -= ids
        self.kernel[f"{action.name} {jail.name}"] = held
        return True

    @hookimpl
    def on_ban(self, ban: Ban) -> None:
        self.banned.append((ban.jail, ban.id))

    @hookimpl
    def on_unban(self, ban: Ban) -> None:
        self.unbanned.append((ban.jail, ban.id))

    def plugins(self) -> Plugins:
        plugins = Plugins(lambda: self.now)
        plugins.register(self, "world")
        return plugins

    def guard(self, *jails: Jail, observe: bool = False) -> Guard:
        file = self.state / "ledger.sqlite3"
        return Guard(
            settings(*(jails or (SSHD,))), self.plugins(), ledger_file=file, observe=observe, clock=lambda: self.now
        )

    def log(self, *lines: str) -> None:
        self.lines.extend(lines)
        if self.sources:
            for source in self.sources:
                source.wake()

    async def failures(self, guard: Guard, number: int) -> None:
        await until(lambda: guard.ledger.totals("sshd").failures == number)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def act() -> None:
        await story()

    asyncio.run(act())


def failed(address: str, number: int = 3, jail: str = "sshd") -> list[str]:
    return [f"{jail} {address} {990 + each}" for each in range(number)]


def test_enough_failures_become_a_ban_in_the_firewall(world: World) -> None:
    async def story() -> None:
        guard = world.guard()
        await guard.start()
        world.log("nothing to see", *failed("198.51.100.1"), *failed("198.51.100.2", 2))
        await until(lambda: world.banned == [("sshd", "198.51.100.1")])
        assert world.kernel == {"wall sshd": {"198.51.100.1"}}
        assert guard.is_banned("198.51.100.1")
        assert not guard.is_banned("198.51.100.2")
        assert guard.jail_status("sshd").failures == FailureCounts(tracked=1, total=5)
        await guard.stop()

    play(story)


def test_without_any_action_nobody_is_said_to_be_banned(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        guard = world.guard(dataclasses.replace(SSHD, actions=()))
        await guard.start()
        await guard.ban("sshd", "198.51.100.1")
        status = guard.jail_status("sshd")
        assert (status.state, status.bans.current, status.bans.failing) == ("degraded", 0, 1)
        assert [(ban.state, "no action" in ban.problem) for ban in status.banned] == [("failing", True)]
        assert any("no action" in problem for problem in status.problems)
        assert "NOT in force" in caplog.text
        await guard.reload(settings(SSHD), world.plugins())
        await until(lambda: world.banned == [("sshd", "198.51.100.1")])
        assert guard.ban_state("sshd", "198.51.100.1") == "active"
        await guard.unban("198.51.100.1")
        await guard.stop()

    play(story)


def test_a_plugins_ban_is_known_under_its_canonical_spelling(world: World) -> None:
    async def story() -> None:
        guard = world.guard()
        await guard.start()
        world.log(*failed("2001:DB8::/64"), *failed("::ffff:198.51.100.7"))
        await until(lambda: len(world.banned) == 2)
        assert world.kernel == {"wall sshd": {"2001:db8::/64", "198.51.100.7"}}
        assert [ban.id for ban in await guard.unban("2001:DB8::/64")] == ["2001:db8::/64"]
        await guard.stop()

    play(story)


@pytest.mark.parametrize("length", [math.nan, -1.0])
def test_a_plugins_ban_that_cannot_be_is_not_made(world: World, length: float) -> None:
    async def story() -> None:
        guard = world.guard(dataclasses.replace(SSHD, bantime=length))
        await guard.start()
        world.log(*failed("198.51.100.1"))
        await world.failures(guard, 3)
        assert guard.ledger.active() == []
        assert world.kernel == {"wall sshd": set()}
        await guard.stop()

    play(story)


def test_a_ban_by_hand_keeps_the_evidence_of_an_automatic_one(world: World) -> None:
    async def story() -> None:
        guard = world.guard()
        await guard.start()
        world.log(*failed("198.51.100.1"))
        await until(lambda: len(world.banned) == 1)
        await guard.ban("sshd", "198.51.100.1", length=99_999.0, reason="for longer")
        (ban,) = guard.ledger.active()
        assert (ban.failures, ban.reason, ban.length) == (3, "for longer", 99_999.0)
        with pytest.raises(ActionError, match="--replace"):
            await guard.ban("sshd", "198.51.100.1", length=60.0)
        assert (await guard.ban("sshd", "198.51.100.1")).length == 99_999.0
        shorter = await guard.ban("sshd", "198.51.100.1", length=60.0, replace=True)
        assert (shorter.length, shorter.failures) == (60.0, 3)
        world.now += 61.0
        await until(lambda: world.kernel == {"wall sshd": set()})
        await guard.stop()

    play(story)


def test_who_is_exempt_by_now_is_unbanned_at_reload_and_start(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        guard = world.guard()
        await guard.start()
        for address in ("198.51.100.1", "198.51.100.2", "198.51.100.3"):
            await guard.ban("sshd", address)
        await until(lambda: len(world.banned) == 3)
        world.spared = {"198.51.100.1"}
        await guard.reload(settings(SSHD), world.plugins())
        await until(lambda: world.kernel == {"wall sshd": {"198.51.100.2", "198.51.100.3"}})
        assert "198.51.100.1 is lifted: the list exempts it now" in caplog.text
        await guard.stop()
        world.spared = {"198.51.100.2"}
        guard = world.guard()
        await guard.start()
        await until(lambda: world.kernel == {"wall sshd": {"198.51.100.3"}})
        await guard.ban("sshd", "198.51.100.2", force=True)
        await guard.reload(settings(SSHD), world.plugins())
        assert guard.is_banned("198.51.100.2")
        await guard.stop()

    play(story)


def test_a_banned_address_that_goes_on_failing_is_told_once_with_the_cause(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        wall = dataclasses.replace(WALL, options={"name": "sshd", "port": "22"})
        guard = world.guard(dataclasses.replace(SSHD, actions=(wall,)))
        await guard.start()
        await guard.ban("sshd", "127.0.0.2", force=True)
        await until(lambda: world.banned == [("sshd", "127.0.0.2")])
        world.now += 100.0
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0)):
                world.log(*(f"sshd 127.0.0.2 {second}" for second in (1001, 1002, 1003)))
                await world.failures(guard, 3)
                assert guard.status().jails[0].state == "running"  # lines about the time before the ban
                world.log(*(f"sshd 127.0.0.2 {second}" for second in range(1050, 1060)))
                await until(lambda: f"is connected to port {port}, and the ban closes port 22" in caplog.text)
        (jail,) = guard.status().jails
        assert jail.state == "degraded"
        assert any("is banned, but not kept out" in problem for problem in jail.problems)
        assert caplog.text.count("but not kept out") == 1
        world.now += 700.0
        await guard.ban("sshd", "127.0.0.2", force=True)
        assert guard.status().jails[0].state == "running"
        await guard.stop()

    play(story)


def test_a_restart_counts_on_where_it_was_and_keeps_every_ban(world: World) -> None:
    async def story() -> None:
        guard = world.guard()
        await guard.start()
        world.log(*failed("198.51.100.1"), *failed("198.51.100.2", 2))
        await until(lambda: len(world.banned) == 1)
        await guard.stop()
        assert world.kernel == {"wall sshd": {"198.51.100.1"}}
        world.kernel.clear()
        guard = world.guard()
        await guard.start()
        await until(lambda: world.kernel == {"wall sshd": {"198.51.100.1"}})
        assert [ban.restored for ban in guard.ledger.active()] == [True]
        world.log(*failed("198.51.100.2", 1))
        await until(lambda: ("sshd", "198.51.100.2") in world.banned)
        assert guard.ledger.totals("sshd").failures == 6
        assert {ban.id: ban.restored for ban in guard.ledger.active()} == {"198.51.100.1": True, "198.51.100.2": False}
        await guard.stop()

    play(story)


def test_a_ban_ends_by_time_and_by_hand(world: World) -> None:
    async def story() -> None:
        guard = world.guard()
        await guard.start()
        world.log(*failed("198.51.100.1"), *failed("198.51.100.2"))
        await until(lambda: len(world.banned) == 2)
        assert [ban.id for ban in await guard.unban("198.51.100.2")] == ["198.51.100.2"]
        await until(lambda: world.unbanned == [("sshd", "198.51.100.2")])
        world.now += 700.0
        await until(lambda: len(world.unbanned) == 2)
        await until(lambda: world.kernel == {"wall sshd": set()})
        assert not guard.is_banned("198.51.100.1")
        await guard.stop()

    play(story)


def test_a_network_given_by_hand_lifts_what_is_inside(world: World) -> None:
    async def story() -> None:
        guard = world.guard()
        await guard.start()
        for address in ("198.51.100.1", "198.51.100.200", "203.0.113.1"):
            await guard.ban("sshd", address)
        lifted = await guard.unban("198.51.100.0/24")
        assert sorted(ban.id for ban in lifted) == ["198.51.100.1", "198.51.100.200"]
        assert await guard.unban_all() == 1
        await guard.stop()

    play(story)


def test_stop_with_flush_lifts_every_ban_for_good(world: World) -> None:
    async def story() -> None:
        guard = world.guard()
        await guard.start()
        await guard.ban("sshd", "198.51.100.1")
        await until(lambda: len(world.banned) == 1)
        await guard.stop(flush=True)
        assert world.kernel == {"wall sshd": set()}
        guard = world.guard()
        await guard.start()
        assert not guard.is_banned("198.51.100.1")
        await guard.stop()

    play(story)


def test_ipv6_counts_and_is_banned_by_prefix(world: World) -> None:
    async def story() -> None:
        guard = world.guard()
        await guard.start()
        world.log(*(f"sshd 2001:db8:1:2::{each} 990" for each in range(1, 4)))
        await until(lambda: world.banned == [("sshd", "2001:db8:1:2::/64")])
        assert guard.is_banned("2001:db8:1:2:ffff::1")
        await guard.stop()

    play(story)


def test_ignored_failures_do_not_count(world: World) -> None:
    async def story() -> None:
        world.ignored = {"198.51.100.1"}
        guard = world.guard()
        await guard.start()
        world.log(*failed("198.51.100.1"), *failed("198.51.100.2"))
        await until(lambda: world.banned == [("sshd", "198.51.100.2")])
        assert guard.ledger.totals("sshd").failures == 3
        await guard.stop()

    play(story)


def test_this_machine_is_never_banned(world: World) -> None:
    async def story() -> None:
        guard = world.guard()
        await guard.start()
        world.log(*failed("127.0.0.1"), *failed("198.51.100.2"))
        await until(lambda: world.banned == [("sshd", "198.51.100.2")])
        for refused in ("127.0.0.1", "127.0.0.0/8", "::1"):
            with pytest.raises(ActionError, match="own address"):
                await guard.ban("sshd", refused)
        assert (await guard.ban("sshd", "127.0.0.1", force=True)).id == "127.0.0.1"
        await guard.stop()

    play(story)


def test_two_jails_of_one_source_share_one_reading(world: World) -> None:
    async def story() -> None:
        other = dataclasses.replace(SSHD, name="dovecot")
        guard = world.guard(SSHD, other)
        await guard.start()
        world.log(*failed("198.51.100.1"), *failed("198.51.100.9", jail="dovecot"))
        await until(lambda: sorted(world.banned) == [("dovecot", "198.51.100.9"), ("sshd", "198.51.100.1")])
        assert [source.reads for source in world.sources if source.reads] == [1]
        await guard.stop()

    play(story)


def test_a_server_reports_failures_itself(world: World) -> None:
    async def story() -> None:
        guard = world.guard(dataclasses.replace(SSHD, sources=()))
        await guard.start()
        for _ in range(2):
            assert await guard.failure("sshd", "::ffff:198.51.100.1", text="wrong password") == []
        assert [ban.id for ban in await guard.failure("sshd", "198.51.100.1")] == ["198.51.100.1"]
        assert guard.is_banned("::ffff:198.51.100.1")
        with pytest.raises(ConfigError, match="no jail 'imap'"):
            await guard.failure("imap", "198.51.100.1")
        await guard.stop()

    play(story)


def test_observing_touches_no_firewall_and_says_that_it_would(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def story() -> None:
        guard = world.guard(observe=True)
        await guard.start()
        world.log(*failed("198.51.100.1"))
        await until(lambda: world.kernel.get("observe sshd") == {"198.51.100.1"})
        assert "wall sshd" not in world.kernel
        await until(lambda: "[sshd] Would ban 198.51.100.1" in caplog.text)
        assert "] Ban " not in caplog.text
        await guard.stop()

    play(story)


def test_a_reload_applies_the_difference_and_keeps_every_ban(world: World) -> None:
    async def story() -> None:
        gone = dataclasses.replace(SSHD, name="gone", sources=(), actions=(dataclasses.replace(WALL, actname="gone"),))
        guard = world.guard(SSHD, gone)
        await guard.start()
        await guard.ban("sshd", "198.51.100.1")
        await guard.ban("gone", "198.51.100.2")
        await until(lambda: len(world.banned) == 2)
        new = dataclasses.replace(SSHD, name="new", sources=(), actions=())
        stricter = dataclasses.replace(SSHD, maxretry=1)
        await guard.reload(settings(stricter, new), world.plugins())
        assert world.kernel == {"wall sshd": {"198.51.100.1"}, "wall gone": set()}
        assert not guard.is_banned("198.51.100.2")
        world.log(*failed("198.51.100.3", 1))
        await until(lambda: guard.is_banned("198.51.100.3"))
        assert [jail.name for jail in guard.status().jails] == ["sshd", "new"]
        await guard.stop()

    play(story)


def test_a_jail_that_a_reload_breaks_goes_on_as_it_was_and_says_so(world: World) -> None:
    async def story() -> None:
        guard = world.guard()
        await guard.start()
        why = (Problem("no such filter", "jail.local", 7, "sshd", "filter", fatal=True),)
        await guard.reload(Settings(Path("/nowhere"), (), broken={"sshd": why}), world.plugins())
        world.log(*failed("198.51.100.1"))
        await until(lambda: world.kernel == {"wall sshd": {"198.51.100.1"}})
        shown = guard.jail_status("sshd")
        assert shown.state == "degraded"
        assert shown.problems == ("jail.local:7: [sshd] filter: no such filter",)
        await guard.stop()

    play(story)


def test_a_matcher_that_chokes_on_a_line_goes_on_with_the_next_chunk(world: World) -> None:
    async def story() -> None:
        guard = world.guard()
        await guard.start()
        world.log("raise")
        await until(lambda: guard.plugins.faults.total["world", "sshd"] == 1)
        world.log(*failed("198.51.100.1"))
        await until(lambda: guard.is_banned("198.51.100.1"))
        await guard.stop()

    play(story)


def test_an_action_that_nobody_serves_is_shown(world: World) -> None:
    async def story() -> None:
        jail = dataclasses.replace(SSHD, actions=(WALL, ActionSpec("pigeon", "pigeon")))
        guard = world.guard(jail)
        await guard.start()
        await until(lambda: [w.state for w in guard.enforcer.workers("sshd")] == ["active", "unserved"])
        assert guard.jail_status("sshd").state == "degraded"
        world.log(*failed("198.51.100.1"))
        await until(lambda: world.banned == [("sshd", "198.51.100.1")])
        await guard.stop()

    play(story)


def test_a_ban_that_was_over_before_it_was_decided_is_none(world: World) -> None:
    async def story() -> None:
        world.now = 5000.0
        guard = world.guard()
        await guard.start()
        world.log(*failed("198.51.100.1"), "sshd 198.51.100.2 4999", "sshd 198.51.100.2 4999", "sshd 198.51.100.2 4999")
        await until(lambda: world.banned == [("sshd", "198.51.100.2")])
        assert not guard.is_banned("198.51.100.1")
        await guard.stop()

    play(story)


def test_a_clock_that_goes_back_by_a_day_makes_no_ban_longer_than_it_is(world: World) -> None:
    async def story() -> None:
        world.now = 200_000.0
        guard = world.guard()
        await guard.start()
        await guard.ban("sshd", "198.51.100.1", length=600.0)
        await until(lambda: world.kernel == {"wall sshd": {"198.51.100.1"}})
        world.now -= 86400.0
        await until(lambda: guard.jail_status("sshd").banned[0].remaining == 600.0)
        assert world.kernel == {"wall sshd": {"198.51.100.1"}}
        world.now += 601.0
        await until(lambda: world.unbanned == [("sshd", "198.51.100.1")])
        await until(lambda: world.kernel == {"wall sshd": set()})
        await guard.stop()

    play(story)


def test_a_clock_that_goes_on_by_a_day_ends_what_is_over_by_it_and_nothing_else(world: World) -> None:
    async def story() -> None:
        guard = world.guard()
        await guard.start()
        for address, length in (("198.51.100.1", 600.0), ("198.51.100.2", 90_000.0), ("198.51.100.3", PERMANENT)):
            await guard.ban("sshd", address, length=length)
        await until(lambda: len(world.banned) == 3)
        world.now += 86400.0
        await until(lambda: world.unbanned == [("sshd", "198.51.100.1")])
        await until(lambda: world.kernel == {"wall sshd": {"198.51.100.2", "198.51.100.3"}})
        await guard.stop()

    play(story)


@dataclass
class Keeper(World):
    """Its firewall tells what it holds when the ledger has lost it, has room for two, and warns."""

    of: Guard | None = None

    @hookimpl
    def on_start(self, guard: Guard) -> None:
        self.of = guard

    @hookimpl
    async def execute_action(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> Outcome | None:
        assert self.of is not None
        held, due = self.kernel.setdefault("wall sshd", set()), [each.id for each in bans]
        if op is Op.UNBAN:
            held.difference_update(due)
            return Outcome()
        adopts = op is Op.START and self.of.adopts(jail.name, action.actname)
        strangers = sorted(held - set(due)) if op is not Op.BAN else []
        if not adopts:
            held.difference_update(strangers)
        left_out = [id for id in due if id not in held][max(0, 2 - len(held)) :]
        held.update(id for id in due if id not in left_out)
        found = tuple(Ban(id, jail.name, self.now, 500.0) for id in strangers) if adopts else ()
        return Outcome(failed=dict.fromkeys(left_out, "no room: buy more"), found=found, warning="nearly full")


def test_what_the_firewall_holds_is_adopted_when_the_ledger_was_lost_and_only_then(tmp_path: Path) -> None:
    world = Keeper(tmp_path)

    async def story() -> None:
        (tmp_path / "ledger.sqlite3").write_bytes(b"not a ledger\n" * 1000)
        world.kernel = {"wall sshd": {"198.51.100.1", "127.0.0.1"}}
        guard = world.guard()
        await guard.start()
        await until(lambda: world.kernel["wall sshd"] == {"198.51.100.1"})
        [ban] = guard.ledger.active()
        assert (ban.id, ban.end, ban.reason) == ("198.51.100.1", 1500.0, "found in the firewall")
        await until(lambda: world.banned == [("sshd", "198.51.100.1")])
        assert not guard.adopts("sshd", "wall")
        await guard.stop()
        world.kernel["wall sshd"].add("198.51.100.2")
        guard = world.guard()
        await guard.start()
        await until(lambda: world.kernel["wall sshd"] == {"198.51.100.1"})
        assert len(guard.ledger.active()) == 1
        await guard.stop()

    play(story)


def test_a_ban_without_room_is_failing_in_the_status_and_counted_as_no_ban(tmp_path: Path) -> None:
    world = Keeper(tmp_path)

    async def story() -> None:
        guard = world.guard()
        await guard.start()
        for number in (1, 2, 3):
            await guard.ban("sshd", f"198.51.100.{number}")
        await until(lambda: guard.enforcer.state("sshd", "198.51.100.3") == "failing")
        await until(lambda: len(world.banned) == 2)
        status = guard.jail_status("sshd")
        assert status.state == "degraded"
        assert status.bans == BanCounts(current=2, failing=1, total=3)
        [action] = status.actions
        assert (action.state, action.failing, action.warning) == ("active", 1, "nearly full")
        assert action.reason == "no room: buy more"
        bans = {ban.id: ban for ban in status.banned}
        assert (bans["198.51.100.3"].state, bans["198.51.100.3"].problem) == ("failing", "no room: buy more")
        assert bans["198.51.100.1"].problem == ""
        await guard.unban("198.51.100.1")
        await until(lambda: guard.enforcer.state("sshd", "198.51.100.3") == "active")
        await guard.stop()

    play(story)


def test_a_check_can_be_asked_for_from_any_thread(world: World) -> None:
    async def story() -> None:
        guard = world.guard()
        guard.check_actions("sshd")  # before the start there is nobody to ask
        await guard.start()
        await guard.ban("sshd", "198.51.100.1")
        await until(lambda: world.kernel == {"wall sshd": {"198.51.100.1"}})
        world.kernel["wall sshd"].clear()
        await asyncio.to_thread(guard.check_actions, "sshd", "wall")
        await until(lambda: world.kernel == {"wall sshd": {"198.51.100.1"}})
        await guard.stop()

    play(story)
