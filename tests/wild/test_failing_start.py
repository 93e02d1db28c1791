"""An `actionstart` whose last line fails: bans are tried all the same, and the jail says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.e2e.daemon import Daemon
from tests.kit.waiting import wait_for
from tests.wild.documented import documented
from tests.wild.fakes import marked
from tests.wild.story import MISSING, Step, Story, jails, through_fail2ban, through_us

pytestmark = [
    pytest.mark.skipif(MISSING, reason="Debian's fail2ban is not installed"),
    pytest.mark.timeout(400),
]

_FILE: Final = """[Definition]
actionstart = listtool create <name>
              vanishedhelper <name>
actionstop = listtool destroy <name>
actionban = listtool add <name> <ip>
actionunban = listtool del <name> <ip>
"""
_CHECKED: Final = "actioncheck = listtool test <name>\n"
_ACTIONS: Final = ("lasting", "checking")


def _prepare(config: Path) -> None:
    (config / "action.d" / "lasting.conf").write_text(marked(_FILE))
    (config / "action.d" / "checking.conf").write_text(marked(_FILE + _CHECKED))


def _wait_until_degraded(daemon: Daemon, jail: str, *reasons: str) -> None:
    """Until `status` says so, with the reasons; a command that has just been called may not be over yet."""

    def says_so() -> bool:
        text = " ".join(daemon.command("status", jail).stdout.split())
        return all(each in text for each in ("degraded", *reasons))

    wait_for(says_so, f"{jail} is degraded: {reasons}", 60)


def test_bans_are_in_force_though_the_start_fails(tmp_path: Path) -> None:
    steps = [Step("ban", "192.0.2.5"), Step("ban", "192.0.2.6")]
    programs = {"listtool", "vanishedhelper"}
    story = Story(_ACTIONS, steps, programs, _prepare, jails(_ACTIONS), failing="vanishedhelper")
    theirs = through_fail2ban(story, tmp_path / "theirs")

    def look(daemon: Daemon) -> None:
        for name in _ACTIONS:
            _wait_until_degraded(daemon, name, "actionstart: exit status", "bans are tried all the same")

    ours = through_us(story, tmp_path / "ours", theirs, look)
    assert documented("bans are tried all the same, the jail is degraded with the reason")
    for name in _ACTIONS:
        added = [f"listtool <add> <{name}> <192.0.2.{last}>" for last in (5, 6)]
        for calls in (theirs, ours):
            made = [call for step in calls[name].values() for call in step if "<add>" in call]
            assert list(dict.fromkeys(made)) == added
            assert f"listtool <destroy> <{name}>" in calls[name]["stop"]


def _prepare_check(config: Path) -> None:
    text = _FILE.replace("              vanishedhelper <name>\n", "") + "actioncheck = checktool <name>\n"
    (config / "action.d" / "doubtful.conf").write_text(marked(text))


def test_a_check_that_always_fails_changes_nothing_that_is_called(tmp_path: Path) -> None:
    steps = [Step("ban", "192.0.2.5"), Step("ban", "192.0.2.6"), Step("unban", "192.0.2.5")]
    story = Story(["doubtful"], steps, {"listtool", "checktool"}, _prepare_check, jails(["doubtful"]), "checktool")
    theirs = through_fail2ban(story, tmp_path / "theirs")
    ours = through_us(
        story, tmp_path / "ours", theirs,
        lambda daemon: _wait_until_degraded(daemon, "doubtful", "actioncheck: exit status", "started just before"),
    )  # fmt: skip
    assert ours["doubtful"] == theirs["doubtful"]


def _prepare_lazy(config: Path) -> None:
    (config / "action.d" / "lazy.conf").write_text(marked(_FILE + "actionstart_on_demand = true\n"))


def test_a_start_that_fails_at_the_first_ban_does_not_keep_that_from_being_tried(tmp_path: Path) -> None:
    programs = {"listtool", "vanishedhelper"}
    story = Story(["lazy"], [Step("ban", "192.0.2.5")], programs, _prepare_lazy, jails(["lazy"]), "vanishedhelper")
    theirs = through_fail2ban(story, tmp_path / "theirs")
    ours = through_us(
        story, tmp_path / "ours", theirs,
        lambda daemon: _wait_until_degraded(daemon, "lazy", "actionstart: exit status"),
    )  # fmt: skip
    assert documented("before each ban, which it keeps from being tried")
    added = "listtool <add> <lazy> <192.0.2.5>"
    assert added not in theirs["lazy"]["ban 192.0.2.5"]
    assert added in ours["lazy"]["ban 192.0.2.5"] + ours["lazy"]["stop"]
