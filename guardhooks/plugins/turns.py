"""Asks implementations that may be slow, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from guardhooks.plugins.calls import Call, Implementation, traced


async def next_answer(
    chain: Sequence[Implementation], call: Call, executor: Executor | None, *, trace: bool
) -> tuple[Implementation, object, Sequence[Implementation]]:
    """The first answer of a chain that is not None, who gives it, and who is left; an error is an answer, too.

    Plain functions run in `executor`, those that stand in a row together: each way to a thread and back takes longer
    than most of them take to say that it is not their action. The answer may be None though some are left.
    """
    implementation, *left = chain
    try:
        if not implementation.is_async:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(executor, _asked_in_a_row, chain, call, trace)
        answer = await implementation.call(*call.values)
    except Exception as error:  # noqa: BLE001 -- the plugin boundary
        return implementation, error, left
    if trace:
        traced(implementation, call, answer)
    return implementation, answer, left


def _asked_in_a_row(
    chain: Sequence[Implementation], call: Call, trace: bool
) -> tuple[Implementation, object, Sequence[Implementation]]:
    """The plain functions that the chain begins with, up to the first answer or to the next that is none."""
    while True:
        implementation, *chain = chain
        try:
            answer = implementation.call(*call.values)
        except Exception as error:  # noqa: BLE001 -- the plugin boundary
            return implementation, error, chain
        if trace:
            traced(implementation, call, answer)
        if answer is not None or not chain or chain[0].is_async:
            return implementation, answer, chain
