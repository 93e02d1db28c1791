"""Options that each are right and together cannot work."""

from __future__ import annotations

import pytest

from guardhooks.check.finders.penalties import connections_within, hidden_by_penalties
from guardhooks.model import Jail, Severity
from tests.check.conftest import SmallSite, texts

SITE = """\
[sshd]
enabled = true
filter = app
logpath = {{log}}
bantime = {bantime}
{more}
[recidive]
enabled = true
filter = recidive
bantime = 4w
findtime = 86400
maxretry = 5
"""


def of_recidive(small: SmallSite, bantime: str, more: str = "") -> list[str]:
    return texts(small.findings(SITE.format(bantime=bantime, more=more)))


def test_a_recidive_jail_that_fired_at_one_hour_is_silent(small: SmallSite) -> None:
    assert of_recidive(small, "3600") == []


def test_a_recidive_jail_that_ten_hour_bans_silenced_is_told_with_values_that_work(small: SmallSite) -> None:
    [finding] = small.findings(SITE.format(bantime="36000", more=""))
    assert finding.severity is Severity.WARNING
    assert finding.jails == ("recidive",)
    assert finding.place == f"{small.folder}/jail.local:12"
    assert "can never fire: bans last 10h or longer" in finding.what
    assert "at most 3 times within findtime = 1d, and maxretry = 5 is never reached" in finding.what
    assert finding.remedy == "set findtime = 2d, or maxretry = 3, or bantime = 6h or less in the other jails"


@pytest.mark.parametrize("change", ["findtime = 2d", "maxretry = 3"])
def test_each_value_that_is_named_works(small: SmallSite, change: str) -> None:
    assert texts(small.findings(SITE.format(bantime="36000", more="") + change + "\n"))[1:] == []
    assert "can never fire" not in "".join(of_recidive(small, "6h"))


def test_one_jail_with_short_bans_is_enough_for_a_recidive_jail(small: SmallSite) -> None:
    other = "[web]\nenabled = true\nfilter = app\nlogpath = {log}\nbantime = 1h\nfailregex = ^ web <HOST>$\n"
    assert texts(small.findings(SITE.format(bantime="36000", more="") + other)) == []


def test_growing_bans_that_never_reach_five_a_day_are_told(small: SmallSite) -> None:
    assert of_recidive(small, "1h", "bantime.increment = true") == []
    [told] = of_recidive(small, "2h", "bantime.increment = true")
    assert "at most 4 times" in told


def test_recidive_bans_that_are_shorter_than_the_others_are_told(small: SmallSite) -> None:
    assert any("its bans (4w) are shorter than those of sshd (5w)" in text for text in of_recidive(small, "5w"))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("bantime = 2h\nbantime.maxtime = 1h", "bantime.maxtime = 1h is shorter than bantime = 2h"),
        ("bantime = -1", "bantime.increment has no effect: bantime = -1 never ends"),
        ("bantime = 1h\nbantime.maxtime = 2h", ""),
    ],
)
def test_increments_that_cannot_increase_are_told(small: SmallSite, lines: str, says: str) -> None:
    jail = f"[app]\nenabled = true\nfilter = app\nlogpath = {{log}}\nbantime.increment = true\n{lines}\n"
    assert texts(small.findings(jail)) == ([says] if says else [])


def test_two_jails_that_close_one_port_for_the_same_lines_of_a_log_are_told_once(small: SmallSite) -> None:
    one = "enabled = true\nfilter = app\nlogpath = {log}\n"
    [finding] = small.findings(f"[one]\n{one}[two]\n{one}")
    assert "one and two find the same in" in finding.what
    assert small.findings(f"[one]\n{one}[two]\n{one}failregex = ^ other <HOST>$\n") == ()


def test_a_history_shorter_than_a_findtime_is_noted(small: SmallSite) -> None:
    small.write("guardhooks.conf", "[Guardhooks]\nhistory_age = 1h\n")
    [finding] = small.findings("[app]\nenabled = true\nfilter = app\nlogpath = {log}\nfindtime = 2d\n")
    assert finding.severity is Severity.NOTE
    assert (finding.place, finding.remedy) == (f"{small.folder}/guardhooks.conf:2", "set history_age = 2d")


@pytest.mark.parametrize(
    ("penalties", "told"),
    [
        ("crash:90 authfail:5 noauth:1 grace-exceeded:10 max:600 min:15", False),
        ("crash:90 authfail:3600 noauth:1 max:3600 min:15", True),
        ("authfail:1h max:1h min:15s", True),
        ("no", False),
    ],
)
def test_penalties_of_openssh_that_keep_failures_out_of_the_log_are_told(penalties: str, told: bool) -> None:
    findings = list(hidden_by_penalties(Jail("sshd", maxretry=5), {"persourcepenalties": penalties}))
    assert bool(findings) is told
    assert list(hidden_by_penalties(Jail("sshd", maxretry=5), {})) == []  # before OpenSSH 9.8


def test_penalties_let_a_burst_through_and_then_one_for_each_penalty() -> None:
    assert connections_within(600, authfail=5, least=15, most=600) == 123
    assert connections_within(600, authfail=3600, least=15, most=3600) == 1
