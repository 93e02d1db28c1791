"""After a reload every hook asks the new plugins, also for a source that was read on all the while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from guardhooks import (
    ActionSpec,
    Ban,
    Chunk,
    Failure,
    FilterSpec,
    Finding,
    Guard,
    Ignore,
    Jail,
    LineTrace,
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
from guardhooks.plugins import Plugins
from guardhooks.settings.model import Settings
from tests.kit.guards import settings
from tests.kit.waiting import until

WALL = ActionSpec("wall", "wall", {"name": "sshd"})
SSHD = Jail("sshd", FilterSpec("sshd"), (SourceSpec("memory"),), (WALL,), maxretry=1)
OFFENDER = "198.51.100.1"


class Memory:
    """A source of lines that the test puts into it; it cannot resume, as a socket cannot."""

    def __init__(self, key: str = "memory") -> None:
        self.key = key
        self.closed = False
        self.delivered = 0
        self._lines: asyncio.Queue[str] = asyncio.Queue()

    def put(self, *lines: str) -> None:
        for line in lines:
            self._lines.put_nowait(line)

    async def chunks(self, start: StartAt) -> AsyncIterator[Chunk]:
        while line := await self._lines.get():
            self.delivered += 1
            yield Chunk(f"{line}\n".encode(), "memory", 1000.0, Position(self.key, "memory", str(self.delivered)))

    def status(self) -> SourceStatus:
        return SourceStatus(self.key, "reading")

    async def close(self) -> None:
        self.closed = True
        self.put("")


class Words:
    """A matcher: every line is a failure of the address in it; the word `raise` makes it raise."""

    problems: Mapping[str, Sequence[Problem]] = {}

    def __init__(self, jails: Sequence[Jail], by: str = "base") -> None:
        self.jails = [jail.name for jail in jails]
        self._by = by

    def feed(self, chunk: Chunk) -> Iterable[Failure]:
        for line in chunk.data.decode().splitlines():
            if line == "raise":
                raise RuntimeError("a line that the matcher cannot digest")
            for jail in self.jails:
                yield Failure(jail, line, 999.0, address=line, matches=(f"{self._by}: {line}",))

    def time_of(self, line: bytes) -> float | None:
        return None

    def trace(self, chunk: Chunk, *, every: bool = True) -> Iterable[LineTrace]:
        return ()


class Base:
    """What a guard needs at least. The reload loads the same object again, as it does with an installed module."""

    def __init__(self) -> None:
        self.sources: list[Memory] = []
        self.kernel: set[str] = set()
        self.starts = 0

    @hookimpl(trylast=True)
    def log_source(self, spec: SourceSpec) -> Memory:
        self.sources.append(Memory(spec.text))
        return self.sources[-1]

    @hookimpl(trylast=True)
    def line_matcher(self, jails: Sequence[Jail]) -> Words:
        return Words(jails)

    @hookimpl(trylast=True)
    def decide_ban(self, jail: Jail, failure: Failure, record: Record) -> list[Ban]:
        return [Ban(failure.id, jail.name, failure.time, 600.0, matches=failure.matches, reason="base")]

    @hookimpl(trylast=True)
    def execute_action(self, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> bool | None:
        if action.name != "wall":
            return None
        ids = {ban.id for ban in bans}
        self.starts += op is Op.START
        self.kernel = ids if op is Op.START else self.kernel - ids if op in {Op.UNBAN, Op.FLUSH} else self.kernel | ids
        return True


class Scene:
    """A guard with the plugins of the test, and its reloads."""

    def __init__(self, *extra: object, jails: Sequence[Jail] = (SSHD,), base: Base | None = None) -> None:
        self.base = base or Base()
        self.settings = settings(*jails)
        self.guard = Guard(self.settings, self.plugins(*extra), clock=lambda: 1000.0)

    def plugins(self, *extra: object) -> Plugins:
        plugins = Plugins(lambda: 1000.0)
        plugins.register(self.base, "base")
        for number, plugin in enumerate(extra):
            plugins.register(plugin, f"extra{number}")
        return plugins

    async def reload(self, *extra: object, jails: Sequence[Jail] = (SSHD,)) -> None:
        await self.guard.reload(settings(*jails), self.plugins(*extra))

    @property
    def source(self) -> Memory:
        return next(source for source in self.base.sources if source.delivered)

    async def read(self, *lines: str) -> None:
        """Lines that the open source delivers and the guard has digested."""
        opened = [source for source in self.base.sources if source.delivered or not source.closed][:1]
        before = [source.delivered for source in opened]
        for source in opened:
            source.put(*lines)
        async with asyncio.timeout(10):
            while [source.delivered for source in opened] != [number + len(lines) for number in before]:
                await asyncio.sleep(0.001)

    async def banned(self, id: str) -> Ban:
        async with asyncio.timeout(10):
            while not (found := [ban for ban in self.guard.ledger.active() if ban.id == id]):
                await asyncio.sleep(0.001)
            while self.guard.ban_state("sshd", id) == "pending":
                await asyncio.sleep(0.001)
        return found[0]


def play(story: Callable[[Scene], Awaitable[None]], *extra: object) -> None:
    async def act() -> None:
        scene = Scene(*extra)
        await scene.guard.start()
        try:
            await scene.read("203.0.113.200")
            await scene.banned("203.0.113.200")
            await story(scene)
            assert not scene.source.closed, "the source was read on all the while"
        finally:
            await scene.guard.stop()

    asyncio.run(act())


# --- each hook: a plugin that a reload adds, changes and removes ------------------------------------------------------


def matching(word: str) -> object:
    class Matching:
        @hookimpl
        def line_matcher(self, jails: Sequence[Jail]) -> Words:
            return Words(jails, word)

    return Matching()


def deciding(word: str) -> object:
    class Deciding:
        @hookimpl
        def decide_ban(self, jail: Jail, failure: Failure) -> list[Ban]:
            return [Ban(failure.id, jail.name, failure.time, 600.0, matches=failure.matches, reason=word)]

    return Deciding()


async def matched_by(scene: Scene, id: str) -> str:
    await scene.read(id)
    return (await scene.banned(id)).matches[0].split(":")[0]


async def decided_by(scene: Scene, id: str) -> str:
    await scene.read(id)
    return (await scene.banned(id)).reason


@pytest.mark.parametrize(("extra", "served_by"), [(matching, matched_by), (deciding, decided_by)])
def test_a_worker_or_decision_comes_from_the_plugins_of_the_last_reload(
    extra: Callable[[str], object], served_by: Callable[[Scene, str], Awaitable[str]]
) -> None:
    async def story(scene: Scene) -> None:
        assert await served_by(scene, "198.51.100.1") == "base"
        await scene.reload(extra("added"))
        assert await served_by(scene, "198.51.100.2") == "added"
        await scene.reload(extra("changed"))
        assert await served_by(scene, "198.51.100.3") == "changed"
        await scene.reload()
        assert await served_by(scene, "198.51.100.4") == "base"

    play(story)


def test_on_failure_asks_the_plugins_of_the_last_reload() -> None:
    def ignoring(*ids: str) -> object:
        class Ignoring:
            @hookimpl
            def on_failure(self, failure: Failure) -> Ignore | None:
                return Ignore("the test") if failure.id in ids else None

        return Ignoring()

    async def story(scene: Scene) -> None:
        await scene.reload(ignoring("198.51.100.1"))
        await scene.read("198.51.100.1", "198.51.100.2")
        await scene.banned("198.51.100.2")
        await scene.reload(ignoring("198.51.100.3"))
        await scene.read("198.51.100.3", "198.51.100.1")
        await scene.banned("198.51.100.1")
        assert not scene.guard.is_banned("198.51.100.3")
        await scene.reload()
        await scene.read("198.51.100.3")
        await scene.banned("198.51.100.3")

    play(story)


def test_refuse_ban_asks_the_plugins_of_the_last_reload() -> None:
    def allowing(id: str) -> object:
        class Allowing:
            @hookimpl
            def refuse_ban(self, id: str) -> Ignore | None:
                return Ignore(f"the list of {id}") if id == allowed else None

        allowed = id
        return Allowing()

    async def story(scene: Scene) -> None:
        for refused, free, extra in [
            ("198.51.100.1", "198.51.100.2", [allowing("198.51.100.1")]),
            ("198.51.100.2", "198.51.100.1", [allowing("198.51.100.2")]),
            ("", "198.51.100.2", []),
        ]:
            await scene.reload(*extra)
            assert scene.guard.refusal(SSHD, free) == ""
            assert not refused or "exempts it" in scene.guard.refusal(SSHD, refused)

    play(story)


def test_on_ban_and_on_unban_report_to_the_plugins_of_the_last_reload() -> None:
    class Reporting:
        def __init__(self) -> None:
            self.heard: list[tuple[str, str]] = []

        @hookimpl
        def on_ban(self, ban: Ban) -> None:
            self.heard.append(("ban", ban.id))

        @hookimpl
        def on_unban(self, ban: Ban) -> None:
            self.heard.append(("unban", ban.id))

    async def story(scene: Scene) -> None:
        added, changed = Reporting(), Reporting()
        await scene.reload(added)
        await scene.read(OFFENDER)
        await until(lambda: ("ban", OFFENDER) in added.heard)
        await scene.reload(changed)
        await scene.guard.unban(OFFENDER)
        await until(lambda: ("unban", OFFENDER) in changed.heard)
        await scene.reload()
        await scene.read("198.51.100.2")
        await scene.banned("198.51.100.2")
        assert ("unban", OFFENDER) not in added.heard
        assert ("ban", "198.51.100.2") not in changed.heard

    play(story)


class Building:
    """Serves an action by itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.held: set[str] = set()
        self.ops: list[Op] = []

    @hookimpl
    def execute_action(self, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> Outcome | None:
        if action.name != self.name:
            return None
        self.ops.append(op)
        ids = {ban.id for ban in bans}
        self.held = ids if op is Op.START else self.held - ids if op in {Op.UNBAN, Op.FLUSH} else self.held | ids
        return Outcome()


def test_an_action_is_started_by_the_plugin_that_a_reload_brings_for_it() -> None:
    async def story(scene: Scene) -> None:
        states = lambda: [str(worker.state) for worker in scene.guard.enforcer.workers("sshd")]  # noqa: E731
        added, changed = Building("wall"), Building("wall")
        await scene.reload(added)
        await until(lambda: added.held == {"203.0.113.200"})
        await scene.read(OFFENDER)
        await until(lambda: added.held == {"203.0.113.200", OFFENDER})
        await scene.reload(changed)
        await until(lambda: changed.held == {"203.0.113.200", OFFENDER})
        assert scene.base.starts == 1
        await scene.reload()
        await until(lambda: scene.base.starts == 2 and states() == ["active"])
        assert scene.base.kernel == {"203.0.113.200", OFFENDER}

    play(story)


def test_an_action_without_a_plugin_is_served_when_a_reload_brings_one_and_reported_when_it_goes() -> None:
    moat = Jail("sshd", FilterSpec("sshd"), (SourceSpec("memory"),), (WALL, ActionSpec("moat", "moat")), maxretry=1)

    async def act() -> None:
        scene = Scene(jails=[moat])
        digger = Building("moat")
        states = lambda: [str(worker.state) for worker in scene.guard.enforcer.workers("sshd")]  # noqa: E731
        await scene.guard.start()
        await scene.read(OFFENDER)
        await scene.banned(OFFENDER)
        await until(lambda: states() == ["active", "unserved"])
        await scene.reload(digger, jails=[moat])
        await until(lambda: states() == ["active", "active"])
        assert digger.held == {OFFENDER}
        await scene.reload(jails=[moat])
        await until(lambda: states() == ["active", "unserved"])
        assert scene.guard.jail_status("sshd").state == "degraded"
        await scene.guard.stop()

    asyncio.run(act())


def test_what_a_removed_plugin_built_for_a_removed_jail_is_flushed_by_it() -> None:
    other = Jail("web", None, (), (ActionSpec("moat", "moat"),))

    async def act() -> None:
        digger = Building("moat")
        scene = Scene(digger, jails=[SSHD, other])
        await scene.guard.start()
        await scene.guard.ban("web", OFFENDER)
        await until(lambda: digger.held == {OFFENDER})
        await scene.reload()
        assert digger.held == set()
        assert digger.ops[-1] is Op.FLUSH
        await scene.guard.stop()

    asyncio.run(act())


def test_diagnose_asks_the_plugins_of_the_last_reload() -> None:
    def examining(text: str) -> object:
        class Examining:
            @hookimpl
            def diagnose(self) -> list[Finding]:
                return [Finding(text)]

        return Examining()

    async def story(scene: Scene) -> None:
        for extra, found in (([examining("a")], [Finding("a")]), ([examining("b")], [Finding("b")]), ([], None)):
            await scene.reload(*extra)
            assert await scene.guard.diagnose(SSHD, WALL, [], "") == found

    play(story)


def test_a_plugin_is_started_by_the_reload_that_brings_it_and_stopped_by_the_one_that_removes_it() -> None:
    class Living:
        def __init__(self) -> None:
            self.life: list[str] = []

        @hookimpl
        def on_start(self) -> None:
            self.life.append("start")

        @hookimpl
        def on_stop(self) -> None:
            self.life.append("stop")

    async def story(scene: Scene) -> None:
        first, second = Living(), Living()
        await scene.reload(first)
        await scene.reload(first)
        assert first.life == ["start", "start"], "it was not replaced"
        await scene.reload(second)
        assert first.life == ["start", "start", "stop"]
        await scene.reload()
        assert second.life == ["start", "stop"]

    play(story)


def test_another_plugin_for_a_source_takes_it_over() -> None:
    class Faster:
        def __init__(self) -> None:
            self.made: list[Memory] = []

        @hookimpl
        def log_source(self, spec: SourceSpec) -> Memory:
            self.made.append(Memory(spec.text))
            return self.made[-1]

    async def act() -> None:
        scene, faster = Scene(), Faster()
        await scene.guard.start()
        await scene.read(OFFENDER)
        await scene.reload(faster)
        assert scene.source.closed
        faster.made[0].put("198.51.100.2")
        await scene.banned("198.51.100.2")
        await scene.reload()
        assert faster.made[0].closed
        scene.base.sources[-1].put("198.51.100.3")
        await scene.banned("198.51.100.3")
        await scene.guard.stop()

    asyncio.run(act())


# --- a matcher of before the reload ----------------------------------------------------------------------------------


def test_a_matcher_that_raises_after_a_reload_is_counted_and_switched_off() -> None:
    async def story(scene: Scene) -> None:
        await scene.reload()
        await scene.read("raise")
        await until(lambda: scene.guard.plugins.faults.total["base", "sshd"] == 1)
        await scene.read("198.51.100.1")
        await scene.banned("198.51.100.1")
        await scene.read(*["raise"] * 4)
        await until(lambda: list(scene.guard.plugins.faults.switched_off("sshd")) == ["base"])

    async def act() -> None:
        scene = Scene()
        await scene.guard.start()
        await scene.read("203.0.113.200")
        await story(scene)
        await scene.guard.stop()

    asyncio.run(act())


def test_a_source_without_a_matcher_is_not_read_on_and_loses_nothing() -> None:
    class Unmatching(Base):
        """Leaves the lines to other plugins."""

        line_matcher = None  # type: ignore[assignment]

    async def act() -> None:
        scene = Scene(matching("first"), base=Unmatching())
        await scene.guard.start()
        await scene.read(OFFENDER)
        assert (await scene.banned(OFFENDER)).matches == (f"first: {OFFENDER}",)
        await scene.reload()
        assert scene.source.closed
        await until(lambda: "no plugin finds failures" in str(scene.guard.jail_status("sshd").problems))
        await scene.reload(matching("second"))
        scene.base.sources[-1].put("198.51.100.2")
        assert (await scene.banned("198.51.100.2")).matches == ("second: 198.51.100.2",)
        await scene.guard.stop()

    asyncio.run(act())


def test_an_unchanged_reload_leaves_source_matcher_and_action_alone() -> None:
    async def story(scene: Scene) -> None:
        await scene.reload()
        await scene.read(OFFENDER)
        await scene.banned(OFFENDER)
        assert scene.base.starts == 1
        assert [source.delivered > 0 for source in scene.base.sources] == [True, False]

    play(story)


def test_the_interval_of_checks_follows_a_reload() -> None:
    class Counting(Building):
        """Counts the checks."""

    async def act() -> None:
        wall = Counting("wall")
        scene = Scene(wall)
        await scene.guard.start()
        await until(lambda: wall.ops == [Op.START])
        quick = Settings(Path("/nowhere"), (SSHD,), reconcile=0.01)
        await scene.guard.reload(quick, scene.plugins(wall))
        scene.guard.check_actions("sshd")
        await until(lambda: wall.ops.count(Op.CHECK) >= 3)
        await scene.guard.stop()

    asyncio.run(act())


# --- what it says ----------------------------------------------------------------------------------------------------


def test_a_changed_maxretry_closes_no_source_and_holds_at_once() -> None:
    async def act() -> None:
        scene = Scene()
        await scene.guard.start()
        await scene.read("203.0.113.200")
        report = await scene.guard.reload(settings(replace(SSHD, maxretry=2)), scene.plugins())
        assert [(each.name, each.what) for each in report.jails] == [("sshd", "changed")]
        assert not scene.base.sources[0].closed
        scene.base.sources[0].put("198.51.100.9")
        await until(lambda: scene.guard.ledger.totals("sshd").failures == 2)
        assert scene.guard.jails["sshd"].maxretry == 2
        await scene.guard.stop()

    asyncio.run(act())


def test_a_reload_that_changes_nothing_says_so() -> None:
    async def act() -> None:
        scene = Scene()
        await scene.guard.start()
        report = await scene.guard.reload(settings(SSHD), scene.plugins())
        assert report.lines() == ["nothing changed"]
        assert report.is_whole
        await scene.guard.stop()

    asyncio.run(act())
