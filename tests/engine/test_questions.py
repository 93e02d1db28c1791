"""Failures that wait for what a plugin says: bounded, each jail by itself, and none is lost without a word."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from guardhooks import Failure, Ignore, Jail
from guardhooks.engine.questions import Questions
from tests.kit.waiting import until


class Scene:
    """`answers` are given one after the other, as `gate` lets them."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked = 0
        self.answered: list[tuple[str, str, Ignore | None]] = []
        self.questions = Questions(lambda jail, failure, said: self.answered.append((jail.name, failure.id, said)))

    def ask(self, jail: str, number: int, *, at_once: bool = False) -> bool:
        failure = Failure(jail, f"id{number}", 1.0)
        return self.questions.ask(Jail(jail), failure, self._answer(at_once=at_once))

    async def _answer(self, *, at_once: bool) -> Ignore | None:
        self.asked += 1
        if not at_once:
            await self.gate.wait()
        return None


def play(story: Coroutine[object, object, None]) -> None:
    asyncio.run(story)


def test_a_jail_whose_answers_hang_asks_few_at_a_time_and_holds_up_no_other() -> None:
    async def story() -> None:
        scene = Scene()
        assert all(scene.ask("slow", number) for number in range(100))
        assert scene.ask("quick", 1, at_once=True)
        await until(lambda: scene.answered == [("quick", "id1", None)])
        assert scene.asked == 9
        scene.gate.set()
        await until(lambda: len(scene.answered) == 101)

    play(story())


def test_of_a_flood_those_beyond_the_bound_count_unasked_and_it_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        scene = Scene()
        taken = [scene.ask("slow", number) for number in range(1500)]
        assert taken.count(True) == 1000
        assert caplog.text.count("more count unasked") == 1
        scene.gate.set()
        await until(lambda: len(scene.answered) == 1000)

    play(story())


def test_what_has_no_answer_at_the_stop_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        scene = Scene()
        for number in range(20):
            scene.ask("slow", number)
        await asyncio.sleep(0)
        await scene.questions.close(0.01)
        assert "20 failures not counted" in caplog.text

    play(story())


def test_the_stop_waits_for_answers_that_come_in_time() -> None:
    async def story() -> None:
        scene = Scene()
        for number in range(20):
            scene.ask("slow", number)
        asyncio.get_running_loop().call_later(0.01, scene.gate.set)
        await scene.questions.close(20)
        assert len(scene.answered) == 20

    play(story())
