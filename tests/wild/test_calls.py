"""Every action file of the trees calls the same programs as under Debian's fail2ban, as often and in the same order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.wild.documented import documented
from tests.wild.fakes import CHECK, marked
from tests.wild.story import MISSING, Step, Story, jails, tell
from tests.wild.trees import action_text, files

pytestmark = [
    pytest.mark.skipif(MISSING, reason="Debian's fail2ban is not installed"),
    pytest.mark.timeout(500),
]

_BASES: Final = frozenset({"fw-names", "known-base", "role-note-common"})
"""Files that others include, and that define no action themselves."""
ACTIONS: Final = [file.stem for file in files("action.d") if file.stem not in _BASES]
PROGRAMS: Final = """
archiver bgpctl blocktool csfctl curl dnsupdater dockfw edgectl enqueue feeder firewall-cmd firewall-state gamewall
gamewall6 hostname-fake hostslist ip ip6tables ipaddtool ipset iptables logger mailer nft notifier pager panelctl pfctl
runhooks sendmailer sqlclient statekeeper tablectl ufwctl whois-client
"""
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
STEPS: Final = (
    Step("ban", "192.0.2.5"), Step("ban", "2001:db8::5"), Step("ban", "192.0.2.6"), Step("unban", "192.0.2.5"),
)  # fmt: skip


def _prepare(config: Path) -> None:
    for file in files("action.d"):
        (config / "action.d" / file.name).write_text(marked(action_text(file)))


def test_every_action_calls_the_same(tmp_path: Path) -> None:
    # One test, since the story of all of them takes half a minute.
    theirs, ours = tell(Story(ACTIONS, STEPS, set(PROGRAMS.split()), _prepare, jails(ACTIONS)), tmp_path)
    assert documented("starts what IPv4 needs only")
    assert _taken_out(ours["eager"], "gamewall6 <eagerly> <eager>") == 1
    assert documented("`actioncheck` is run only behind a command that failed | also behind `actionstart`")
    assert not [call for name in ACTIONS for made in theirs[name + CHECK].values() for call in made]
    idle = [name for name in ACTIONS if not theirs[name]["ban 192.0.2.5"]]
    assert idle == [], "nothing was called, so nothing is compared"
    different = {name: (ours[name], theirs[name]) for name in ACTIONS if _steady(ours[name]) != _steady(theirs[name])}
    assert different == {}


def _taken_out(calls: dict[str, list[str]], call: str) -> int:
    """Remove a call that fail2ban does not make, whenever it was made; how often it was."""
    count = sum(made.count(call) for made in calls.values())
    for step, made in calls.items():
        calls[step] = [each for each in made if each != call]
    return count


def _steady(calls: dict[str, list[str]]) -> dict[str, list[str]]:
    """The calls without dates."""
    return {step: [_DATE.sub("#", call) for call in made] for step, made in calls.items()}
