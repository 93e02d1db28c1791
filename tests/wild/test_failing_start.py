"""An `actionstart` whose last line fails: bans are tried all the same, and the jail says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.daemon import Daemon
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


def test_bans_are_in_force_though_the_start_fails(tmp_path: Path) -> None:
    steps = [Step("ban", "192.0.2.5"), Step("ban", "192.0.2.6")]
    programs = {"listtool", "vanishedhelper"}
    story = Story(_ACTIONS, steps, programs, _prepare, jails(_ACTIONS), failing="vanishedhelper")
    theirs = through_fail2ban(story, tmp_path / "theirs")
    states: list[dict[str, Any]] = []

    def look(daemon: Daemon) -> None:
        states.extend(json.loads(daemon.command("status", name, "--json").stdout) for name in _ACTIONS)

    ours = through_us(story, tmp_path / "ours", theirs, look)
    assert documented("bans are tried all the same, the jail is degraded with the reason")
    for name in _ACTIONS:
        added = [f"listtool <add> <{name}> <192.0.2.{last}>" for last in (5, 6)]
        for calls in (theirs, ours):
            made = [call for step in calls[name].values() for call in step if "<add>" in call]
            assert list(dict.fromkeys(made)) == added
            assert f"listtool <destroy> <{name}>" in calls[name]["stop"]
    for state in states:
        text = json.dumps(state)
        assert "degraded" in text
        assert "actionstart: exit status" in text
        assert "bans are tried all the same" in text


def _prepare_check(config: Path) -> None:
    text = _FILE.replace("              vanishedhelper <name>\n", "") + "actioncheck = checktool <name>\n"
    (config / "action.d" / "doubtful.conf").write_text(marked(text))


def test_a_check_that_always_fails_changes_nothing_that_is_called(tmp_path: Path) -> None:
    steps = [Step("ban", "192.0.2.5"), Step("ban", "192.0.2.6"), Step("unban", "192.0.2.5")]
    story = Story(["doubtful"], steps, {"listtool", "checktool"}, _prepare_check, jails(["doubtful"]), "checktool")
    theirs = through_fail2ban(story, tmp_path / "theirs")
    said: list[str] = []
    ours = through_us(
        story, tmp_path / "ours", theirs, lambda daemon: said.append(daemon.command("status", "doubtful").stdout)
    )
    assert ours["doubtful"] == theirs["doubtful"]
    assert "degraded" in said[0]
    assert "though started just before" in said[0]
