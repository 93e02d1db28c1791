"""`guardhooks check` on Debian's stock configuration with every jail enabled: no false alarm."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from guardhooks.check.checking import check
from guardhooks.check.report import Report
from guardhooks.check.site import read_site
from guardhooks.model import Severity
from guardhooks.plugins import Plugins

STOCK = Path("/etc/fail2ban")
MISSING = not (STOCK / "jail.conf").is_file()
pytestmark = pytest.mark.skipif(MISSING and "CI" not in os.environ, reason="Debian's fail2ban is not installed")

LOG = re.compile(r"no log file (/.+) exists")
OF_THE_MACHINE = re.compile(
    r"no log file /.+ exists|nothing listens on port \S+|log /\S+ has had no new line for \d+ days"
)
"""True on a machine that does not run all these services, and not about the configuration."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("stock") / "fail2ban"
    shutil.copytree(STOCK, folder)
    jails = re.findall(r"(?m)^\[(?!DEFAULT|INCLUDES)(.+)\]", (STOCK / "jail.conf").read_text())
    (folder / "jail.local").write_text("".join(f"[{name}]\nenabled = true\n" for name in jails))
    return check(read_site(folder, Plugins.load(), now=time.time()))


def test_all_of_debians_jails_can_run(report: Report) -> None:
    assert len(report.jails) > 80
    assert report.running


STEERED = re.compile(r"text of a client can choose whom filter (\S+) blames: .*", re.DOTALL)
"""True of these filters of fail2ban 1.0.2; docs/migrating.md has them, too."""


def test_of_what_debian_wrote_only_filters_that_a_client_can_steer_are_told(report: Report) -> None:
    rest = [finding.what for finding in report.findings if not OF_THE_MACHINE.fullmatch(finding.what)]
    steered = {match[1] for what in rest if (match := STEERED.fullmatch(what))}
    assert [what for what in rest if not STEERED.fullmatch(what)] == []
    assert steered == {
        "3proxy", "asterisk", "courier-auth", "dovecot", "exim", "kerio", "nginx-http-auth", "pam-generic",
        "roundcube-auth", "sshd", "vsftpd", "wuftpd", "znc-adminlog",
    }  # fmt: skip
    assert not any(finding.severity is Severity.ERROR for finding in report.findings)


def test_a_log_that_is_told_to_be_absent_is_absent_and_told_once(report: Report) -> None:
    absent = Counter(match[1] for finding in report.findings if (match := LOG.fullmatch(finding.what)))
    assert absent
    assert set(absent.values()) == {1}
    assert not [path for paths in absent for path in paths.split(" or ") if Path(path).exists()]
