"""Names are looked up off the loop, once, within bounds; hostile ones never."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from guardhooks.engine.resolver import Resolver


class Names:
    """A resolver that knows some names, counts what it is asked, and can be told to wait."""

    def __init__(self, **names: Sequence[str]) -> None:
        self.names = names
        self.asked: list[str] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, name: str) -> Sequence[str]:
        self.asked.append(name)
        self.go_on.wait(10)
        if name not in self.names:
            raise OSError("not found")
        return self.names[name]


def run(scenario: Callable[[], object]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]


def test_answers_are_canonical_and_remembered_for_five_minutes() -> None:
    names = Names(host=["2001:DB8:0::1", "::ffff:192.0.2.1", "192.0.2.1"])
    now = [0.0]

    async def scenario() -> None:
        resolver = Resolver(names, clock=lambda: now[0])
        for now[0], asked in ((0, 1), (299, 1), (301, 2)):
            assert await resolver.addresses("HOST.") == ("2001:db8::1", "192.0.2.1")
            assert len(names.asked) == asked
        resolver.close()

    run(scenario)


def test_unknown_names_are_asked_again_after_a_minute() -> None:
    names = Names()
    now = [0.0]

    async def scenario() -> None:
        resolver = Resolver(names, clock=lambda: now[0])
        for now[0], asked in ((0, 1), (59, 1), (61, 2)):
            assert await resolver.addresses("nobody") == ()
            assert len(names.asked) == asked
        resolver.close()

    run(scenario)


def test_queries_at_the_same_time_share_one_look_up() -> None:
    names = Names(host=["192.0.2.1"])
    names.go_on.clear()

    async def scenario() -> None:
        resolver = Resolver(names, clock=lambda: 0.0)
        queries = [asyncio.create_task(resolver.addresses("host")) for _ in range(20)]
        await asyncio.sleep(0)
        queries[0].cancel()
        names.go_on.set()
        answers = await asyncio.gather(*queries[1:])
        assert set(answers) == {("192.0.2.1",)}
        assert names.asked == ["host"]
        resolver.close()

    run(scenario)


@pytest.mark.parametrize(
    "name", ["", "-oProxyCommand=x", "a b", "$(reboot)", "x" * 254, "né", "a\0b", "host\n", "a/b", "%s", "fe80::1%eth0"]
)
def test_hostile_names_are_never_asked_for(name: str) -> None:
    names = Names()

    async def scenario() -> None:
        resolver = Resolver(names, clock=lambda: 0.0)
        assert await resolver.addresses(name) == ()
        resolver.close()

    run(scenario)
    assert names.asked == []


def test_addresses_need_no_look_up() -> None:
    names = Names()

    async def scenario() -> None:
        resolver = Resolver(names, clock=lambda: 0.0)
        assert await resolver.addresses("2001:DB8::1") == ("2001:db8::1",)
        resolver.close()

    run(scenario)
    assert names.asked == []


def test_a_slow_answer_is_none_and_a_flood_of_names_is_bounded() -> None:
    names = Names()
    names.go_on.clear()

    async def scenario() -> None:
        resolver = Resolver(names, clock=lambda: 0.0, timeout=0.05)
        answers = await asyncio.gather(*(resolver.addresses(f"name{number}") for number in range(1000)))
        assert set(answers) == {()}
        assert len(names.asked) <= 256
        names.go_on.set()
        resolver.close()

    run(scenario)


def test_the_names_used_longest_ago_are_dropped() -> None:
    names = Names(**{f"n{number}": ["192.0.2.1"] for number in range(5)})

    async def scenario() -> None:
        resolver = Resolver(names, clock=lambda: 0.0, entries=4)
        for name in ("n0", "n1", "n2", "n3", "n0", "n4"):
            await resolver.addresses(name)
        names.asked.clear()
        for name in ("n2", "n3", "n0", "n4", "n1"):
            await resolver.addresses(name)
        assert names.asked == ["n1"]
        resolver.close()

    run(scenario)


@pytest.mark.parametrize(
    "text", ["8", "10.1", "256.1.1.1", "1.2.3.4.", "0x7f000001", "host.0x8", "010", "-host", "a b"]
)
def test_what_is_no_name_is_never_asked_of_the_resolver(text: str) -> None:
    names = Names(**{text: ["0.0.0.8"], text.removesuffix("."): ["0.0.0.8"]})

    async def ask() -> tuple[str, ...]:
        resolver = Resolver(names, clock=lambda: 0.0)
        try:
            return await resolver.addresses(text)
        finally:
            resolver.close()

    assert asyncio.run(ask()) == ()
    assert names.asked == []
