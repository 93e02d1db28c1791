"""Columns across the wall: everything is as if each failure had been handed from plugin to plugin as an object."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardhooks import (
    ActionSpec,
    Ban,
    Chunk,
    Failure,
    FilterSpec,
    Findings,
    Guard,
    Ignore,
    Jail,
    Position,
    Record,
    SourceStatus,
    StartAt,
    hookimpl,
)
from guardhooks.plugins import Plugins
from guardhooks.plugins.calls import Provided
from tests.kit.clock import Clock
from tests.kit.guards import make_guard

ACTIONS = (ActionSpec("observe", "observe"),)
NOW = 100_000.0
JAILS = (
    Jail(
        "strict", None, (), ACTIONS, maxretry=2, ignoreself=False, ignoreip=("10.0.0.0/24", "raw id", "2001:db8::/64")
    ),
    Jail("patient", None, (), ACTIONS, maxretry=4, findtime=60.0, bantime=30.0, ipv4prefix=24, maxmatches=2),
    Jail("recidive", FilterSpec("recidive"), (), ACTIONS, maxretry=2, findtime=5000.0, bantime=900.0),
)
IDS = (
    "10.0.0.1",
    "10.0.1.1",
    "10.0.1.2",
    "2001:db8::1",
    "2001:db8:1::1",
    "2001:db8:1::2",
    "raw id",
    "user",
    "127.0.0.9",
)


class Columns(Findings):
    """Failures as columns; `looked_at` are the rows that became objects."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        self.failures = failures
        self.looked_at: list[int] = []

    @property
    def jails(self) -> Sequence[str]:
        return [failure.jail for failure in self.failures]

    @property
    def ids(self) -> Sequence[str]:
        return [failure.id for failure in self.failures]

    @property
    def addresses(self) -> Sequence[str]:
        return [failure.address for failure in self.failures]

    @property
    def times(self) -> Sequence[float]:
        return [failure.time for failure in self.failures]

    @property
    def unresolved(self) -> Sequence[int]:
        return [row for row, failure in enumerate(self.failures) if failure.resolve]

    def matches(self, index: int) -> tuple[str, ...]:
        return self.failures[index].matches

    def __len__(self) -> int:
        return len(self.failures)

    @overload
    def __getitem__(self, place: int) -> Failure: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Failure]: ...
    def __getitem__(self, place: int | slice) -> Failure | Sequence[Failure]:
        if isinstance(place, int):
            self.looked_at.append(place)
        return self.failures[place]


@dataclass
class Blocks:
    """Source and matcher in one: blocks of failures that are there already."""

    blocks: Sequence[Sequence[Failure]]
    clock: Clock
    jails: Sequence[str] = tuple(jail.name for jail in JAILS)
    key = "blocks"
    problems: Any = field(default_factory=dict)

    async def chunks(self, start: StartAt) -> AsyncIterator[Chunk]:
        for number, block in enumerate(self.blocks):
            self.clock.now = max(
                [self.clock.now, *(block.times if isinstance(block, Columns) else [failure.time for failure in block])]
            )
            yield Chunk(b"", str(number), self.clock.now, Position("blocks", "blocks", str(number)))

    def feed(self, chunk: Chunk) -> Sequence[Failure]:
        return self.blocks[int(chunk.origin)]

    def time_of(self, line: bytes) -> float | None:
        return None

    def trace(self, chunk: Chunk, *, every: bool = True) -> tuple[()]:
        return ()

    def status(self) -> SourceStatus:
        return SourceStatus("blocks", "reading")

    async def close(self) -> None: ...

    def matchers(self) -> list[Provided[Any]]:
        return [Provided(self, "blocks", Blocks, jails=(*(jail.name for jail in JAILS), "gone"))]


class PerEvent:
    """A third party that neither screens nor skips anybody: every failure is an object that it looks at."""

    def __init__(self) -> None:
        self.failures: list[Failure] = []
        self.records: list[Record] = []

    @hookimpl
    def on_failure(self, failure: Failure) -> Ignore | None:
        self.failures.append(failure)

    @hookimpl(tryfirst=True)
    def decide_ban(self, record: Record) -> list[Ban] | None:
        self.records.append(record)


