"""What the ledger promises: exact windows, bans that last, nothing lost or counted twice when the process dies."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardhooks import PERMANENT, Failure, FailureLines, Jail, Position, StateError
from guardhooks.ledger import Ledger, Totals
from guardhooks.ledger.store import Store
from guardhooks.ledger.windows import Budget, Windows
from tests.kit.bans import ban as any_ban
from tests.kit.clock import Clock

JAIL = Jail("sshd", maxretry=3, findtime=600)

ban = partial(any_ban, start=10_000.0)


@pytest.fixture
def clock() -> Clock:
    return Clock(10_000.0)


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    return Ledger.open(None, clock=clock)


def failure(id: str, time: float, *lines: str) -> Failure:
    return Failure("sshd", id, time, matches=lines)


async def reopened(ledger: Ledger, path: Path, clock: Clock) -> Ledger:
    await ledger.close()
    return Ledger.open(path, clock=clock)


# --- windows ----------------------------------------------------------------------------------------------------------


def test_a_window_holds_what_happened_within_findtime(ledger: Ledger) -> None:
    times = [ledger.count(JAIL, failure("a", time)).times for time in (0, 600, 601)]
    assert times == [(0,), (0, 600), (600, 601)]


def test_ids_and_jails_do_not_mix(ledger: Ledger) -> None:
    ledger.count(JAIL, failure("a", 1))
    assert ledger.count(JAIL, failure("b", 1)).failures == 1
    assert ledger.count(Jail("other"), failure("a", 1)).failures == 1


def test_forgetting_begins_anew(ledger: Ledger) -> None:
    ledger.count(JAIL, failure("a", 1))
    ledger.forget("sshd", "a")
    assert ledger.count(JAIL, failure("a", 2)).times == (2,)


@given(
    st.integers(1, 6),
    st.lists(st.integers(0, 100), min_size=1, max_size=40).flatmap(lambda times: st.permutations(sorted(times))),
)
def test_a_late_failure_counts_where_it_belongs(maxretry: int, times: Sequence[int]) -> None:
    """Ban-or-not equals the definition, for arrivals in any order within findtime of each other."""
    ledger = Ledger.open(None, clock=Clock(10_000.0))
    jail = Jail("sshd", maxretry=maxretry, findtime=100)
    seen: list[int] = []
    for time in times:
        seen.append(time)
        fullest = max(
            sum(first <= other <= first + 100 for other in seen) for first in seen if first <= time <= first + 100
        )
        found = ledger.count(jail, failure("a", time)).times
        assert len(found) == min(fullest, maxretry)


@given(st.lists(st.integers(0, 90), min_size=1, max_size=60), st.integers(1, 5))
def test_failures_in_order_are_counted_exactly(gaps: list[int], maxretry: int) -> None:
    ledger = Ledger.open(None, clock=Clock(10_000.0))
    jail = Jail("sshd", maxretry=maxretry, findtime=100)
    times = list(itertools.accumulate(gaps))
    for number, time in enumerate(times):
        inside = [other for other in times[: number + 1] if other >= time - 100]
        assert list(ledger.count(jail, failure("a", time)).times) == inside[-maxretry:]


def test_only_the_last_maxmatches_lines_are_kept_and_no_novel(ledger: Ledger) -> None:
    jail = Jail("sshd", maxretry=100, maxmatches=2)
    for number in range(5):
        record = ledger.count(jail, failure("a", number, f"line {number}"))
    assert record.matches == ("line 3", "line 4")
    record = ledger.count(jail, failure("a", 6, "x" * 60_000, "y" * 60_000))
    assert sum(map(len, record.matches)) < 10_000


def test_windows_end_with_their_time(ledger: Ledger) -> None:
    for number in range(1000):
        ledger.count(JAIL, failure(f"id {number}", 10_000 + number))
    ledger.expire(10_000 + 1500)
    tracked = ledger.totals("sshd").tracked
    assert 100 <= tracked < 300
    ledger.expire(20_000)
    assert ledger.totals("sshd").tracked == 0


def test_a_window_that_goes_on_outlives_its_first_end(ledger: Ledger) -> None:
    for time in range(10_000, 13_000, 100):
        ledger.count(JAIL, failure("a", time))
        ledger.expire(time)
    assert ledger.count(JAIL, failure("a", 13_000)).times == (12_800, 12_900, 13_000)


def test_a_clock_set_back_does_not_blind_the_ledger(ledger: Ledger, clock: Clock) -> None:
    clock.now = 1e9
    ledger.count(JAIL, failure("a", 1e9))
    clock.now = 10_000
    times = [ledger.count(JAIL, failure("a", time)).times for time in (9_998, 9_999, 10_000)]
    assert times[-1] == (9_998, 9_999, 10_000)


def test_windows_from_before_the_clock_was_set_back_go(ledger: Ledger) -> None:
    ledger.count(JAIL, failure("future", 1e9))
    ledger.count(JAIL, failure("a", 10_000))
    ledger.expire(10_000)
    assert ledger.totals("sshd").tracked == 1


def count(windows: Windows, jail: Jail, failure: Failure) -> None:
    windows.count(jail, [failure.id], [failure.time], FailureLines.of(failure), Clock(10_000.0))


def test_a_flood_of_ids_drops_those_that_failed_longest_ago() -> None:
    windows = Windows(Budget(), limit=1000)
    for number in range(5000):
        count(windows, JAIL, failure("steady", number))
        count(windows, JAIL, failure(f"id {number}", number))
    assert 900 <= len(windows) <= 1000
    assert windows.failures("steady") == 5000
    assert windows.failures("id 4999") == 1
    assert windows.failures("id 0") == 0


def test_where_lines_take_too_much_memory_the_latest_are_kept() -> None:
    jail = Jail("sshd", maxretry=100, maxmatches=10)
    windows = Windows(Budget(1000))
    for number in range(5):
        count(windows, jail, failure("a", number, f"{number}" * 190))
    assert windows.matches("a") == tuple(f"{number}" * 190 for number in range(5))
    for number in range(5, 8):
        count(windows, jail, failure("a", number, f"{number}" * 190))
    assert windows.matches("a") == tuple(f"{number}" * 190 for number in range(3, 8))
    count(windows, jail, failure("b", 9, "x" * 100))
    assert windows.matches("b") == ()
    windows.forget("a")
    count(windows, jail, failure("b", 10, "y" * 100))
    assert windows.matches("b") == ("y" * 100,)


def test_more_lines_on_disk_than_memory_allows_stay_as_they_are() -> None:
    full, windows = Windows(Budget()), Windows(Budget(10))
    for number in range(3):
        count(full, JAIL, failure("a", number, "x" * 100))
    for id, packed in full.take().changed.items():  # type: ignore[union-attr]
        windows.restore(id, packed)
    count(windows, JAIL, failure("a", 3, "new"))
    assert windows.matches("a")[-1] == "new"
    count(windows, JAIL, failure("a", 4, "y" * 500))
    assert windows.matches("a")[-1] == "new"


# --- bans -------------------------------------------------------------------------------------------------------------


def test_a_ban_in_force_is_not_made_twice_but_a_longer_one_replaces_it(ledger: Ledger) -> None:
    first = ledger.add(ban())
    assert first is not None
    assert ledger.add(ban(length=500)) is None
    longer = ledger.add(ban(length=PERMANENT))
    assert longer is not None
    assert (longer.count, ledger.active(), ledger.totals("sshd").bans) == (1, [longer], 1)
    assert ledger.expire(1e12) == []


def test_bans_end_in_order(ledger: Ledger) -> None:
    for id, length in (("c", 300), ("a", 100), ("b", 200), ("d", PERMANENT)):
        ledger.add(ban(id, length=length))
    assert ledger.next_end() == 10_100
    assert [over.id for over in ledger.expire(10_250)] == ["a", "b"]
    assert [over.id for over in ledger.expire(1e15)] == ["c"]
    assert ledger.next_end() is None
    assert [left.id for left in ledger.active()] == ["d"]


def test_bans_end_in_time_though_others_are_lifted(ledger: Ledger) -> None:
    for id, length in (("a", 600), ("b", 900)):
        ledger.add(ban(id, length=length))
    ledger.remove("sshd", "b")
    for id, length in (("c", 200), ("d", 100)):
        ledger.add(ban(id, length=length))
    assert ledger.next_end() == 10_100
    assert [over.id for over in ledger.expire(10_150)] == ["d"]


def test_a_ban_counts_the_earlier_ones_of_its_jail(ledger: Ledger, clock: Clock) -> None:
    counts = []
    for _ in range(3):
        stored = ledger.add(ban(start=clock.now))
        assert stored is not None
        counts.append(stored.count)
        ledger.add(ban(start=clock.now, jail="other"))
        clock.now += 700
        ledger.expire(clock.now)
    assert counts == [1, 2, 3]
    assert len(ledger.history("192.0.2.1")) == 6


def test_a_ban_lifted_by_hand_is_remembered_and_forgiven(ledger: Ledger, clock: Clock) -> None:
    ledger.add(ban(length=PERMANENT))
    clock.now += 60
    lifted = ledger.remove("sshd", "192.0.2.1")
    assert lifted is not None
    assert lifted.length == PERMANENT
    assert ledger.remove("sshd", "192.0.2.1") is None
    (past,) = ledger.history("192.0.2.1")
    assert (past.length, "lifted" in past.notes) == (60, True)
    again = ledger.add(ban(start=clock.now))
    assert again is not None
    assert again.count == 1


def test_history_fades(clock: Clock) -> None:
    ledger = Ledger.open(None, clock=clock, history_age=1000)
    ledger.add(ban("short", length=100))
    ledger.add(ban("long", length=5000))
    for now, remembered in ((11_099, {"short", "long"}), (11_200, {"long"}), (19_000, {"long"}), (20_100, set())):
        ledger.expire(now)
        assert {id for id in ("short", "long") if ledger.history(id)} == remembered


def test_prefixes_hold_their_addresses(ledger: Ledger) -> None:
    for id in ("192.0.2.7", "198.51.100.0/24", "2001:db8::/64", "some user"):
        ledger.add(ban(id))
    yes = ("192.0.2.7", "198.51.100.9", "2001:db8::1", "2001:db8::/64", "some user")
    no = ("192.0.2.8", "198.51.101.1", "2001:db8:0:1::1", "2001:db8::/48", "user", "")
    assert [id for id in (*yes, *no) if ledger.is_banned(id)] == list(yes)
    assert not ledger.is_banned("198.51.100.9", "other")
    assert ledger.is_banned("198.51.100.9", "sshd")
    assert [found.id for found in ledger.find("198.51.100.9")] == ["198.51.100.0/24"]
    assert {found.id for found in ledger.find("198.51.0.0/16")} == {"198.51.100.0/24"}
    assert {found.id for found in ledger.find("0.0.0.0/0")} == {"192.0.2.7", "198.51.100.0/24"}
    ledger.remove("sshd", "198.51.100.0/24")
    assert not ledger.is_banned("198.51.100.9")


def test_the_record_tells_the_ban_in_force_and_the_history(ledger: Ledger) -> None:
    stored = ledger.add(ban())
    record = ledger.count(JAIL, failure("192.0.2.1", 10_001))
    assert record.active == stored
    assert list(record.bans) == [stored]


# --- disk -------------------------------------------------------------------------------------------------------------


def test_everything_survives_a_restart(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "state" / "ledger.sqlite"

    async def scenario() -> None:
        ledger = Ledger.open(path, clock=clock)
        ledger.count(JAIL, failure("a", 9_999, "line \udcff\n", "second"))
        fields = {"user": "x", "alt": ("y", None)}
        kept = ledger.add(ban(matches=("one", "two"), fields=fields, notes={"country": "NL"}, reason="why", failures=7))
        ledger.add(ban("2001:db8::/64", length=PERMANENT))
        ledger.add(ban("gone", length=10))
        clock.now += 20
        ledger.expire(clock.now)
        ledger.advance(Position("tail", "/var/log/\udce4", "42"))
        ledger = await reopened(ledger, path, clock)
        assert ledger.notes == ()
        assert kept is not None
        assert replace(kept, restored=True) in ledger.active()
        assert [b.id for b in ledger.active()] == ["192.0.2.1", "2001:db8::/64"]
        assert len(ledger.history("gone")) == 1
        assert ledger.positions("tail") == {"/var/log/\udce4": Position("tail", "/var/log/\udce4", "42")}
        assert ledger.totals("sshd") == Totals(failures=1, tracked=1, bans=3, banned=2)
        record = ledger.count(JAIL, failure("a", 10_000))
        assert record.times == (9_999, 10_000)
        assert record.matches == ("line \udcff\n", "second")
        ledger.drop_jail("sshd")
        ledger.remove("sshd", "2001:db8::/64")
        ledger = await reopened(ledger, path, clock)
        assert ledger.totals("sshd") == Totals(failures=2, tracked=0, bans=3, banned=1)
        await ledger.close()

    asyncio.run(scenario())


def test_a_flush_that_fails_loses_nothing(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ledger.sqlite"

    async def scenario() -> None:
        store = Store.open(path)
        ledger = Ledger.load(store, clock)
        store.connection.execute("PRAGMA query_only = ON")
        ledger.add(ban())
        ledger.count(JAIL, failure("a", 1))
        with pytest.raises(StateError, match="cannot write the ledger"):
            await ledger.flush()
        ledger.count(JAIL, failure("a", 2))
        store.connection.execute("PRAGMA query_only = OFF")
        ledger = await reopened(ledger, path, clock)
        assert ledger.totals("sshd") == Totals(failures=2, tracked=1, bans=1, banned=1)
        await ledger.close()

    asyncio.run(scenario())


def test_flushes_at_the_same_time_share_one_write(tmp_path: Path, clock: Clock) -> None:
    async def scenario() -> list[str]:
        store = Store.open(tmp_path / "ledger.sqlite")
        ledger = Ledger.load(store, clock)
        statements: list[str] = []
        store.connection.set_trace_callback(statements.append)
        ledger.add(ban())
        await asyncio.gather(*(ledger.flush() for _ in range(10)))
        await ledger.close()
        return [statement for statement in statements if statement == "COMMIT"]

    assert len(asyncio.run(scenario())) == 1


def test_an_idle_ledger_writes_nothing(tmp_path: Path, clock: Clock) -> None:
    async def scenario() -> list[str]:
        store = Store.open(tmp_path / "ledger.sqlite")
        ledger = Ledger.load(store, clock)
        ledger.add(ban())
        ledger.count(JAIL, failure("a", 10_000))
        await ledger.flush()
        statements: list[str] = []
        store.connection.set_trace_callback(statements.append)
        for _ in range(10):
            clock.now += 0.5
            ledger.expire(clock.now)
            await ledger.flush()
        idle = statements.copy()
        ledger.expire(20_000)
        await ledger.flush()
        assert statements
        await ledger.close()
        return idle

    assert asyncio.run(scenario()) == []


def test_a_ban_is_whole_before_and_during_and_after_it_is_written(tmp_path: Path, clock: Clock) -> None:
    async def scenario() -> None:
        ledger = Ledger.open(tmp_path / "ledger.sqlite", clock=clock)
        stored = ledger.add(ban(matches=("one", "two"), fields={"user": "x"}))
        assert ledger.active() == [stored]
        writing = asyncio.create_task(ledger.flush())
        while not writing.done():
            assert ledger.active() == [stored]
            await asyncio.sleep(0)
        assert ledger.active() == ledger.find("192.0.2.1") == [stored]
        longer = ledger.add(ban(length=900, matches=("three",)))
        assert ledger.active() == [longer]
        await ledger.flush()
        assert ledger.remove("sshd", "192.0.2.1") == longer
        ends = [ledger.add(ban(id, length=length, matches=(id,))) for id, length in (("b", 200), ("a", 100))]
        await ledger.flush()
        assert ledger.expire(20_000) == ends[::-1]
        await ledger.close()

    asyncio.run(scenario())


def test_what_is_due_is_light_and_whole_for_whoever_asks(tmp_path: Path, clock: Clock) -> None:
    async def scenario() -> None:
        ledger = Ledger.open(tmp_path / "ledger.sqlite", clock=clock)
        ledger.add(ban(matches=("one", "two"), fields={"user": "x"}, notes={"country": "NL"}))
        ledger.add(ban("other", jail="other"))
        (before,) = ledger.desired("sshd")
        await ledger.flush()
        (after,) = ledger.desired("sshd")
        assert [after] == [before] == ledger.active("sshd")
        assert after != ledger.active("other")[0]
        assert (await asyncio.to_thread(lambda: after.matches)) == ("one", "two")
        assert replace(after, jail="new") == replace(ledger.active("sshd")[0], jail="new")
        (late,) = ledger.desired("sshd")
        ledger.remove("sshd", "192.0.2.1")
        await ledger.flush()
        assert (late.id, late.matches, dict(late.notes)) == ("192.0.2.1", (), {})
        assert after.fields == {"user": "x"}
        await ledger.close()
        assert late.fields == {}

    asyncio.run(scenario())
