"""A daemon that mails through Debian's own mail program and through SMTP, under Debian's configuration and ours."""

from __future__ import annotations

import email
import grp
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Final

import pytest

from tests.e2e import postoffice
from tests.e2e.daemon import Daemon
from tests.e2e.range import Host, end, environment, missing
from tests.e2e.stockactions import FAIL2BAN
from tests.kit.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

SENDMAIL: Final = Path("/usr/sbin/sendmail")
WHOIS: Final = f"127.0.0.1:{postoffice.WHOIS_PORT}"
SMTP: Final = f"127.0.0.1:{postoffice.SMTP_PORT}"
OFFENDER: Final = "203.0.113.7"
HOSTILE: Final = [
    "login of $(touch CANARY) `touch CANARY`", "login of '; touch CANARY; '", 'login of "; touch CANARY; "',
    "~!touch CANARY", ".", "Bcc: victim@example.org", "-oQ/tmp \x1b[2J\x07 \\n.\\r\\n", "ünïcödé " + "A" * 20_000,
]  # fmt: skip

# dma is what Debian offers as the lightest sendmail; it hands everything to the range's own server.
_DMA: Final = f"SMARTHOST 127.0.0.1\nPORT {postoffice.SMTP_PORT}\nMAILNAME guard.example\nNULLCLIENT\n"
_PRIVATE: Final = 'mount --bind "$1/dma" /etc/dma && mount --bind "$1/spool" /var/spool/dma && shift && exec "$@"'


class MailHost(Host):
    """A namespace in which the machine's sendmail has a configuration and a spool of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"ghmail-{os.getpid()}")
        self.folder = folder
        (folder / "dma").mkdir()
        (folder / "dma" / "dma.conf").write_text(_DMA)
        (folder / "spool").mkdir()
        for path in (folder / "dma", folder / "dma" / "dma.conf", folder / "spool"):
            os.chown(path, 0, grp.getgrnam("mail").gr_gid)
        (folder / "spool").chmod(0o2775)

    def command(self, *argv: str | Path) -> list[str]:
        return super().command("unshare", "-m", "sh", "-c", _PRIVATE, "sh", self.folder, *argv)


class PostOffice:
    """The servers as a process on a host, and what came in."""

    def __init__(self, host: Host) -> None:
        self._process = subprocess.Popen(
            host.command(sys.executable, postoffice.__file__), stdout=subprocess.PIPE, text=True, env=environment()
        )
        assert self._process.stdout is not None
        self._lines = self._process.stdout
        assert self._lines.readline() == "ready\n"

    def next(self) -> tuple[str, list[str], EmailMessage]:
        """Sender, recipients and message of the next one; waits for it."""
        sender, recipients, content = json.loads(self._lines.readline())
        message = email.message_from_bytes(content.encode("latin-1"), policy=default)
        assert isinstance(message, EmailMessage)
        assert not message.defects
        return sender, recipients, message

    def close(self) -> None:
        """End it."""
        with self._lines:
            end(self._process)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host with a mail program."""
    reason = missing() or ("" if SENDMAIL.resolve().name == "dma" else "needs dma")
    if reason and "CI" not in os.environ:
        pytest.skip(f"mailing {reason}")
    assert not reason
    host = MailHost(tmp_path)
    host.run("ip", "link", "set", "lo", "up")
    yield host
    host.delete()


@pytest.fixture
def office(host: Host) -> Iterator[PostOffice]:
    """Where its mail ends up."""
    office = PostOffice(host)
    yield office
    office.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What it is given is ended with the test."""
    with ExitStack() as stack:
        yield stack


def write_config(folder: Path, base: Path | None, jail: str) -> Path:
    """A configuration, Debian's or none, and a jail `plain` whose filter knows `… from ADDRESS`."""
    config = folder / "config"
    if base:
        shutil.copytree(base, config, symlinks=True)
        shutil.rmtree(config / "jail.d", ignore_errors=True)
    (config / "filter.d").mkdir(parents=True, exist_ok=True)
    (config / "filter.d" / "plain.conf").write_text("[Definition]\nfailregex = ^\\s*<F-USER>.*</F-USER> from <ADDR>$\n")
    (config / "guardhooks.conf").write_text("[Guardhooks]\nreconcile = 1s\n")
    (folder / "log").touch()
    (config / "jail.local").write_text(
        "[plain]\nenabled = true\nfilter = plain\nbantime = 1h\nignoreself = false\nbackend = polling\nusedns = no\n"
        f"maxretry = {len(HOSTILE)}\nlogpath = {folder}/log\nmail.whois-server = {WHOIS}\n{jail}"
    )
    return config


