"""The texts of `status`, above all when something is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from guardhooks.cli import output
from guardhooks.cli.status_report import is_degraded, one_jail, overview
from guardhooks.status import GuardStatus, JailDetails, JailStatus, from_dict


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "colour_wanted", lambda: False)


def jail(**changes: object) -> dict[str, Any]:
    """As the daemon reports it."""
    return {
        "name": "sshd", "state": "running", "filter": "sshd",
        "sources": [{"key": "/var/log/auth.log", "state": "reading", "detail": "", "origins": ["/var/log/auth.log"]}],
        "failures": {"tracked": 2, "total": 31}, "bans": {"current": 1, "total": 4},
        "actions": [{"name": "nftables", "actname": "nftables", "state": "active", "note": "table inet guardhooks",
                     "reason": ""}],
        "problems": [], "plugins_off": [], **changes,
    }  # fmt: skip


def guard(*jails: dict[str, Any], **changes: object) -> dict[str, Any]:
    return {
        "version": "0.1.0", "pid": 42, "config": "/etc/guardhooks", "started": 0.0, "observing": False,
        "jails": list(jails), "problems": [], "mended_by_reload": False, **changes,
    }  # fmt: skip


def guard_status(*jails: dict[str, Any], **changes: object) -> GuardStatus:
    return from_dict(GuardStatus, guard(*jails, **changes))


def details(report: dict[str, Any]) -> JailStatus:
    return from_dict(JailDetails if "banned" in report else JailStatus, report)


def test_a_healthy_guard_is_a_table_and_nothing_else() -> None:
    lines = overview(guard_status(jail(), jail(name="postfix")))

    assert lines[-2].split() == ["sshd", "running", "2", "31", "1", "4", "nftables", "/var/log/auth.log"]
    assert lines[-1].startswith("postfix")
    assert not is_degraded(guard_status(jail()))


def test_a_failing_action_says_why_and_that_it_is_retried() -> None:
    action = {"name": "ipset", "actname": "ipset", "state": "failing", "note": "", "reason": "ipset: no permission"}
    report = guard_status(jail(state="degraded", actions=[action]))

    lines = overview(report)

    assert "ipset (failing)" in lines[4]
    assert lines[-1] == "! [sshd] action ipset: no permission; retrying"
    assert is_degraded(report)


def test_a_failed_source_says_why() -> None:
    source = {"key": "/var/log/x", "state": "failed", "detail": "permission denied", "origins": []}

    assert overview(guard_status(jail(state="degraded", sources=[source])))[-1] == (
        "! [sshd] log /var/log/x: permission denied"
    )


def test_problems_are_named_once_with_their_jail_and_what_to_do() -> None:
    lines = overview(
        guard_status(jail(state="degraded", problems=["a.conf:3: [sshd] port: no port", "regex 2 is left out"]))
    )

    assert lines[-3:] == [
        "! a.conf:3: [sshd] port: no port",
        "! [sshd] regex 2 is left out",
        "After fixing it: guardhooks reload",
    ]


def test_a_reload_is_advised_only_where_it_mends_something() -> None:
    full = "the ledger cannot be written: no space; retrying"

    assert overview(guard_status(jail(), problems=[full]))[-1] == f"! {full}"
    assert overview(guard_status(jail(), problems=[full, "plugin x: ..."], mended_by_reload=True))[-1] == (
        "After fixing it: guardhooks reload"
    )


def test_many_sources_are_cut_short() -> None:
    sources = [
        {"key": f"file:/{n} head", "label": f"/{n}", "state": "reading", "detail": "", "origins": []} for n in range(10)
    ]

    assert overview(guard_status(jail(sources=sources)))[-1].endswith("/0, /1, /2, and 7 more")


def test_no_jail_is_said_in_words() -> None:
    assert overview(guard_status())[-1] == "no jail is enabled: nothing is guarded"


def test_bans_are_listed_by_their_end_with_matches_when_asked_for() -> None:
    bans = [
        {"id": "192.0.2.1", "start": 0.0, "end": None, "remaining": None, "count": 3, "failures": 5, "state": "active",
         "reason": "5 failures", "matches": []},
        {"id": "192.0.2.2", "start": 0.0, "end": 99.0, "remaining": 65.0, "count": 1, "failures": 5, "state": "pending",
         "reason": "5 failures", "matches": ["evil \x1b[2J line"]},
    ]  # fmt: skip
    report = jail(maxretry=5, findtime=600.0, bantime=None, banned=bans)

    lines = one_jail(details(report), matches=True)

    assert "  rule      5 failures in 10m: banned forever" in lines
    first, match, last = lines[-3:]
    assert first.split()[:3] == ["192.0.2.2", "1m", "5s"]
    assert "pending" in first
    assert match == "    evil \\x1b[2J line"
    assert last.split()[:2] == ["192.0.2.1", "forever"]
    assert len(one_jail(details(report))) == len(lines) - 1


def test_bans_that_have_no_room_are_not_counted_as_banned_and_say_why() -> None:
    action = {
        "name": "ipset", "actname": "ipset", "state": "active", "note": "",
        "reason": "set f2b-sshd is full", "failing": 3, "warning": "set f2b-sshd is full: 2 of 2 entries",
    }  # fmt: skip
    report = jail(state="degraded", actions=[action], bans={"current": 2, "failing": 3, "total": 9})

    lines = overview(guard_status(report))

    assert "2 (3 failing)" in lines[4]
    assert lines[-2:] == [
        "! [sshd] action ipset: 3 not in force: set f2b-sshd is full",
        "! [sshd] action ipset: set f2b-sshd is full: 2 of 2 entries",
    ]
    assert any("2 in force, 3 failing, 9 in all" in line for line in one_jail(details(report)))


def test_a_set_that_is_nearly_full_is_shown_but_degrades_nothing() -> None:
    action = {
        "name": "ipset",
        "actname": "ipset",
        "state": "active",
        "note": "",
        "reason": "",
        "warning": "set is 85 % full",
    }
    report = guard_status(jail(actions=[action]))

    assert overview(report)[-1] == "! [sshd] action ipset: set is 85 % full"
    assert not is_degraded(report)
