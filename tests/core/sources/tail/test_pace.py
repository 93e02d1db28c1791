"""How much is read at a time follows what its taker can digest."""

from __future__ import annotations

from guardhooks_core.sources.tail.reader import BLOCK
from guardhooks_core.sources.tail.source import LEAST, Pace


def test_who_is_slow_gets_less_and_less_down_to_a_least() -> None:
    pace = Pace()
    sizes = []
    for _ in range(10):
        pace.digested(pace.size, 1.0)
        sizes.append(pace.size)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == LEAST


def test_who_is_quick_gets_more_up_to_a_block() -> None:
    pace = Pace()
    for _ in range(10):
        pace.digested(pace.size, 0.001)
    assert pace.size == BLOCK


def test_a_few_lines_are_no_reason_to_read_more() -> None:
    pace = Pace()
    before = pace.size
    for _ in range(10):
        pace.digested(100, 0.0001)
    assert pace.size == before


def test_a_few_lines_that_take_long_make_the_next_block_small() -> None:
    pace = Pace()
    pace.digested(10_000, 1.0)
    assert pace.size == LEAST