def run(blocks: Sequence[Sequence[Failure]], *plugins: object) -> tuple[Guard, list[object]]:
    """The blocks through a guard of their own; gives it back with all there is to see of its state."""

    async def follow() -> tuple[Guard, list[object]]:
        loaded = Plugins.load()
        for number, plugin in enumerate(plugins):
            loaded.register(plugin, f"test{number}")
        clock = Clock(NOW)
        guard = make_guard(loaded, *JAILS, clock=clock)
        loaded.on_start(guard)
        source = Blocks(blocks, clock)
        await guard.pipeline.follow(
            Provided(source, "test", Blocks, key=source.key), JAILS, source.matchers, lambda *_: None
        )
        seen = [guard.ledger.active(), *(guard.ledger.history(id) for id in IDS)]
        seen += [guard.ledger.totals(jail.name) for jail in JAILS]
        for jail in JAILS:
            for id in (*IDS, "10.0.1.0/24", "2001:db8:1::/64"):
                record = guard.ledger.count(jail, Failure(jail.name, id, clock()))
                seen.append((id, record.times, record.failures, record.matches, record.active))
        loaded.on_stop(guard)
        return guard, seen

    return asyncio.run(follow())


failures = st.builds(
    lambda jail, id, age, line: Failure(
        jail,
        id,
        NOW + age,
        id if "." in id or ":" in id else "",
        (f"line {line}",) if line else (),
        {"user": str(line)},
        line,
    ),
    st.sampled_from(("strict", "patient", "gone")),
    st.sampled_from(IDS),
    st.integers(-100, 100),
    st.integers(0, 3),
)
blocks_of_failures = st.lists(st.lists(failures, max_size=30), max_size=4)


@settings(max_examples=15)
@given(blocks_of_failures)
def test_columns_lead_to_the_same_windows_and_bans_as_objects(blocks: list[list[Failure]]) -> None:
    third_party = PerEvent()
    _, wanted = run(blocks, third_party)
    assert run([Columns(block) for block in blocks])[1] == wanted
    assert run(blocks)[1] == wanted
    assert run([Columns(block) for block in blocks], PerEvent())[1] == wanted


def test_of_first_time_offenders_that_nothing_exempts_no_object_is_made() -> None:
    block = Columns([Failure("strict", f"10.7.0.{number}", NOW, f"10.7.0.{number}", ("x",)) for number in range(99)])
    guard, _ = run([block])
    assert block.looked_at == []
    assert guard.ledger.totals("strict").failures > 99
    block.failures = [*block.failures, Failure("strict", "10.0.0.1", NOW, "10.0.0.1"), block.failures[7]]
    run([block])
    assert block.looked_at == [99, 100]  # one is exempt, the other has failed twice


def test_a_third_party_sees_every_failure_in_order_and_its_notes_reach_the_ban() -> None:
    class Enricher:
        @hookimpl
        def on_failure(self, failure: Failure) -> Ignore | None:
            failure.notes["country"] = "XX"
            return Ignore("a test") if failure.id == "10.7.0.3" else None

    third_party = PerEvent()
    one = [Failure("strict", f"10.7.0.{number % 5}", NOW, f"10.7.0.{number % 5}") for number in range(10)]
    guard, _ = run([Columns(one)], Enricher(), third_party)
    assert third_party.failures == one
    assert {ban.id for ban in guard.ledger.active("strict")} >= {"10.7.0.0", "10.7.0.4"}
    assert not guard.is_banned("10.7.0.3")
    assert all(ban.notes == {"country": "XX"} for ban in guard.ledger.active("strict"))


def test_a_failure_that_its_matcher_cannot_give_is_a_fault_of_the_plugin_and_costs_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Columns):
        def __getitem__(self, place: Any) -> Any:  # noqa: ANN401 -- as the base
            if place == 1:
                raise RuntimeError("no such row")
            return super().__getitem__(place)

        def matches(self, index: int) -> tuple[str, ...]:
            raise RuntimeError("no lines")

    every = [Failure("strict", f"10.7.0.{number % 2}", NOW, f"10.7.0.{number % 2}", ("x",)) for number in range(4)]
    guard, _ = run([Broken(every)], PerEvent())
    assert next((ban.id, ban.failures) for ban in guard.ledger.active("strict")) == ("10.7.0.0", 2)
    assert not guard.ledger.find("10.7.0.1")
    assert "no such row" in caplog.text


def test_columns_that_do_not_fit_together_are_a_fault_of_the_plugin(caplog: pytest.LogCaptureFixture) -> None:
    class Short(Columns):
        @property
        def ids(self) -> Sequence[str]:
            return super().ids[1:]

    good = [Failure("strict", "10.7.0.9", NOW, "10.7.0.9")] * 2
    guard, _ = run([Short(good), good])
    assert guard.is_banned("10.7.0.9")
    assert "different lengths" in caplog.text


def test_places_that_do_not_exist_have_everybody_asked() -> None:
    class Wrong(PerEvent):
        @hookimpl
        def screen_failures(self, ids: Sequence[str]) -> Sequence[int]:
            return [len(ids)]

    wrong = Wrong()
    block = [Failure("strict", "10.7.0.9", NOW, "10.7.0.9")]
    run([Columns(block)], wrong)
    assert wrong.failures == block
