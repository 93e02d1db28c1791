"""Windows on disk: appended in segments, rewritten when too much of them is waste, never mixed up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardhooks import Failure, Jail, StateError
from guardhooks.ledger import Ledger
from guardhooks.ledger.segments import packed_segments, unpacked_segment
from guardhooks.ledger.store import Store

JAIL = Jail("j", findtime=600, maxretry=10)


def live(path: Path, story: Callable[[Ledger], Awaitable[None]], now: float = 1000.0) -> None:
    async def act() -> None:
        ledger = Ledger.open(path, clock=lambda: now)
        try:
            await story(ledger)
        finally:
            await ledger.close()

    asyncio.run(act())


def count(ledger: Ledger, *ids: str, time: float = 1000.0) -> None:
    for id in ids:
        ledger.count(JAIL, Failure("j", id, time, matches=("x" * 100,)))


def failures(ledger: Ledger, id: str) -> int:
    """How many failures of an id had been counted."""
    return ledger.count(JAIL, Failure("j", id, 1000.0)).failures - 1


@given(st.dictionaries(st.text(st.characters(codec=None), max_size=20), st.none() | st.binary(min_size=1), max_size=50))
def test_whatever_is_packed_comes_back(windows: dict[str, bytes | None]) -> None:
    segments = list(packed_segments(list(windows), list(windows.values())))
    assert dict(pair for segment in segments for pair in unpacked_segment(segment)) == windows


def test_many_windows_come_back_in_their_order() -> None:
    ids = [f"id {number}" for number in range(10_000)]
    segments = list(packed_segments(ids, [b"x"] * 10_000))
    assert len(segments) > 1
    assert [id for segment in segments for id, _ in unpacked_segment(segment)] == ids


def test_the_latest_word_about_an_id_counts(tmp_path: Path) -> None:
    async def first(ledger: Ledger) -> None:
        for ids in (("a", "b", "c"), ("b", "c"), ("c",)):
            count(ledger, *ids)
            await ledger.flush()
        ledger.forget("j", "b")

    async def second(ledger: Ledger) -> None:
        assert [failures(ledger, id) for id in "abc"] == [1, 0, 3]

    live(tmp_path / "l", first)
    live(tmp_path / "l", second)


def test_the_file_stays_small_though_every_window_changes_all_the_time(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> None:
        for _ in range(60):
            count(ledger, *(f"id {number}" for number in range(1000)))
            await ledger.flush()

    async def later(ledger: Ledger) -> None:
        assert ledger.totals("j").tracked == 1000
        assert {failures(ledger, f"id {number}") for number in range(1000)} == {60}

    live(tmp_path / "l", story)
    assert (tmp_path / "l").stat().st_size < 8_000_000  # one after the other they take 30 MB
    live(tmp_path / "l", later)


def test_a_rewriting_that_fails_loses_nothing(tmp_path: Path) -> None:
    ids = [f"id {number}" for number in range(2000)]

    async def story() -> None:
        store = Store.open(tmp_path / "l")
        ledger = Ledger.load(store, lambda: 1000.0)

        async def fail_to_flush() -> None:
            store.connection.execute("PRAGMA query_only = ON")
            with pytest.raises(StateError):
                await ledger.flush()
            store.connection.execute("PRAGMA query_only = OFF")

        for _ in range(12):
            count(ledger, *ids)
            await fail_to_flush()
            count(ledger, "another")
            await ledger.flush()
        count(ledger, "another")
        await fail_to_flush()
        await ledger.close()

    async def later(ledger: Ledger) -> None:
        assert failures(ledger, "another") == 13
        assert {failures(ledger, id) for id in ids} == {12}

    asyncio.run(story())
    live(tmp_path / "l", later)


def test_windows_that_were_over_are_not_revived(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> None:
        count(ledger, "old", time=100.0)
        count(ledger, "new")
        await ledger.flush()
        ledger.expire(1000.0)
        assert ledger.totals("j").tracked == 1

    async def later(ledger: Ledger) -> None:
        ledger.expire(1000.0)
        assert ledger.totals("j").tracked == 1

    live(tmp_path / "l", story)
    live(tmp_path / "l", later)
