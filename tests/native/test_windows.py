"""Failure windows in the core and in Python: the same answers and the same bytes on disk, whatever happens."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from guardhooks import FailureLines, FailureWindows, FilterSpec, Jail, WindowChanges
from guardhooks.ledger import Ledger
from guardhooks.ledger.segments import unpacked_segment
from guardhooks.ledger.windows import Budget, Windows
from guardhooks.plugins import Plugins

_core = pytest.importorskip("guardhooks_native._core", reason="the native core is not built")
from guardhooks_native.matcher import NativeMatcher  # noqa: E402 -- it needs the core
from guardhooks_native.windows import NativeWindows  # noqa: E402 -- it needs the core
from tests.native.comparing import block  # noqa: E402 -- it needs the core

IDS = ("a", "b", "c", "192.0.2.1", "ünï", "\udcff", "")
LINES = ("", "one", "two\0nul", "x" * 300, "y" * 3000, "ß" * 2100, "\udcffraw", "z\n")
ids, lines = st.sampled_from(IDS), st.lists(st.sampled_from(LINES), max_size=3)
ages = st.one_of(st.integers(0, 5), st.integers(-700, 700)).map(float)


class BothTables(RuleBasedStateMachine):
    """Two tables side by side, and two more that are loaded from what they write."""

    @initialize(budget=st.sampled_from([10, 1000, 10**6]), limit=st.sampled_from([3, 1000]))
    def begin(self, budget: int, limit: int) -> None:
        self.now = 10_000.0
        self.disk: tuple[list[bytes], list[bytes]] = ([], [])
        self.tables: tuple[FailureWindows, FailureWindows] = (
            Windows(Budget(budget), 600.0, limit),
            NativeWindows(_core.Budget(budget), 600.0, limit),
        )

    def both(self, what: Callable[[FailureWindows], object]) -> None:
        one, other = map(what, self.tables)
        assert one == other

    @rule(
        who=st.lists(st.tuples(ids, ages, lines), min_size=1, max_size=8),
        maxretry=st.sampled_from([-1, 0, 1, 2, 3, 50]),
        maxmatches=st.sampled_from([-1, 0, 1, 2, 5]),
        findtime=st.sampled_from([10.0, 600.0]),
        known=st.lists(ids, max_size=1),
        limit=st.integers(0, 4),
    )
    def count(  # noqa: PLR0917 -- a rule's
        self,
        who: list[tuple[str, float, list[str]]],
        maxretry: int,
        maxmatches: int,
        findtime: float,
        known: list[str],
        limit: int,
    ) -> None:
        jail = Jail("j", maxretry=maxretry, maxmatches=maxmatches, findtime=findtime)
        of = FailureLines(lambda row: who[row][2], range(len(who)))
        names, times = [id for id, _, _ in who], [self.now + age for _, age, _ in who]

        def counted(windows: FailureWindows) -> object:
            place, found = 0, []
            while place < len(who):
                answer = windows.count(jail, names, times, of, lambda: self.now, [known], start=place, limit=limit)
                place = answer[0]
                found.append(answer)
            return found, windows.findtime

        self.both(counted)

    @rule(id=ids)
    def forget(self, id: str) -> None:
        self.both(lambda windows: windows.forget(id))

    @rule()
    def clear(self) -> None:
        self.both(lambda windows: windows.clear())

    @rule(seconds=st.sampled_from([1.0, 100.0, 700.0, -700.0]))
    def expire(self, seconds: float) -> None:
        self.now += seconds
        self.both(lambda windows: windows.expire(self.now))

    @rule(succeeds=st.booleans())
    def write(self, succeeds: bool) -> None:
        taken = [windows.take() for windows in self.tables]
        assert (taken[0] is None) == (taken[1] is None)
        for windows, changes, disk in zip(self.tables, taken, self.disk, strict=True):
            if changes is not None and succeeds:
                _write(windows, changes, disk)
            elif changes is not None:
                windows.put_back(changes)
        assert self.disk[0] == self.disk[1]

    @rule(id=ids)
    def fail_while_it_is_written(self, id: str) -> None:
        """What changed after `take` stays changed, whether or not the write succeeds."""
        taken = [windows.take() for windows in self.tables]
        self.count([(id, 0.0, ["late"]), ("a", 1.0, [])], 3, 5, 600.0, [], 0)
        for windows, changes in zip(self.tables, taken, strict=True):
            if changes is not None:
                windows.put_back(changes)

    @rule(id=ids)
    def change_while_all_is_written(self, id: str) -> None:
        """What is written is what was when it was taken."""
        self.both(lambda windows: windows.mark_all_changed())
        taken = [windows.take() for windows in self.tables]
        self.count([(id, 0.0, ["late"]), ("a", -1.0, [])], 3, 5, 600.0, [], 0)
        self.forget("b")
        self.expire(650.0)
        for windows, changes, disk in zip(self.tables, taken, self.disk, strict=True):
            assert changes is not None
            _write(windows, changes, disk)
        assert self.disk[0] == self.disk[1]

    @precondition(lambda self: self.disk[0])
    @rule()
    def load(self) -> None:
        self.write(succeeds=True)
        loaded = (Windows(Budget(10**6)), NativeWindows(_core.Budget(10**6)))
        for windows, disk in zip(loaded, self.disk, strict=True):
            for segment in disk:
                for id, packed in unpacked_segment(segment):
                    windows.restore(id, packed)
                windows.restored(len(segment))
        self.tables = loaded

    @rule()
    def lose_the_file(self) -> None:
        self.disk[0].clear()
        self.disk[1].clear()
        self.both(lambda windows: windows.mark_all_changed())

    @invariant()
    def answers_are_the_same(self) -> None:
        self.both(lambda windows: (len(windows), windows.is_dirty))
        for id in IDS:
            self.both(lambda windows, id=id: (windows.failures(id), windows.matches(id), windows.times(id)))


def _write(windows: FailureWindows, changes: WindowChanges, disk: list[bytes]) -> None:
    if changes.whole:
        disk.clear()
    disk += changes.segments()
    windows.mark_written(changes)


TestBothTables = BothTables.TestCase
TestBothTables.settings = settings(max_examples=50, stateful_step_count=20)


def test_lines_are_taken_from_the_cores_own_memory_as_python_would_write_them() -> None:
    jail = Jail("j", maxmatches=5)
    native = NativeMatcher([_matched()])
    text = [f"bad 192.0.2.{number % 3} {'ü' * 2100 if number == 4 else number}" for number in range(9)]
    findings = native.feed(block([*text, b"bad 192.0.2.9 \xff\xfe"], 10_000.0))
    assert len(findings) == 10
    tables: Sequence[FailureWindows] = (Windows(Budget()), NativeWindows(_core.Budget(10**6)))
    for windows, own in zip(tables, (None, findings), strict=True):
        lines = FailureLines(lambda row: findings[row].matches, range(1, 10), own)
        windows.count(jail, findings.ids[1:], findings.times[1:], lines, lambda: 10_000.0, limit=100)
    for id in set(findings.ids):
        assert tables[0].matches(id) == tables[1].matches(id) != ()
    assert any("…" in line for line in tables[1].matches("192.0.2.1"))


def _matched() -> Jail:
    return Jail("j", FilterSpec("f", failregex=(r"^bad <HOST> .*$",)))


def test_all_windows_can_be_written_by_one_thread_while_another_counts() -> None:
    jail = Jail("j", maxretry=1000)
    windows = NativeWindows(_core.Budget(10**6))
    names, times = [f"id {number % 9000}" for number in range(18_000)], [1000.0] * 18_000
    slow = FailureLines(lambda row: tuple(f"{row}" for _ in range(3)), range(18_000))
    windows.count(jail, names, times, slow, lambda: 1000.0, limit=1000)
    windows.mark_all_changed()
    changes = windows.take()
    assert changes is not None
    written: list[bytes] = []
    writer = threading.Thread(target=lambda: written.extend(changes.segments()))
    writer.start()
    windows.count(jail, names, [999.0] * 18_000, slow, lambda: 1000.0, limit=1000)
    writer.join()
    found = dict(pair for segment in written for pair in unpacked_segment(segment))
    assert len(found) == 9000
    assert {packed[:4] for packed in found.values() if packed} == {struct.pack("=I", 2)}


def test_a_damaged_window_is_refused() -> None:
    windows = NativeWindows(_core.Budget(10**6))
    for packed in (b"\1\0\0\0\xff\0\0\0" + bytes(8), b"\1\0\0\0\0\0\0\0" + bytes(9), bytes(4) + b"\x08" + bytes(11)):
        with pytest.raises(ValueError, match="damaged"):
            windows.restore("a", packed)
    assert len(windows) == 0


def test_a_ledger_written_with_one_is_read_with_the_other(tmp_path: Path) -> None:
    plugins = Plugins.load()
    jail = Jail("j", maxretry=100)

    async def fail(windows: Callable[[int], object], times: int) -> int:
        ledger = Ledger.open(tmp_path / "ledger", clock=lambda: 1000.0, windows=windows)  # type: ignore[arg-type]
        of = FailureLines(lambda _: ("line",), range(times))
        list(ledger.record_failures(jail, ["a"] * times, [999.0] * times, of))
        number = len(ledger.failure_times("j", "a"))
        await ledger.close()
        return number

    found = [
        asyncio.run(fail(windows, 2))
        for windows in (plugins.failure_windows, lambda _: None, plugins.failure_windows, lambda _: None)
    ]
    assert found == [2, 4, 6, 8]


@given(st.lists(st.tuples(st.text(max_size=5), ages), max_size=200))
def test_many_ids_in_any_order_of_time(failures: list[tuple[str, float]]) -> None:
    jail = Jail("j", maxretry=2, findtime=100.0)
    names, times = [id for id, _ in failures], [1000.0 + age for _, age in failures]
    tables: Sequence[FailureWindows] = (Windows(Budget()), NativeWindows(_core.Budget(10**6)))
    lines = FailureLines(lambda row: (f"{row}",), range(len(failures)))
    written = []
    for windows in tables:
        windows.count(jail, names, times, lines, lambda: 1000.0, limit=1000)
        windows.expire(1300.0)
        changes = windows.take()
        written.append(list(changes.segments()) if changes else [])
    assert written[0] == written[1]
