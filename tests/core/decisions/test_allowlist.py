"""Who is put on the allowlist of the running guard is unbanned at once, and not banned over restarts and reloads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from guardhooks import ActionError, Guard, Jail, RequestError, StateError
from guardhooks.plugins import Plugins
from tests.kit.clock import Clock
from tests.kit.guards import make_guard, settings

ADDRESS = "198.51.100.7"
JAILS = (Jail("sshd", maxretry=1), Jail("web", maxretry=1))


def run(state: Path, work: Callable[[Guard], Awaitable[None]], clock: Clock | None = None) -> None:
    """Start a guard over the state folder, work with it, stop it."""
    guard = make_guard(Plugins.load(), *JAILS, state=state, clock=clock or Clock())

    async def life() -> None:
        await guard.start()
        try:
            await work(guard)
        finally:
            await guard.stop()

    asyncio.run(life())


async def ask(guard: Guard, name: str, **arguments: object) -> Any:  # noqa: ANN401 -- any answer
    request = guard.plugins.requests(reserved=()).get(name)
    assert request is not None
    return await request.run(**request.parse(arguments))


def test_an_address_is_unbanned_and_fails_without_being_banned(tmp_path: Path) -> None:
    async def work(guard: Guard) -> None:
        await guard.ban("sshd", ADDRESS)
        answer = await ask(guard, "ignore_add", ids=[ADDRESS], reason="the office")
        assert answer["unbanned"] == [{"id": ADDRESS, "jail": "sshd"}]
        assert await guard.failure("sshd", ADDRESS) == []
        with pytest.raises(ActionError, match="guardhooks ignore list"):
            await guard.ban("sshd", ADDRESS)

    run(tmp_path, work)


def test_it_is_kept_over_a_restart_and_a_reload(tmp_path: Path) -> None:
    async def before(guard: Guard) -> None:
        await ask(guard, "ignore_add", ids=["198.51.100.0/24"])

    async def after(guard: Guard) -> None:
        assert await guard.failure("sshd", ADDRESS) == []
        await guard.reload(settings(*JAILS), Plugins.load())
        assert await guard.failure("web", ADDRESS) == []
        assert [entry["id"] for entry in await ask(guard, "ignore_list")] == ["198.51.100.0/24"]

    run(tmp_path, before)
    run(tmp_path, after)
    assert (tmp_path / "allowlist.json").stat().st_mode & 0o777 == 0o600


def test_one_jail_and_a_time_limit_it(tmp_path: Path) -> None:
    clock = Clock()

    async def work(guard: Guard) -> None:
        await ask(guard, "ignore_add", ids=[ADDRESS], jail="sshd", length=60)
        assert await guard.failure("sshd", ADDRESS) == []
        assert len(await guard.failure("web", ADDRESS)) == 1
        clock.now += 61
        assert len(await guard.failure("sshd", ADDRESS)) == 1
        assert await ask(guard, "ignore_list") == []

    run(tmp_path, work, clock)


def test_a_network_that_holds_somebody_on_the_list_is_not_banned(tmp_path: Path) -> None:
    async def work(guard: Guard) -> None:
        await ask(guard, "ignore_add", ids=[ADDRESS])
        with pytest.raises(ActionError, match=ADDRESS):
            await guard.ban("sshd", "198.51.100.0/24")
        await guard.ban("sshd", "203.0.113.0/24")

    run(tmp_path, work)


def test_who_is_removed_can_be_banned_again(tmp_path: Path) -> None:
    async def work(guard: Guard) -> None:
        await ask(guard, "ignore_add", ids=[ADDRESS])
        answer = await ask(guard, "ignore_remove", ids=[ADDRESS, "203.0.113.1"])
        assert answer["absent"] == ["203.0.113.1"]
        assert len(await guard.failure("sshd", ADDRESS)) == 1

    run(tmp_path, work)


def test_everybody_cannot_be_put_on_the_list(tmp_path: Path) -> None:
    async def work(guard: Guard) -> None:
        with pytest.raises(RequestError, match="everybody"):
            await ask(guard, "ignore_add", ids=["0.0.0.0/0"])
        with pytest.raises(RequestError, match="no jail"):
            await ask(guard, "ignore_add", ids=[ADDRESS], jail="nope")

    run(tmp_path, work)


def test_a_list_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    async def work(guard: Guard) -> None:
        (tmp_path / "allowlist.new").mkdir()
        with pytest.raises(StateError, match="nothing was changed"):
            await ask(guard, "ignore_add", ids=[ADDRESS])
        assert len(await guard.failure("sshd", ADDRESS)) == 1

    run(tmp_path, work)


@pytest.mark.parametrize("text", ["{", "[]", '{"entries": [{"id": 7}]}', '{"entries": [{}]}', '{"entries": [[]]}'])
def test_a_damaged_list_is_kept_aside_and_told(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "allowlist.json").write_text(text)

    async def work(guard: Guard) -> None:
        assert len(await guard.failure("sshd", ADDRESS)) == 1

    run(tmp_path, work)
    assert (tmp_path / "allowlist.damaged").read_text() == text
    assert "is damaged" in caplog.text
