"""The lines of the log about bans: fail2ban's own, and those that say why, for how long and by whom."""

from __future__ import annotations

from dataclasses import replace
from time import localtime, strftime

import pytest

from guardhooks import PERMANENT, Ban, Escalation, Jail
from guardhooks.engine.ban_lines import ASKED_BY, UNBANNED, BanLines

JAIL = Jail("sshd", bantime=600.0, escalation=Escalation())
BAN = Ban("192.0.2.1", "sshd", 1e9, 600.0, failures=5, reason="5 failures in 10m", fields={"user": "root"})
CLASSIC = BanLines(detailed=False, observing=False)
DETAILED = BanLines(detailed=True, observing=False)


def test_classic_lines_are_those_of_fail2ban() -> None:
    assert list(CLASSIC.ban(JAIL, BAN)) == ["[sshd] Ban 192.0.2.1"]
    assert list(CLASSIC.ban(JAIL, replace(BAN, restored=True, count=3, length=9e9))) == ["[sshd] Restore Ban 192.0.2.1"]
    assert CLASSIC.unban(replace(BAN, notes={UNBANNED: "uid 0 alice"})) == "[sshd] Unban 192.0.2.1"


@pytest.mark.parametrize(
    ("length", "says"),
    [(800, "13m 20s"), (3604, "1h"), (8000, "2h 13m"), (80000, "22h 13m"), (800000, "1w 2d 6h"), (8e6, "13w 1d 14h")],
)
def test_a_longer_ban_has_the_line_that_fail2ban_writes(length: float, says: str) -> None:
    """The texts are those of Debian's fail2ban for bans of these lengths."""
    until = strftime("%Y-%m-%d %H:%M:%S", localtime(1e9 + length))
    lines = CLASSIC.ban(JAIL, replace(BAN, count=2, length=length))
    assert list(lines) == ["[sshd] Ban 192.0.2.1", f"[sshd] Increase Ban 192.0.2.1 (2 # {says} -> {until})"]


def test_a_permanent_increase() -> None:
    lines = list(CLASSIC.ban(JAIL, replace(BAN, count=3, length=PERMANENT)))
    assert lines[1] == "[sshd] Increase Ban 192.0.2.1 (3 # permanent -> infinite)"


@pytest.mark.parametrize(
    ("changes", "details"),
    [
        ({}, "5 failures in 10m, for 10m, user root"),
        ({"count": 2, "length": 1200.0}, "5 failures in 10m, for 20m, 2nd ban, user root"),
        ({"count": 11, "fields": {}}, "5 failures in 10m, for 10m, 11th ban"),
        ({"length": PERMANENT, "fields": {}}, "5 failures in 10m, permanently"),
        ({"reason": "", "failures": 1, "fields": {"user": None}}, "1 failure, for 10m"),
        ({"reason": "by hand", "notes": {ASKED_BY: "uid 0 alice"}, "fields": {}}, "by hand, by uid 0 alice, for 10m"),
        ({"fields": {"user": ("root", None, "admin")}}, "5 failures in 10m, for 10m, user root admin"),
    ],
)
def test_detailed_lines_say_why_and_for_how_long(changes: dict[str, object], details: str) -> None:
    assert list(DETAILED.ban(JAIL, replace(BAN, **changes))) == [f"[sshd] Ban 192.0.2.1 ({details})"]


def test_detailed_unbans_say_by_what_or_whom() -> None:
    assert DETAILED.unban(BAN) == "[sshd] Unban 192.0.2.1 (by time)"
    assert DETAILED.unban(replace(BAN, notes={UNBANNED: "uid 0 alice"})) == "[sshd] Unban 192.0.2.1 (by uid 0 alice)"


def test_a_user_name_cannot_look_like_another_ban() -> None:
    [line] = DETAILED.ban(
        JAIL, replace(BAN, fields={"user": "x) NOTICE [sshd] Ban 8.8.8.8\n\x1b[2J\u202e" + "y" * 999})
    )
    assert line.startswith(
        r"[sshd] Ban 192.0.2.1 (5 failures in 10m, for 10m, user x\x29\x20NOTICE\x20\x5bsshd\x5d\x20Ban"
    )
    assert line.isprintable()
    assert len(line) < 400
