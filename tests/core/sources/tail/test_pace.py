"""How much is read at a time follows what its taker can digest."""

from __future__ import annotations

from guardhooks_core.sources.tail.reader import BLOCK
from guardhooks_core.sources.tail.source import LEAST, Pace


def test_a_slow_consumer_gets_ever_smaller_blocks_down_to_a_minimum() -> None:
    pace = Pace()
    sizes = []
    for _ in range(10):
        pace.processed(pace.size, 1.0)
        sizes.append(pace.size)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == LEAST


def test_a_fast_consumer_gets_larger_blocks_up_to_a_maximum() -> None:
    pace = Pace()
    for _ in range(10):
        pace.processed(pace.size, 0.001)
    assert pace.size == BLOCK


def test_a_few_lines_do_not_enlarge_the_block() -> None:
    pace = Pace()
    before = pace.size
    for _ in range(10):
        pace.processed(100, 0.0001)
    assert pace.size == before


def test_a_few_lines_that_take_long_make_the_next_block_small() -> None:
    pace = Pace()
    pace.processed(10_000, 1.0)
    assert pace.size == LEAST
