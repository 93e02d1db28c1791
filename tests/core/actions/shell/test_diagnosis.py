"""What `doctor` says about commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardhooks import ActionSpec, Ban, Finding, Jail, Level
from guardhooks_core.actions.shell.diagnosis import examine
from guardhooks_core.actions.shell.journal import ActionJournal, boot_id

JAIL = Jail("sshd")
ACTION = ActionSpec("mine", "mine", properties={"actionban": "ban <ip>", "actionunban": "unban <ip>"})
NOTIFICATION = ActionSpec("tell", "tell", {"norestored": "1"}, {"actionban": "tell <ip>"})
BANS = [Ban("203.0.113.9", "sshd", 1000.0, 600.0), Ban("203.0.113.10", "sshd", 1000.0, 600.0)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a journal: one ban was carried out, one is in doubt."""
    journal = ActionJournal(tmp_path, "sshd", ACTION, boot_id())
    journal.write([], [("203.0.113.9", 1600.0)], [("203.0.113.10", 1600.0)])
    return tmp_path


def examined(folder: Path | None, action: ActionSpec, bans: list[Ban], address: str = "") -> list[Finding]:
    found = examine(folder, JAIL, action, bans, address)
    assert found is not None
    return found


def test_the_journal_tells_what_was_run_and_nothing_more(folder: Path) -> None:
    (found,) = examined(folder, ACTION, BANS[:1], "203.0.113.9")
    assert found.text.startswith("according to its journal actionban ran for 203.0.113.9; ")
    assert (found.level, found.blocks) == (Level.NOTE, None)


def test_a_ban_in_doubt_is_not_reported_as_carried_out(folder: Path) -> None:
    (found,) = examined(folder, ACTION, BANS[1:], "203.0.113.10")
    assert "actionban was not carried out for 203.0.113.10" in found.text
    assert (found.level, found.blocks) == (Level.BAD, False)
    whole = examined(folder, ACTION, BANS)
    assert [finding.level for finding in whole] == [Level.NOTE, Level.BAD]
    assert "1 of 2 bans were not carried out: 203.0.113.10" in whole[1].text


def test_a_journal_of_an_earlier_boot_proves_nothing(tmp_path: Path) -> None:
    ActionJournal(tmp_path, "sshd", ACTION, "another boot").write([], [("203.0.113.9", 1600.0)], [])
    (found,) = examined(tmp_path, ACTION, BANS[:1], "203.0.113.9")
    assert found.blocks is False
    assert any("earlier boot" in finding.text for finding in examined(tmp_path, ACTION, BANS[:1]))


def test_a_notification_blocks_no_one_and_is_fine(tmp_path: Path) -> None:
    (found,) = examined(tmp_path, NOTIFICATION, BANS[:1], "203.0.113.9")
    assert found == Finding("it only reports bans and blocks no one", Level.GOOD)


def test_an_action_without_a_journal_is_left_to_other_plugins(tmp_path: Path) -> None:
    assert examine(tmp_path, JAIL, ACTION, BANS, "") is None
    assert examine(None, JAIL, ACTION, BANS, "") is None
