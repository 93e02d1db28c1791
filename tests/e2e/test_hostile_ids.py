"""Ids, user names and log lines that attackers write, through every action in the box: nothing runs, nothing breaks."""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e import hostile_worker
from tests.e2e.range import Host, missing
from tests.e2e.stockactions import FAIL2BAN

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]

HONEST: Final = "203.0.113.7"
HOSTILE: Final = [
    "$(touch CANARY)", "`touch CANARY`", "; touch CANARY;", "| touch CANARY", "&& touch CANARY", "\ntouch CANARY\n",
    "'; touch CANARY; '", '"; touch CANARY; "', "\\'; touch CANARY; #", "~!touch CANARY", "\n~!touch CANARY\n",
    "-rf", "--help", "-e touch CANARY", "-j ACCEPT", "> CANARY", "${x:=$(touch CANARY)}", "<matches>", "<actionban>",
    "*", "!!", "%s%n%x", "\\", "'", '"', "\x1b[2J\x1b]0;owned\x07", "\x00touch CANARY", "\udcff\udc80", "\u202etxt.exe",
    "192.0.2.1; touch CANARY", "192.0.2.1\nCOMMIT\n", "192.0.2.1/32 -j ACCEPT", "0.0.0.0/0", "::/0", "192.0.2.1 ",
    "ALL: ALL", "192.0.2.1\nALL: ALL", "192.0.2.1\r\nX-Evil: 1", "\n.\nQUIT\n", "\r\nBcc: victim@example.org",
    "::ffff:192.0.2.1", "fe80::1%eth0", "192.0.2.01", "1.2.3", "", " ", "A" * 1_000_000, "$(touch CANARY)" * 70_000,
    "\n" * 1_000_000, "'\"`$(" * 200_000,
]  # fmt: skip
CUSTOM: Final = """
[Definition]
actionstart = echo start >> FOLDER/log
actionban = echo "ban <fid> <F-USER>" >> FOLDER/log; printf '%%s' "<matches>" >> FOLDER/log
actionunban = echo "unban <ip>" >> FOLDER/log
"""
SENDMAIL: Final = '#!/bin/sh\ncat >> FOLDER/mails\necho "$@" >> FOLDER/arguments\n'
ACTIONS: Final = [
    "auto", "observe", "nftables[type=allports]", "ipset[type=allports]", "iptables-multiport[port=22]",
    "iptables-rules[type=allports]", "iptables-allports[native=rules]", "route[blocktype=blackhole]", "conntrack",
    "hostsdeny[file=FOLDER/hosts.deny]", 'webhook[url="http://127.0.0.1:9/", matches=yes]',
    "sendmail[sendmail=FOLDER/sendmail, digest=1]", "custom",
]  # fmt: skip
FILES: Final = [
    "dummy[target=FOLDER/dummy]", "iptables-allports[native=no]", "iptables-ipset-proto6-allports[native=no]",
    "nftables-allports[native=no]", "route[native=no]", "hostsdeny[native=no, file=FOLDER/hosts.deny]",
]  # fmt: skip
"""Served by fail2ban's own files."""
IN_KERNEL: Final = re.compile(r"auto|nftables|ipset|iptables|route")
_numbers = itertools.count()


@pytest.fixture
def host() -> Iterator[Host]:
    reason = missing()
    if reason and not os.environ.get("CI"):
        pytest.skip(f"a host of its own {reason}")
    assert not reason
    host = Host(f"ghhost-{os.getpid()}-{next(_numbers)}")
    host.run("ip", "link", "set", "lo", "up")
    yield host
    host.delete()


def configure(folder: Path, action: str) -> Path:
    config = folder / "config"
    (config / "action.d").mkdir(parents=True)
    (config / "filter.d").mkdir()
    for name in FAIL2BAN.joinpath("action.d").glob("*.conf") if action in FILES else ():
        (config / "action.d" / name.name).write_bytes(name.read_bytes())
    (config / "action.d" / "custom.conf").write_text(CUSTOM.replace("FOLDER", str(folder)))
    (config / "filter.d" / "never.conf").write_text("[Definition]\nfailregex = ^never <ADDR>$\n")
    (folder / "sendmail").write_text(SENDMAIL.replace("FOLDER", str(folder)))
    (folder / "sendmail").chmod(0o755)
    (config / "jail.conf").write_text(
        f"[{hostile_worker.JAIL}]\nenabled = true\nfilter = never\nlogpath = {folder}/empty.log\nmaxretry = 1\n"
        f"bantime = 1h\nignoreself = false\nusedns = no\naction = {action.replace('FOLDER', str(folder))}\n"
    )
    (folder / "empty.log").touch()
    return config


def run(host: Host, folder: Path, action: str) -> tuple[dict[str, Any], str]:
    config = configure(folder, action)
    (folder / "cwd").mkdir()
    (folder / "state").mkdir(mode=0o700)
    canary = folder / "canary"
    ids = [text.replace("CANARY", str(canary)) for text in HOSTILE]
    (folder / "ids").write_text(json.dumps([*ids, HONEST]))
    argv = [
        "env",
        "-C",
        folder / "cwd",
        sys.executable,
        hostile_worker.__file__,
        config,
        folder / "state",
        folder / "ids",
    ]
    done = host.run(*argv, timeout=170)
    report: dict[str, Any] = json.loads(done.stdout)
    return report, done.stderr


@pytest.mark.parametrize("action", [*ACTIONS, *FILES])
def test_nothing_runs_and_nothing_breaks(host: Host, tmp_path: Path, action: str) -> None:
    if action in FILES and not FAIL2BAN.is_dir():
        assert not os.environ.get("CI"), "CI must have fail2ban's files"
        pytest.skip("needs fail2ban's stock files")
    report, log = run(host, tmp_path, action)
    assert not (tmp_path / "canary").exists()
    assert list((tmp_path / "cwd").iterdir()) == []
    assert report["honest"] == "active"
    assert "Traceback" not in log
    assert "\x1b" not in log
    assert max(map(len, log.splitlines()), default=0) < 5000
    assert all(state["state"] == "active" for state in report["status"]["actions"]), report["status"]
    if IN_KERNEL.match(action):
        assert HONEST in report["during"]
        assert "0.0.0.0/0 " not in report["during"]
    assert HONEST not in report["after"]
    if action.startswith("hostsdeny"):
        assert [line for line in (tmp_path / "hosts.deny").read_text().splitlines() if line] == []
    if action.startswith("sendmail"):
        mails = (tmp_path / "mails").read_text()
        assert "\nBcc:" not in mails
        assert HONEST in mails
        assert "rf" not in (tmp_path / "arguments").read_text()
