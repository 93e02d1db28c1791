"""Logs made from a seed: ordinary syslog lines of a mail and ssh host, with a share of failed ssh logins among them."""

from __future__ import annotations

import random
import time
from pathlib import Path

SENTINEL = "198.51.100.254"
"""Fails often enough to be banned, in the last lines of a log: when it is banned, the log has been read."""

_INNOCENT = (
    "CRON[{n}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)",
    "CRON[{n}]: (root) CMD (command -v debian-sa1 > /dev/null && debian-sa1 1 1)",
    "systemd[1]: Started Session {n} of user deploy.",
    "sshd[{n}]: Accepted publickey for deploy from 203.0.113.{o} port {p} ssh2: ED25519 SHA256:{n}abcdefghijklmnopq",
    "sshd[{n}]: pam_unix(sshd:session): session opened for user deploy(uid=1000) by (uid=0)",
    "systemd-logind[612]: New session {n} of user deploy.",
    "postfix/smtpd[{n}]: connect from mail{o}.example.org[203.0.113.{o}]",
    "postfix/qmgr[901]: {n}F00BA4: from=<info@example.org>, size={p}, nrcpt=1 (queue active)",
    "dovecot: imap-login: Login: user=<anna>, method=PLAIN, rip=203.0.113.{o}, lip=192.0.2.2, mpid={n}, TLS",
    "kernel: [{n}.{p}] eth0: link is up, 1000 Mbps full duplex, flow control rx/tx",
    "named[733]: client @0x7f{n} 203.0.113.{o}#{p} (example.org): query: example.org IN A +E(0) (192.0.2.2)",
    "sudo: deploy : TTY=pts/0 ; PWD=/home/deploy ; USER=root ; COMMAND=/usr/bin/systemctl status nginx",
)
_ATTACK = (
    "sshd[{n}]: Failed password for root from {a} port {p} ssh2",
    "sshd[{n}]: Failed password for invalid user admin{o} from {a} port {p} ssh2",
    "sshd[{n}]: Invalid user test{o} from {a} port {p}",
    "sshd[{n}]: Failed none for invalid user guest from {a} port {p} ssh2",
)


def offender(number: int) -> str:
    """The `number`-th address of the networks that attack; at most 16 million."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def write_log(
    path: Path, lines: int, attack_share: float, *, seed: int = 1, offenders: int = 100_000, now: float | None = None
) -> None:
    """Write `lines` lines that end now, spread over the last five minutes, and then the sentinel's six failures."""
    random_source = random.Random(seed)
    now = time.time() if now is None else now
    with path.open("w") as file:
        for number in range(lines):
            attack = random_source.random() < attack_share
            shape = random_source.choice(_ATTACK if attack else _INNOCENT)
            text = shape.format(
                n=random_source.randrange(1000, 99999),
                o=random_source.randrange(1, 255),
                p=random_source.randrange(1024, 65535),
                a=offender(random_source.randrange(offenders)),
            )
            file.write(f"{stamp(now - 300 + 299 * number / lines)} srv {text}\n")
        for port in range(6):
            file.write(
                f"{stamp(now)} srv sshd[4242]: Failed password for root from {SENTINEL} port {port + 2000} ssh2\n"
            )


def failed_login(address: str, now: float) -> str:
    """One line of a failed login."""
    return f"{stamp(now)} srv sshd[4242]: Failed password for root from {address} port 2222 ssh2\n"


def stamp(now: float) -> str:
    """A syslog time stamp (RFC 3164)."""
    return time.strftime("%b %e %H:%M:%S", time.localtime(now))
