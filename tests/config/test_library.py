"""The packaged configuration as a whole: every jail loads, every filter has a jail, and no filter is slow."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from guardhooks import Jail
from guardhooks.settings import jail_names, load, load_filter
from guardhooks_core.matchers.filterd.matcher import FilterMatcher
from tests.config.corpora import CONFIG, modes, shipped

JAILLESS: Final = frozenset({"apache-pass"})
"""Filters for jails that each user has to write."""
FAIL2BAN: Final = Path("/etc/fail2ban")
needs_fail2ban = pytest.mark.skipif(not FAIL2BAN.is_dir(), reason=f"no fail2ban in {FAIL2BAN}")


@pytest.fixture(scope="module")
def jails(tmp_path_factory: pytest.TempPathFactory) -> list[Jail]:
    """All jails of the packaged configuration, enabled, as it is loaded on a machine without a journal."""
    directory = tmp_path_factory.mktemp("etc") / "guardhooks"
    shutil.copytree(CONFIG, directory)
    (directory / "jail.local").write_text("[DEFAULT]\nenabled = true\n")
    settings = load(directory, journal=False)
    assert not settings.problems
    assert not settings.broken
    return list(settings.jails)


def test_every_jail_loads_without_a_finding(jails: list[Jail]) -> None:
    assert not {jail.name: jail.problems for jail in jails if jail.problems}


def test_only_sshd_is_enabled(tmp_path: Path) -> None:
    shutil.copytree(CONFIG, tmp_path / "guardhooks")
    assert [jail.name for jail in load(tmp_path / "guardhooks", journal=False).jails] == ["sshd"]


def test_every_filter_has_a_jail(jails: list[Jail]) -> None:
    served = {jail.filter.name for jail in jails if jail.filter}
    assert served == set(shipped()) - JAILLESS


@pytest.mark.parametrize("name", shipped())
def test_the_prefilter_serves_every_mode_of_a_filter(name: str) -> None:
    for mode in modes(name):
        spec = load_filter(CONFIG, f"{name}[mode={mode}]" if mode else name)
        judge = FilterMatcher([Jail(name, filter=spec)])
        assert not judge.problems
        assert not judge.unfiltered, mode


@pytest.mark.parametrize("name", shipped())
def test_a_filter_says_in_its_head_what_it_is_for(name: str) -> None:
    assert (CONFIG / "filter.d" / f"{name}.conf").read_text(encoding="utf-8").startswith(f"# {name}.conf: ")


@needs_fail2ban
def test_every_filter_of_fail2ban_has_its_name_here() -> None:
    theirs = {path.stem for path in (FAIL2BAN / "filter.d").glob("*.conf")}
    assert not theirs - {path.stem for path in (CONFIG / "filter.d").glob("*.conf")}


@needs_fail2ban
def test_every_jail_of_fail2ban_has_its_name_here() -> None:
    text = (FAIL2BAN / "jail.conf").read_text(encoding="utf-8")
    theirs = set(re.findall(r"^\[([\w\-]+)\]", text, re.MULTILINE)) - {"DEFAULT", "INCLUDES"}
    assert theirs - set(jail_names(CONFIG)) <= {"pass2allow-ftp"}


def test_a_jail_local_written_for_fail2ban_loads_without_a_finding(tmp_path: Path) -> None:
    directory = tmp_path / "guardhooks"
    shutil.copytree(CONFIG, directory)
    (directory / "jail.local").write_text(
        "[DEFAULT]\nbackend = auto\n"
        "[sshd]\nenabled = true\nport = ssh\nlogpath = %(sshd_log)s\nbackend = %(sshd_backend)s\n"
        '[nginx-limit-req]\nenabled = true\nfilter = nginx-limit-req[ngx_limit_req_zones="login"]\n'
        "logpath = %(nginx_error_log)s\n"
        "[apache-auth]\nenabled = true\nmode = aggressive\nlogpath = %(apache_error_log)s\n"
        '[exim-spam]\nenabled = true\nfilter = exim-spam[honeypot="bait@example.org"]\n'
        "[proftpd]\nenabled = true\nbackend = %(proftpd_backend)s\nlogpath = %(proftpd_log)s\n"
    )
    settings = load(directory, journal=False)
    assert not settings.problems
    assert not settings.broken
    assert not {jail.name: jail.problems for jail in settings.jails if jail.problems}
    assert {jail.name for jail in settings.jails if jail.sources} == {
        "apache-auth",
        "exim-spam",
        "nginx-limit-req",
        "proftpd",
        "sshd",
    }


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "", "-h", "127.0.0.1;true", "localhost"])
def test_nobody_is_taken_for_google_who_is_not(address: str) -> None:
    script = CONFIG / "filter.d" / "ignorecommands" / "apache-fakegooglebot"
    assert subprocess.run(["sh", script, address], capture_output=True, check=False).returncode == 1


def test_a_journal_match_is_a_field_and_its_exact_value(jails: list[Jail]) -> None:
    words = {word for jail in jails if jail.filter for match in jail.filter.journalmatch for word in match.split()}
    assert not {word for word in words if word != "+" and not re.fullmatch(r"[A-Z_]+=[\w.@\-]+", word)}


@pytest.mark.parametrize(
    ("ours", "theirs"), [("mikrotik", "routeros-auth"), ("haproxy[mode=auth]", "haproxy-http-auth")]
)
def test_two_names_of_a_filter_count_the_same(ours: str, theirs: str) -> None:
    first, second = load_filter(CONFIG, ours), load_filter(CONFIG, theirs)
    assert first.failregex == second.failregex != ()
    assert first.datepattern == second.datepattern


@pytest.mark.parametrize(
    ("name", "log"),
    [
        ("sshd", "/var/log/messages"),
        ("postfix", "/var/log/messages"),
        ("dovecot", "/var/log/messages"),
        ("web-scanner", "/var/log/lighttpd/access.log"),
        ("routeros-auth", "/var/log/mikrotik.log"),
        ("haproxy-http-auth", "/var/log/haproxy/haproxy.log"),
    ],
)
def test_logs_of_other_distributions_are_read(jails: list[Jail], name: str, log: str) -> None:
    assert log in {source.text for jail in jails if jail.name == name for source in jail.sources}
