"""`guardhooks test --bans`: whom the jail would have banned, by its own window, on the clock of the log."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import Site

START = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")


def line(seconds: float, id: str, user: str = "bob") -> str:
    when = START + timedelta(seconds=seconds)
    return f"{when:%Y-%m-%d %H:%M:%S} login of {user} failed from {id}\n"


def bans(site: Site, *lines: str, options: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    site.log.write_text("".join(lines))
    result = site.guardhooks("test", str(site.log), "app", "--bans", "--json", *options)
    assert result.returncode == 0, result.stderr
    return [json.loads(row) for row in result.stdout.splitlines()]


def test_a_ban_follows_when_the_window_is_full_and_names_who_was_tried(site: Site) -> None:
    (found,) = bans(site, line(0, "192.0.2.1"), line(599, "192.0.2.1", "eve"), line(0, "192.0.2.2"))
    assert (found["id"], found["start"], found["length"], found["failures"], found["users"]) == (
        "192.0.2.1", (START + timedelta(seconds=599)).timestamp(), 600.0, 2, ["bob", "eve"],
    )  # fmt: skip


def test_failures_that_are_too_far_apart_do_not_ban(site: Site) -> None:
    assert bans(site, line(0, "192.0.2.1"), line(601, "192.0.2.1")) == []


def test_nobody_is_banned_twice_at_a_time_but_again_when_the_ban_is_over(site: Site) -> None:
    during = [line(second, "192.0.2.1") for second in (0, 1, 2, 3, 4)]
    after = [line(second, "192.0.2.1") for second in (700, 701)]
    assert [(one["start"] - START.timestamp(), one["count"]) for one in bans(site, *during, *after)] == [
        (1, 1),
        (701, 2),
    ]


def test_other_values_can_be_tried_out(site: Site) -> None:
    lines = [line(second, "192.0.2.1") for second in range(5)]
    assert bans(site, *lines, options=("--maxretry", "6")) == []
    assert bans(site, *lines, options=("--maxretry", "5", "--bantime", "-1"))[0]["length"] is None
    assert bans(site, *lines, options=("--findtime", "1s", "--maxretry", "3")) == []


def test_escalation_counts_as_the_daemon_counts_it(site: Site) -> None:
    jails = site.config / "jail.conf"
    jails.write_text(jails.read_text().replace("[app]\n", "[app]\nbantime.increment = true\nbantime = 1m\n", 1))
    lines = [line(second, "192.0.2.1") for second in (0, 1, 100, 101, 300, 301)]
    assert [one["length"] for one in bans(site, *lines)] == [60.0, 120.0, 240.0]


def test_whom_ignoreip_spares_is_not_banned_and_named(site: Site) -> None:
    jails = site.config / "jail.conf"
    jails.write_text(jails.read_text().replace("[app]\n", "[app]\nignoreip = 192.0.2.0/24\n", 1))
    assert bans(site, line(0, "192.0.2.1"), line(1, "192.0.2.1")) == []
    shown = site.guardhooks("test", str(site.log), "app", "--bans").stdout
    assert "not banned, as ignoreip spares them: 192.0.2.1" in shown


def test_the_report_names_rule_bans_and_totals(site: Site) -> None:
    bans(site, *(line(second, "192.0.2.1") for second in (0, 1, 2)), line(3, "192.0.2.2"))
    shown = site.guardhooks("test", str(site.log), "app", "--bans").stdout
    assert "2 failures within 10m ban for 10m" in shown
    assert "2026-11-22 16:00:01  192.0.2.1         2  10m" in shown
    assert "1 ban of 1 id from 4 failures; 1 of them came during a ban" in shown


def test_no_command_is_run(site: Site, tmp_path: Path) -> None:
    jails, trace = site.config / "jail.conf", tmp_path / "asked"
    jails.write_text(jails.read_text().replace("[app]\n", f"[app]\nignorecommand = touch {trace}\n", 1))
    assert len(bans(site, line(0, "192.0.2.1"), line(1, "192.0.2.1"))) == 1
    assert not trace.exists()
    assert "ignorecommand was not run" in site.guardhooks("test", str(site.log), "app", "--bans").stdout