def attack(folder: Path, offender: str = OFFENDER) -> None:
    """Log lines by somebody who chooses his name."""
    texts = [text.replace("CANARY", str(folder / "canary")) for text in HOSTILE]
    with (folder / "log").open("a") as log:
        log.writelines(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text} from {offender}\n" for text in texts)


def check(message: EmailMessage, offender: str = OFFENDER) -> str:
    """Nothing but what a message of ours should hold; its text."""
    ours = {"Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}
    assert set(message.keys()) - {"Received"} == {*ours, "Content-Transfer-Encoding"}
    assert all(len(message.get_all(name, [])) == 1 for name in ours)
    assert message["Subject"].startswith("[Fail2Ban] plain: banned " + offender)
    text = message.get_content().replace("\r\n", "\n")
    assert all(line.isprintable() for line in text.split("\n"))
    assert text.endswith("--\nguardhooks\n")
    return text


@pytest.mark.skipif(not FAIL2BAN.is_dir() and "CI" not in os.environ, reason="needs fail2ban's configuration")
@pytest.mark.parametrize("mta", ["sendmail", "mail"])
def test_debians_shortcut_mails_by_debians_mail_program(
    host: Host, office: PostOffice, tmp_path: Path, stack: ExitStack, mta: str
) -> None:
    options = f"mta = {mta}\nbanaction = nftables-multiport\nport = 22\naction = %(action_mwl)s\n"
    people = "destemail = admin@example.org\nsender = guard@example.org\n"
    config = write_config(tmp_path, FAIL2BAN, options + people)
    daemon = Daemon(host, config, tmp_path / "state")
    stack.callback(daemon.kill)
    attack(tmp_path)

    sender, recipients, message = office.next()
    assert (sender, recipients) == ("guard@example.org", ["admin@example.org"])
    text = check(message)
    assert f"Why:         {len(HOSTILE)} failures" in text
    assert "Country:     NL" in text
    assert f"Whois {OFFENDER}:\n  netname: EXAMPLE\n  country: NL\n  .\n  ~!touch /tmp/x\n  \\x1b[2J$(id)`id`\n" in text
    assert all(f"Z {start}" in text for start in (". from", "Bcc: victim@", "-oQ/tmp \\x1b[2J\\x07 ", "ünïcödé AAA"))
    assert not (tmp_path / "canary").exists()

    jail = daemon.ask("status", "plain")
    mail = next(action for action in jail["actions"] if "whois" in action["actname"])
    assert mail["note"].startswith("mail to admin@example.org by /usr/sbin/sendmail")
    assert [ban["id"] for ban in jail["banned"]] == [OFFENDER]


def test_by_smtp_with_no_file_at_all_and_restored_bans_are_no_news(
    host: Host, office: PostOffice, tmp_path: Path, stack: ExitStack
) -> None:
    action = "sendername=Fail2Ban, dest=admin@example.org, sender=guard@example.org, digest=0"
    config = write_config(tmp_path, None, f"mail.smtp = {SMTP}\naction = observe\n    mail-whois-lines[{action}]\n")
    daemon = Daemon(host, config, tmp_path / "state")
    stack.callback(daemon.kill)
    attack(tmp_path)
    assert office.next()[:2] == ("guard@example.org", ["admin@example.org"])
    daemon.stop()

    daemon = Daemon(host, config, tmp_path / "state")
    stack.callback(daemon.kill)
    attack(tmp_path, "203.0.113.8")
    check(office.next()[2], "203.0.113.8")


def test_mail_that_nobody_takes_makes_no_ban_fail(host: Host, tmp_path: Path, stack: ExitStack) -> None:
    config = write_config(
        tmp_path, None, f"action = observe\n    sendmail[smtp={SMTP}, dest=admin@example.org, digest=0]\n"
    )
    daemon = Daemon(host, config, tmp_path / "state")
    stack.callback(daemon.kill)
    attack(tmp_path)
    daemon.wait_for_log(f"mail was not sent, retrying: smtp {SMTP}: ")

    def is_shown() -> bool:
        return any("mail was not sent" in action["warning"] for action in daemon.ask("status", "plain")["actions"])

    wait_for(is_shown, "status warns of it")
    jail = daemon.ask("status", "plain")
    assert (jail["bans"]["current"], jail["bans"]["failing"]) == (1, 0)
    assert {action["state"] for action in jail["actions"]} == {"active"}
