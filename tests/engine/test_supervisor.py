"""A background task that dies by a bug is noticed."""

from __future__ import annotations

import asyncio

import pytest

from guardhooks.engine.supervisor import Supervisor


def test_the_first_crash_is_told_and_a_cancelled_task_is_none() -> None:
    async def story() -> None:
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
        supervisor = Supervisor()

        async def well() -> None:
            await asyncio.sleep(0)

        async def ill() -> None:
            raise ZeroDivisionError("a bug")

        supervisor.spawn(asyncio.sleep(60), "sleeper").cancel()
        supervisor.spawn(well(), "well")
        await supervisor.wait_for("well")
        supervisor.spawn(ill(), "ill")
        with pytest.raises(ZeroDivisionError, match="a bug"):
            async with asyncio.timeout(10):
                await supervisor.crashed()
        assert told == ["task ill died"]

    asyncio.run(story())
