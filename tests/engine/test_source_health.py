"""What a guard says about its sources: what they delivered, and that there is nothing to read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import MappingProxyType

from guardhooks import (
    ActionSpec,
    Chunk,
    Failure,
    FilterSpec,
    Jail,
    LineTrace,
    Problem,
    SourceSpec,
    SourceStatus,
    StartAt,
    hookimpl,
)
from guardhooks.plugins import Plugins
from tests.kit.clock import Clock
from tests.kit.guards import make_guard
from tests.kit.waiting import until

NOW = 1_700_000_000.0
ACTIONS = (ActionSpec("recorded", "recorded"),)
JAILS = (
    Jail("one", FilterSpec("one"), (SourceSpec("log"), SourceSpec("other")), ACTIONS),
    Jail("two", FilterSpec("two"), (SourceSpec("log"),), ACTIONS),
)


class Source:
    """Delivers three lines and waits; or has no file."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.state = "reading" if key == "log" else "waiting"
        self.opened = 0
        self.ends = False
        self._closed = asyncio.Event()

    async def chunks(self, start: StartAt) -> AsyncIterator[Chunk]:
        if self.state == "reading":
            self.opened += 1
            yield Chunk(f"{NOW - 9}\n{NOW - 5} one\n-\n".encode(), "log", NOW - 2)
        if not self.ends:
            await self._closed.wait()

    def status(self) -> SourceStatus:
        return SourceStatus(self.key, self.state, "" if self.state == "reading" else f"no file {self.key} yet")

    async def close(self) -> None:
        self._closed.set()


class Matcher:
    problems: Mapping[str, Sequence[Problem]] = MappingProxyType({})

    def __init__(self, jails: Sequence[Jail]) -> None:
        self.jails = [jail.name for jail in jails]

    def feed(self, chunk: Chunk) -> Iterable[Failure]:
        yield Failure("one", "192.0.2.1", chunk.received, address="192.0.2.1")

    def time_of(self, line: bytes) -> float | None:
        date = line.split()[0]
        return None if date == b"-" else float(date)

    def trace(self, chunk: Chunk, *, every: bool = True) -> Iterable[LineTrace]:
        return ()


class World:
    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}

    @hookimpl
    def log_source(self, spec: SourceSpec) -> Source:
        return self.sources.setdefault(spec.text, Source(spec.text))

    @hookimpl
    def line_matcher(self, jails: Sequence[Jail]) -> Matcher:
        return Matcher(jails)

    @hookimpl
    def execute_action(self) -> bool:
        return True


def test_status_says_what_each_source_delivered_and_how_late_its_last_line_was() -> None:
    async def scenario() -> None:
        world, clock = World(), Clock()
        clock.now = NOW
        plugins = Plugins(clock)
        plugins.register(world, "world")
        guard = make_guard(plugins, *JAILS, clock=clock)
        await guard.start()
        try:
            await until(lambda: guard.status().jails[0].sources[0].lines == 3)
            one, two = (jail.sources[0] for jail in guard.status().jails)
            assert (one.lines, one.matched, one.last_line, one.lag) == (3, 1, NOW - 5, 3.0)
            assert (two.lines, two.matched) == (3, 0)

        finally:
            await guard.stop()

    asyncio.run(scenario())


def test_a_jail_that_has_nothing_to_read_for_a_minute_is_degraded() -> None:
    async def scenario() -> None:
        world, clock = World(), Clock()
        clock.now = NOW
        plugins = Plugins(clock)
        plugins.register(world, "world")
        guard = make_guard(plugins, *JAILS, clock=clock)
        await guard.start()
        try:
            world.sources["log"].state = "waiting"
            assert [jail.state for jail in guard.status().jails] == ["running", "running"]
            clock.now += 61
            one, two = guard.status().jails
            assert (one.state, two.state) == ("degraded", "degraded")
            assert "no file log yet; no file other yet" in one.problems[0]
            world.sources["log"].state = "reading"  # one log of a jail that names those of every distribution
            assert [jail.state for jail in guard.status().jails] == ["running", "running"]

        finally:
            await guard.stop()

    asyncio.run(scenario())


def test_a_source_that_ends_by_itself_has_failed_and_is_opened_again() -> None:
    async def scenario() -> None:
        world, clock = World(), Clock()
        world.sources["log"] = Source("log")
        world.sources["log"].ends = True
        plugins = Plugins(clock)
        plugins.register(world, "world")
        guard = make_guard(plugins, JAILS[1], clock=clock)
        await guard.start()
        try:
            await until(lambda: guard.status().jails[0].sources[0].state == "failed")
            assert "ended by itself" in guard.status().jails[0].sources[0].detail
            assert guard.status().jails[0].state == "degraded"
            await until(lambda: world.sources["log"].opened == 2)
        finally:
            await guard.stop()

    asyncio.run(scenario())
