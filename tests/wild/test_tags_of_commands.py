"""What each command of an action sees of each tag: recorded from Debian's fail2ban, and the same with us."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from tests.wild.documented import documented
from tests.wild.fakes import CHECK, marked
from tests.wild.story import MISSING, Calls, Step, Story, jails, tell

pytestmark = [
    pytest.mark.skipif(MISSING, reason="Debian's fail2ban is not installed"),
    pytest.mark.timeout(400),
]

_TAGS: Final = (
    "ip", "fid", "family", "ip-rev", "ip-host", "failures", "time", "bantime", "bancount", "matches", "ipmatches",
    "ipjailmatches", "ipfailures", "ipjailfailures", "restored", "F-ID", "F-USER", "F-IP4", "F-IP6", "F-NOTHING",
    "jail.banned", "jail.banned_total", "jail.found", "jail.found_total", "name", "actname", "timeout",
)  # fmt: skip
_COMMANDS: Final = ("start", "stop", "flush", "check", "ban", "unban")
_ACTIONS: Final = ("probe", "families", "repairing")
_STEPS: Final = (
    Step("ban", "192.0.2.5"), Step("ban", "2001:db8::5"), Step("unban", "192.0.2.5"), Step("fail", "ban check"),
    Step("ban", "192.0.2.6"),
)  # fmt: skip
_OF_A_BAN: Final = ("ban", "unban")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def _prepare(config: Path) -> None:
    for name in _ACTIONS:
        commands = (*_COMMANDS, "repair") if name == "repairing" else _COMMANDS
        lines = [f"action{each} = probe {each} {_probe()}\n" for each in commands]
        more = "[Init]\nbantime = 600\nx = 4\n" + ("[Init?family=inet6]\nx = 6\n" if name == "families" else "")
        (config / "action.d" / f"{name}.conf").write_text(marked("[Definition]\n" + "".join(lines) + more))


def _probe() -> str:
    return " ".join(f'"{tag}=<{tag}>"' for tag in _TAGS)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Calls, Calls]:
    story = Story(_ACTIONS, _STEPS, {"probe"}, _prepare, jails(_ACTIONS))
    return tell(story, tmp_path_factory.mktemp("tags"))


def _seen(calls: Calls, action: str) -> dict[str, dict[str, str]]:
    """The tags of the first call of each command (of each family, where those differ) in each step, by these."""
    seen: dict[str, dict[str, str]] = {}
    for step, lines in calls[action].items():
        made = [*lines, *calls[action + CHECK][step]]
        for call in re.split(r"^probe ", "\n".join(made), flags=re.MULTILINE)[1:]:
            command, *values = re.findall(r"<([^<>]*(?:<[^>]*>)?[^<>]*)>", call)
            tags = dict(value.split("=", 1) for value in values)
            family = f"{tags['family']} " if action == "families" else ""
            seen.setdefault(f"{command} {family}in {step}", tags)
    return seen


def _expected(theirs: dict[str, dict[str, str]], key: str, *, unnamed: bool) -> dict[str, str]:
    """What fail2ban fills in, apart from what the page of differences lists."""
    command = key.partition(" ")[0]
    values = dict(theirs[key])
    if command in {"check", "repair"} and documented("`actioncheck` and `actionrepair` get most tags as they are"):
        assert values["bantime"] == "<bantime>"
        values = next(dict(values) for each, values in theirs.items() if each.startswith("start "))
    if command not in _OF_A_BAN and unnamed and documented("`<family>` is empty in the commands that belong to no ban"):
        values["family"] = ""
    if documented("`<F-ID>` is empty where"):
        values["F-ID"] = values["fid"]
    if documented("`<jail.found>`"):
        del values["jail.found"]
    if command not in _OF_A_BAN and documented("`<jail.banned>` and the like stay"):
        values = {tag: value for tag, value in values.items() if not tag.startswith("jail.")}
    if documented("`<ipfailures>`"):
        del values["ipfailures"], values["ipjailfailures"]
    return values


def _steady(values: dict[str, str], tags: Iterable[str]) -> dict[str, str]:
    """What can be compared between two runs."""
    steady = {tag: _DATE.sub("#", values.get(tag, "nothing")) for tag in tags}
    assert documented("`<time>` is a fraction")
    assert re.fullmatch(r"\d{10}(\.\d+)?", steady["time"])
    return {**steady, "time": "#"}


@pytest.mark.parametrize("action", _ACTIONS)
def test_every_tag_in_every_command_is_what_fail2ban_makes_of_it(told: tuple[Calls, Calls], action: str) -> None:
    theirs, ours = (_seen(calls, action) for calls in told)
    commands = {key.partition(" ")[0] for key in theirs}
    assert commands >= {"start", "check", "ban", "unban", "stop", "flush"} - (
        {"stop"} if action == "repairing" else set()
    )
    for key in theirs:
        expected = _expected(theirs, key, unnamed=action != "families")
        assert _steady(ours[key], expected) == _steady(expected, expected), key


def test_the_ban_time_of_the_jail_reaches_commands_that_belong_to_no_ban(told: tuple[Calls, Calls]) -> None:
    for calls in told:
        seen = _seen(calls, "probe")
        for command in ("start in start", "flush in stop", "stop in stop"):
            assert (seen[command]["bantime"], seen[command]["failures"], seen[command]["ip"]) == ("3600", "0", "")
