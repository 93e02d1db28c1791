"""What `guardhooks check` finds in files, logs, ports and actions."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

import guardhooks
from guardhooks import ConfigFinding, Jail, Severity
from guardhooks.plugins import Plugins
from tests.check.conftest import NOW, SmallSite, texts

APP = "[app]\nenabled = true\nfilter = app\nlogpath = {log}\n"


def test_a_clean_site_has_no_finding(small: SmallSite) -> None:
    assert small.findings(APP) == ()
    assert small.report().clean
    assert small.report().running


def test_a_cause_that_touches_all_jails_is_told_once(small: SmallSite) -> None:
    jails = "".join(f"[{name}]\nenabled = true\nfilter = app\nlogpath = /no/such.log\n" for name in "abc")
    missing = [each for each in small.findings(jails) if each.key == "logpath"]
    assert [(each.what, each.jails) for each in missing] == [("no log file /no/such.log exists", ("a", "b", "c"))]


def test_no_enabled_jail_is_an_error_and_nothing_could_run(small: SmallSite) -> None:
    [finding] = small.findings("[app]\nfilter = app\n")
    assert (finding.what, finding.severity) == ("no jail is enabled", Severity.ERROR)
    assert not small.report().running


def test_a_jail_that_can_find_nothing_is_an_error_at_the_misspelt_key(small: SmallSite) -> None:
    small.write("filter.d/typo.conf", "[Definition]\nfailregexp = ^ failed from <HOST>$\n")
    findings = small.findings(APP.replace("filter = app", "filter = typo"))
    assert [finding.severity for finding in findings] == [Severity.ERROR, Severity.WARNING]
    assert "no failregex of filter 'typo' can be used" in findings[0].what
    assert (findings[1].place, findings[1].nearest) == (f"{small.folder}/filter.d/typo.conf:2", "failregex")


def test_a_wrong_regex_is_told_in_the_file_that_holds_it(small: SmallSite) -> None:
    small.write("filter.d/app.conf", "[Definition]\nfailregex = ^ ok <HOST>$\n  ^ (bad <HOST>$\n")
    [finding] = small.findings(APP)
    assert finding.place == f"{small.folder}/filter.d/app.conf:2"
    assert "failregex 2 does not compile" in finding.what


STEERED = r"""
[Definition]
_daemon = vsftpd
failregex = ^\s*\S+ vsftpd(?:\[\d+\])?: .*authentication failure;.* rhost=<HOST>
"""
ANCHORED = r"""
[Definition]
failure = pam_unix\(vsftpd:auth\): authentication failure; (?:\w+=\S* ){4}ruser=\S*
failregex = ^\s*\S+ vsftpd: %(failure)s rhost=<HOST>(?:  user=(?:(?! rhost=).)*)?$
"""


def test_a_filter_that_lets_a_client_choose_whom_it_blames_is_told_with_a_line(small: SmallSite) -> None:
    small.write("filter.d/vsftpd.conf", STEERED)
    [finding] = small.findings(APP.replace("filter = app", "filter = vsftpd"))
    assert "text of a client can choose whom filter vsftpd blames" in finding.what
    assert "is about 198.51.100.7, and bans 192.0.2.66: Nov 22" in finding.what
    assert "rhost=198.51.100.7" in finding.what
    assert finding.place == f"{small.folder}/filter.d/vsftpd.conf:4"
    small.write("filter.d/vsftpd.conf", ANCHORED)
    assert small.findings(APP.replace("filter = app", "filter = vsftpd")) == ()


def test_a_wrong_time_zone_is_told_at_its_own_line(small: SmallSite) -> None:
    [finding] = small.findings(APP + "logtimezone = Europe/Berlon\n")
    assert finding.place == f"{small.folder}/jail.local:5"
    assert finding.severity is Severity.ERROR


def test_a_log_in_another_zone_is_told_with_the_zone_to_set(small: SmallSite) -> None:
    small.log.write_text("2026-11-28T10:00:00 failed from 192.0.2.1\n")
    written = guardhooks_time("2026-11-28T08:00:00")
    os.utime(small.log, (written, written))
    [finding] = (each for each in small.findings(APP) if each.key == "logtimezone")
    assert "are +2 hours off" in finding.what
    os.utime(small.log, (written + 7200, written + 7200))
    assert not [each for each in small.findings(APP) if each.key == "logtimezone"]


def guardhooks_time(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()  # local time, as an undated zone in a log is


def test_logs_that_are_misspelt_relative_dangling_or_folders_are_told(small: SmallSite) -> None:
    (small.folder / "dangling.log").symlink_to("/no/such")
    paths = f"{small.log}x\n  relative.log\n  {small.folder}/dangling.log\n  {small.folder}/filter.d"
    found = texts(small.findings(APP.format(log=paths)))
    assert sorted(text.partition(";")[0] for text in found) == sorted(
        [
            "logpath: 'relative.log' is a relative path, read from the folder in which the daemon was started",
            f"logpath: '{small.folder}/filter.d' is a folder",
            f"log {small.folder}/dangling.log is a link to /no/such, which does not exist",
            f"no log file {small.log}x exists",
        ]
    )
    assert str(small.log) in [finding.nearest for finding in small.report().findings]


def test_logs_of_which_one_is_enough_are_one_cause_if_all_are_absent(small: SmallSite) -> None:
    [finding] = small.findings(APP.format(log="/no/auth.log\n  /no/secure"))
    assert (finding.severity, finding.what) == (Severity.WARNING, "no log file /no/auth.log or /no/secure exists")
    [note] = small.findings(APP.format(log=f"/no/auth.log\n  {small.log}"))
    assert note.severity is Severity.NOTE


def test_a_log_without_a_line_for_a_month_is_noted(small: SmallSite) -> None:
    small.log.write_text("x\n")
    os.utime(small.log, (NOW - 40 * 86400,) * 2)
    [finding] = small.findings(APP)
    assert (finding.severity, "for 40 days" in finding.what) == (Severity.NOTE, True)


def test_a_log_that_is_left_over_while_the_journal_goes_on_is_told(small: SmallSite) -> None:
    small.write(
        "filter.d/app.conf",
        "[Definition]\nfailregex = ^ failed from <HOST>$\njournalmatch = _SYSTEMD_UNIT=app.service\n",
    )
    small.log.write_text("2027-01-10T10:00:00 nothing\n")
    os.utime(small.log, (NOW - 5 * 86400, NOW - 5 * 86400))
    asked: list[Sequence[str]] = []

    def newest(matches: Sequence[str]) -> float:
        asked.append(matches)
        return NOW - 60

    [finding] = [each for each in replace(small, journal=newest).findings(APP) if each.key == "logpath"]
    assert finding.what == f"the journal has lines of the service that are 4 days newer than {small.log}"
    assert finding.severity is Severity.WARNING
    assert asked[-1] == ("_SYSTEMD_UNIT=app.service",)
    assert not any(each.key == "logpath" for each in small.findings(APP))  # The journal has no such lines.
    os.utime(small.log, (NOW - 3600, NOW - 3600))
    assert not any(each.key == "logpath" for each in replace(small, journal=newest).findings(APP))


def slow_log(small: SmallSite, minutes: int, number: int) -> None:
    """Failures of two addresses in turn, one every so many minutes."""
    start = NOW - number * minutes * 60
    times = [time.localtime(start + each * minutes * 60) for each in range(number)]
    dates = [time.strftime("%Y-%m-%dT%H:%M:%S", each) for each in times]
    small.log.write_text("".join(f"{date} failed from 192.0.2.{each % 2}\n" for each, date in enumerate(dates)))
    os.utime(small.log, (NOW - minutes * 60, NOW - minutes * 60))


def test_a_maxretry_that_the_rate_of_the_log_never_reaches_is_told_with_values_that_work(small: SmallSite) -> None:
    slow_log(small, minutes=5, number=60)  # two within findtime, one of each address
    [finding] = small.findings(APP)
    assert finding.what == f"60 failures in {small.log}, never more than 2 within findtime: maxretry = 5 is not reached"
    assert finding.remedy == "set findtime = 1h, or maxretry = 1"
    assert finding.severity is Severity.WARNING
    assert small.findings(f"{APP}findtime = 1h\n") == ()
    assert small.findings(f"{APP}maxretry = 1\n") == ()


@pytest.mark.parametrize(("minutes", "number"), [(1, 60), (5, 12)])
def test_a_log_with_a_rate_that_suffices_or_with_too_few_failures_is_not(
    small: SmallSite, minutes: int, number: int
) -> None:
    slow_log(small, minutes, number)
    assert small.findings(APP) == ()


def test_a_port_that_nothing_listens_on_is_noted_and_one_in_use_is_not(small: SmallSite) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        used = server.getsockname()[1]
        assert small.findings(APP + f"action = nftables[port={used}]\n") == ()
    [finding] = small.findings(APP + f"action = nftables[port={used}]\n")
    assert (finding.what, finding.severity) == (f"nothing listens on port {used}", Severity.NOTE)


def test_a_misspelt_port_is_an_error_with_the_nearest_service(small: SmallSite) -> None:
    [finding] = small.findings(APP + "port = htps\naction = nftables[port=%(port)s]\n")
    assert (finding.severity, finding.nearest) == (Severity.ERROR, "https")
    assert finding.place == f"{small.folder}/jail.local:5"


def test_an_action_that_nobody_serves_is_an_error_with_the_nearest_one(small: SmallSite) -> None:
    [finding] = small.findings(APP + "action = nftabels\n")
    assert (finding.severity, finding.nearest) == (Severity.ERROR, "nftables")
    assert finding.place == f"{small.folder}/jail.local:5"


def test_a_program_that_is_not_installed_is_told(small: SmallSite) -> None:
    small.write("action.d/own.conf", "[Definition]\nactionban = no-such-program add <ip>\nactionunban = true\n")
    [finding] = small.findings(APP + "action = own\n")
    assert finding.what == "action own calls no-such-program, which is not installed"
    assert small.findings(APP + "action = own[actionban='true <ip>']\n") == ()


def test_files_changed_since_the_daemon_read_them_are_noted(small: SmallSite) -> None:
    small.write("jail.local", APP.format(log=small.log))
    read = (small.folder / "jail.local").stat().st_ctime
    assert small.report(loaded=read + 1).findings == ()
    [*found] = small.report(loaded=read - 0.000001).findings
    assert f"{small.folder}/jail.local" in {finding.place for finding in found}
    assert {finding.severity for finding in found} == {Severity.NOTE}


def test_a_named_jail_is_checked_though_it_is_not_enabled(small: SmallSite) -> None:
    small.write("jail.local", "[app]\nfilter = app\nlogpath = /no/such.log\n")
    report = small.report("app")
    assert report.running
    assert "no log file /no/such.log exists" in texts(report.findings)


def test_a_plugin_adds_findings(small: SmallSite) -> None:
    class Edge:
        @guardhooks.hookimpl
        def check_jail(self, jail: Jail) -> list[object]:
            return [ConfigFinding("the edge router is not known", key="logpath"), "nonsense"]

    plugins = Plugins.load()
    plugins.register(Edge(), "edge")
    site = SmallSite(small.folder, plugins)
    [finding] = site.findings(APP)
    assert (finding.what, finding.jails) == ("the edge router is not known", ("app",))
    assert finding.place == f"{small.folder}/jail.local:4"


@pytest.mark.parametrize("action", ["iptables-multiport", "iptables-rules"])
def test_a_firewall_program_that_is_missing_is_an_error(
    small: SmallSite, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may look at the firewall")
    actions = f"action = {action}[port=ssh]\n"
    assert not [finding for finding in small.findings(APP + actions) if "cannot work" in finding.what]
    monkeypatch.setenv("PATH", str(small.folder))
    [finding] = (finding for finding in small.report().findings if "cannot work" in finding.what)
    assert "iptables is not installed" in finding.what
    assert finding.severity is Severity.ERROR


def test_a_regex_of_an_own_filter_that_every_line_pays_for_is_noted(small: SmallSite) -> None:
    small.write("filter.d/slow.conf", "[Definition]\nfailregex = ^ <HOST> \\d+$\n")
    [finding] = small.findings(APP.replace("filter = app", "filter = slow"))
    assert finding.severity is Severity.NOTE
    assert "is tried on every line" in finding.what
    assert finding.place == f"{small.folder}/filter.d/slow.conf:2"


def test_a_jail_local_without_a_jail_conf_is_told_its_base(small: SmallSite) -> None:
    (small.folder / "jail.conf").unlink()
    found = small.findings("[sshd]\nenabled = true\n")
    [note] = (finding for finding in found if finding.place == f"{small.folder}/jail.local")
    assert note.severity is Severity.NOTE
    assert "the packaged one is its base" in note.what
