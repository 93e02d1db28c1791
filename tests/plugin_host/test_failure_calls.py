"""The hooks that are called for every failure: who is asked, who need not be, and what one that fails costs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator

import pytest

from guardhooks import Ban, Failure, Ignore, Jail, PluginError, Record, hookimpl, skip_first_time_offenders
from guardhooks.plugins import Plugins
from tests.kit.guards import make_guard

JAIL = Jail("sshd", maxretry=3)
FAILURE = Failure("sshd", "198.51.100.1", 1000.0, address="198.51.100.1")


class Threshold:
    """Stands for the decider in the box; `asked` are the numbers of failures that it was asked about."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    @hookimpl(trylast=True)
    @skip_first_time_offenders
    def decide_ban(self, jail: Jail, failure: Failure, record: Record) -> list[Ban] | None:
        self.asked.append(record.failures)
        full = len(record.times) >= jail.maxretry and record.active is None
        return [Ban(failure.id, jail.name, failure.time, 600.0)] if full else None


class Witness:
    """A third party's wrapper that sees every failure."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    @hookimpl(wrapper=True)
    def decide_ban(self, record: Record) -> Generator[None, list[Ban] | None, list[Ban] | None]:
        self.seen.append(record.failures)
        return (yield)


class Broken:
    @hookimpl
    def on_failure(self) -> Ignore | None:
        raise RuntimeError("boom")

    @hookimpl
    @skip_first_time_offenders
    def decide_ban(self) -> list[Ban] | None:
        raise RuntimeError("boom")


def loaded(*plugins: object) -> Plugins:
    facade = Plugins()
    for plugin in plugins:
        facade.register(plugin, type(plugin).__name__.lower())
    return facade


def decided(plugins: Plugins, failures: int) -> list[Ban]:
    """The bans that so many failures of one id lead to, in a guard of their own."""

    async def story() -> list[Ban]:
        guard = make_guard(plugins, JAIL)
        await guard.start()
        bans = [ban for _ in range(failures) for ban in await guard.failure("sshd", FAILURE.id, time=1000.0)]
        await guard.stop()
        return bans

    return asyncio.run(story())


def answered(plugins: Plugins) -> Ignore | None:
    async def ask() -> Ignore | None:
        answer = plugins.on_failure(JAIL, FAILURE)
        return await answer if isinstance(answer, Awaitable) else answer

    return asyncio.run(ask())


def test_who_skips_first_time_offenders_is_asked_when_it_matters() -> None:
    threshold = Threshold()
    assert [ban.id for ban in decided(loaded(threshold), 3)] == [FAILURE.id]
    assert threshold.asked == [3]


def test_whoever_has_been_banned_is_no_first_time_offender() -> None:
    threshold = Threshold()
    decided(loaded(threshold), 5)
    assert threshold.asked == [3, 1, 2]


def test_who_does_not_skip_them_sees_every_failure_and_so_do_the_others() -> None:
    threshold, witness = Threshold(), Witness()
    assert [ban.id for ban in decided(loaded(threshold, witness), 3)] == [FAILURE.id]
    assert witness.seen == threshold.asked == [1, 2, 3]


def test_whoever_is_switched_off_is_asked_about_nobody() -> None:
    threshold, broken = Threshold(), Broken()
    plugins = loaded(threshold, broken)
    assert len(decided(plugins, 20)) == 1
    assert list(plugins.faults.switched_off("sshd")) == ["broken"]
    assert plugins.faults.total["broken", "sshd"] == 5


def test_the_mark_is_for_decide_ban_alone() -> None:
    class Marked:
        @hookimpl
        @skip_first_time_offenders
        def on_failure(self) -> Ignore | None:
            return None

    with pytest.raises(PluginError, match="only for decide_ban"):
        loaded(Marked())


def test_a_plain_function_may_answer_later() -> None:
    class Later:
        @hookimpl
        def on_failure(self, failure: Failure) -> Awaitable[Ignore | None]:
            return self._answer(failure)

        async def _answer(self, failure: Failure) -> Ignore | None:
            await asyncio.sleep(0)
            return Ignore(failure.id)

    plugins = loaded(Later())
    assert answered(plugins) == Ignore(FAILURE.id)
    assert not plugins.faults.total


def test_those_behind_an_async_one_are_asked_when_it_has_answered() -> None:
    class Last:
        @hookimpl(trylast=True)
        def on_failure(self) -> Ignore | None:
            return Ignore("last")

    class Slow:
        @hookimpl
        async def on_failure(self) -> Ignore | None:
            return None

    class SlowAndBroken:
        @hookimpl
        async def on_failure(self) -> Ignore | None:
            raise RuntimeError("boom")

    plugins = loaded(Last(), Slow(), Broken(), SlowAndBroken())
    assert answered(plugins) == Ignore("last")
    assert dict(plugins.faults.total) == {("broken", "sshd"): 1, ("slowandbroken", "sshd"): 1}


def test_a_wrong_answer_is_a_fault_whenever_it_comes() -> None:
    class Liar:
        @hookimpl
        async def on_failure(self) -> str:
            return "yes"

    plugins = loaded(Liar())
    assert answered(plugins) is None
    assert plugins.faults.total["liar", "sshd"] == 1
