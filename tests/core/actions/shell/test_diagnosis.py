"""What the doctor is told of commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardhooks import ActionSpec, Ban, Finding, Jail, Level
from guardhooks_core.actions.shell.diagnosis import examine
from guardhooks_core.actions.shell.journal import Receipts, boot_id

JAIL = Jail("sshd")
ACTION = ActionSpec("mine", "mine", properties={"actionban": "ban <ip>", "actionunban": "unban <ip>"})
NOTICE = ActionSpec("tell", "tell", {"norestored": "1"}, {"actionban": "tell <ip>"})
BANS = [Ban("203.0.113.9", "sshd", 1000.0, 600.0), Ban("203.0.113.10", "sshd", 1000.0, 600.0)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where receipts lie: one ban was carried out, one is in doubt."""
    receipts = Receipts(tmp_path, "sshd", ACTION, boot_id())
    receipts.write([], [("203.0.113.9", 1600.0)], [("203.0.113.10", 1600.0)])
    return tmp_path


def examined(folder: Path | None, action: ActionSpec, bans: list[Ban], address: str = "") -> list[Finding]:
    found = examine(folder, JAIL, action, bans, address)
    assert found is not None
    return found


def test_receipts_tell_what_was_run_and_nobody_says_more(folder: Path) -> None:
    (found,) = examined(folder, ACTION, BANS[:1], "203.0.113.9")
    assert found.text.startswith("by its receipts actionban was run for 203.0.113.9; ")
    assert (found.level, found.blocks) == (Level.NOTE, None)


def test_a_ban_in_doubt_does_not_pass_for_carried_out(folder: Path) -> None:
    (found,) = examined(folder, ACTION, BANS[1:], "203.0.113.10")
    assert "actionban was not carried out for 203.0.113.10" in found.text
    assert (found.level, found.blocks) == (Level.BAD, False)
    whole = examined(folder, ACTION, BANS)
    assert [finding.level for finding in whole] == [Level.NOTE, Level.BAD]
    assert "1 of 2 bans were not carried out: 203.0.113.10" in whole[1].text


def test_receipts_of_an_earlier_boot_prove_nothing(tmp_path: Path) -> None:
    Receipts(tmp_path, "sshd", ACTION, "another boot").write([], [("203.0.113.9", 1600.0)], [])
    (found,) = examined(tmp_path, ACTION, BANS[:1], "203.0.113.9")
    assert found.blocks is False
    assert any("earlier boot" in finding.text for finding in examined(tmp_path, ACTION, BANS[:1]))


def test_a_notice_keeps_nobody_out_and_is_not_amiss(tmp_path: Path) -> None:
    (found,) = examined(tmp_path, NOTICE, BANS[:1], "203.0.113.9")
    assert found == Finding("it tells somebody of bans, and keeps nobody out", Level.GOOD)


def test_what_it_never_ran_is_not_its_own(tmp_path: Path) -> None:
    assert examine(tmp_path, JAIL, ACTION, BANS, "") is None
    assert examine(None, JAIL, ACTION, BANS, "") is None
