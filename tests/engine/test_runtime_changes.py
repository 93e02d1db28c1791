"""What is changed in the running guard has effect at once, lasts until the next reload, and costs no ban."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from guardhooks import ConfigError, Guard
from guardhooks.plugins import Plugins
from guardhooks.settings import load
from tests.kit.clock import Clock
from tests.kit.guards import plain_config
from tests.kit.waiting import until

ADDRESS = "198.51.100.7"


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())  # lines are received by the system's clock


def guard_over(folder: Path, clock: Clock) -> Guard:
    """A guard with the jail `plain`: three failures within ten minutes."""
    (folder / "log").touch()
    plugins = Plugins.load()
    settings = load(plain_config(folder / "config", folder / "log"), plugins.declared_options())
    return Guard(settings, plugins, clock=clock)


def now(clock: Clock) -> str:
    """The date of a log line."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(clock()))


def run(folder: Path, clock: Clock, work: Any) -> Guard:  # noqa: ANN401 -- an async function of a guard
    guard = guard_over(folder, clock)

    async def life() -> None:
        await guard.start()
        try:
            await work(guard)
        finally:
            await guard.stop()

    asyncio.run(life())
    return guard


def test_a_changed_limit_decides_the_next_ban_and_keeps_what_was_counted(tmp_path: Path, clock: Clock) -> None:
    async def work(guard: Guard) -> None:
        await guard.failure("plain", ADDRESS)
        await guard.changes.set("plain", "maxretry", "2")
        await guard.changes.set("plain", "bantime", "2h")
        [ban] = await guard.failure("plain", ADDRESS)
        assert ban.length == 7200

    run(tmp_path, clock, work)


def test_a_changed_regex_finds_new_lines(tmp_path: Path, clock: Clock) -> None:
    async def work(guard: Guard) -> None:
        await guard.changes.set("plain", "maxretry", "1")
        await guard.changes.set("plain", "failregex", r"^\s*refused <ADDR>$")
        with (tmp_path / "log").open("a") as log:
            log.write(f"{now(clock)} login failed from 203.0.113.1\n{now(clock)} refused {ADDRESS}\n")
        await until(lambda: guard.is_banned(ADDRESS))
        assert not guard.is_banned("203.0.113.1")

    run(tmp_path, clock, work)


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("maxretry", "many", "whole number"),
        ("bantime", "soon", "not a time"),
        ("failregex", "^no offender$", "names no offender"),
        ("failregex", "^(<ADDR>$", "does not compile"),
        ("maxrety", "3", "did you mean 'maxretry'"),
        ("filter", "sshd", "reload"),
        ("port", "22", "reload"),
        ("action.nothing.x", "1", "no action"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason_and_nothing_changes(
    tmp_path: Path, clock: Clock, key: str, value: str, why: str
) -> None:
    async def work(guard: Guard) -> None:
        before = guard.jails["plain"]
        with pytest.raises(ConfigError, match=why):
            await guard.changes.set("plain", key, value)
        assert guard.jails["plain"] == before
        assert guard.changes.all() == ()

    run(tmp_path, clock, work)


def test_status_shows_who_changed_what_and_a_reload_takes_it_back(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(guard: Guard) -> None:
        await guard.changes.set("plain", "maxretry", "9", uid=1000)
        [change] = guard.jail_status("plain").changes
        assert (change.key, change.value, change.former, change.uid) == ("maxretry", "9", "3", 1000)
        assert "by uid 1000" in caplog.text
        await guard.reload(guard.settings, guard.plugins)
        assert guard.jail_status("plain").changes == ()
        assert "the reload takes back what uid 1000 changed: maxretry = 9" in caplog.text

    caplog.set_level("INFO", logger="guardhooks")
    run(tmp_path, clock, work)


def test_one_change_can_be_taken_back(tmp_path: Path, clock: Clock) -> None:
    async def work(guard: Guard) -> None:
        await guard.changes.set("plain", "maxretry", "9")
        await guard.changes.set("plain", "findtime", "1h")
        assert await guard.changes.unset("plain", "maxretry")
        assert not await guard.changes.unset("plain", "maxretry")
        assert (guard.jails["plain"].maxretry, guard.jails["plain"].findtime) == (3, 3600)

    run(tmp_path, clock, work)


def test_an_address_that_becomes_ignored_is_unbanned(tmp_path: Path, clock: Clock) -> None:
    async def work(guard: Guard) -> None:
        await guard.ban("plain", ADDRESS)
        await guard.changes.set("plain", "ignoreip", ADDRESS)
        assert not guard.is_banned(ADDRESS)

    run(tmp_path, clock, work)


def test_a_paused_jail_reads_no_log_and_goes_on_where_it_was_when_its_time_is_over(
    tmp_path: Path, clock: Clock
) -> None:
    async def work(guard: Guard) -> None:
        await guard.ban("plain", "203.0.113.9")
        await guard.changes.set("plain", "maxretry", "1")
        await guard.changes.pause("plain", 60)
        with (tmp_path / "log").open("a") as log:
            log.write(f"{now(clock)} login failed from {ADDRESS}\n")
        assert guard.status().jails[0].state == "paused"
        assert guard.jail_status("plain").sources == ()
        assert guard.is_banned("203.0.113.9")
        clock.now += 61
        await until(lambda: guard.is_banned(ADDRESS))
        assert guard.status().jails[0].state != "paused"

    run(tmp_path, clock, work)


def test_a_stopped_jail_has_no_bans_and_is_shown_until_it_is_started(tmp_path: Path, clock: Clock) -> None:
    async def work(guard: Guard) -> None:
        await guard.ban("plain", ADDRESS)
        await guard.changes.stop("plain", uid=0)
        assert not guard.is_banned(ADDRESS)
        assert [(jail.name, jail.state) for jail in guard.status().jails] == [("plain", "stopped")]
        assert await guard.changes.start("plain")
        assert not await guard.changes.start("plain")
        assert list(guard.jails) == ["plain"]

    run(tmp_path, clock, work)
