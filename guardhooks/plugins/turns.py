"""Asks implementations that may be slow, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from guardhooks.plugins.calls import Call, Implementation, traced


async def next_answer(
    chain: Sequence[Implementation], place: int, call: Call, executor: Executor | None, *, trace: bool
) -> tuple[int, object]:
    """The first answer that is not None, from `place` on, and the place of who gives it; an error is an answer, too.

    Plain functions run in `executor`, those that stand in a row together: each way to a thread and back takes longer
    than most of them take to say that it is not their action. There may be no answer though some have not been asked.
    """
    implementation = chain[place]
    try:
        if not implementation.is_async:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(executor, _asked_in_a_row, chain, place, call, trace)
        answer = await implementation.call(*call.values)
    except Exception as error:  # noqa: BLE001 -- the plugin boundary
        return place, error
    if trace:
        traced(implementation, call, answer)
    return place, answer


def _asked_in_a_row(chain: Sequence[Implementation], place: int, call: Call, trace: bool) -> tuple[int, object]:
    """The plain functions from `place` on, up to the first answer or to the next that is none."""
    while True:
        try:
            answer = chain[place].call(*call.values)
        except Exception as error:  # noqa: BLE001 -- the plugin boundary
            return place, error
        if trace:
            traced(chain[place], call, answer)
        if answer is not None or place + 1 == len(chain) or chain[place + 1].is_async:
            return place, answer
        place += 1
