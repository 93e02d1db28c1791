"""Logs made from a seed: ordinary syslog lines of a mail and ssh host, with a share of attacks among them.

Of the ordinary lines of an ssh log, one in twelve is a successful login (`Accepted`), which the sshd filter follows as
part of a session; `logins=False` leaves those out, as on a host that nobody logs into.
"""

from __future__ import annotations

import random
import time
from functools import lru_cache
from pathlib import Path

SENTINEL = "198.51.100.254"
"""Fails often enough to be banned, in the last lines of a log: when it is banned, the log has been read."""
SENTINEL_LINES = 6

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
_LOGINS = tuple(shape for shape in _INNOCENT if "Accepted" in shape)
_ATTACK = (
    "sshd[{n}]: Failed password for root from {a} port {p} ssh2",
    "sshd[{n}]: Failed password for invalid user admin{o} from {a} port {p} ssh2",
    "sshd[{n}]: Invalid user test{o} from {a} port {p}",
    "sshd[{n}]: Failed none for invalid user guest from {a} port {p} ssh2",
)


def offender(number: int) -> str:
    """The `number`-th address of the networks that attack; at most 16 million."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


_MAIL_INNOCENT = (
    "postfix/smtpd[{n}]: connect from mail{o}.example.org[203.0.113.{o}]",
    "postfix/smtpd[{n}]: {n}F00BA4: client=mail{o}.example.org[203.0.113.{o}]",
    "postfix/cleanup[{n}]: {n}F00BA4: message-id=<{n}.{p}@example.org>",
    "postfix/qmgr[901]: {n}F00BA4: from=<info@example.org>, size={p}, nrcpt=1 (queue active)",
    "postfix/lmtp[{n}]: {n}F00BA4: to=<anna@example.com>, relay=mail[private/dovecot-lmtp], delay=0.{o}, status=sent",
    "postfix/qmgr[901]: {n}F00BA4: removed",
    "postfix/smtpd[{n}]: disconnect from mail{o}.example.org[203.0.113.{o}] ehlo=1 mail=1 rcpt=1 data=1 quit=1",
    "dovecot: imap-login: Login: user=<anna>, method=PLAIN, rip=203.0.113.{o}, lip=192.0.2.2, mpid={n}, TLS, <{p}>",
    "dovecot: imap(anna)<{n}><{p}>: Disconnected: Logged out in={o} out={p} deleted=0 expunged=0 trashed=0",
    "dovecot: lmtp(anna)<{n}><{p}>: msgid=<{n}.{p}@example.org>: saved mail to INBOX",
)
_IMAP_FAILURE = (
    "dovecot: imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<info@example.org>, method=PLAIN, "
    "rip={a}, lip=192.0.2.2, TLS, session=<{p}>"
)
_REJECTED = (
    "postfix/smtpd[{n}]: NOQUEUE: reject: RCPT from unknown[{a}]: 554 5.7.1 <x{o}@example.net>: Relay access denied; "
    "from=<y@example.org> to=<x{o}@example.net> proto=ESMTP helo=<host>"
)
_MAIL_ATTACK = (_IMAP_FAILURE, "dovecot: auth: passwd-file(info,{a}): unknown user", _REJECTED)


def write_log(
    path: Path,
    lines: int,
    attack_share: float,
    *,
    seed: int = 1,
    offenders: int = 100_000,
    now: float | None = None,
    logins: bool = True,
    length: int = 0,
) -> None:
    """Write `lines` lines that end now, spread over the last five minutes, and then the sentinel's six failures.

    With `length`, each ordinary line is filled up to so many bytes.
    """
    innocent = _INNOCENT if logins else tuple(shape for shape in _INNOCENT if shape not in _LOGINS)
    _write(path, lines, attack_share, (innocent, _ATTACK), seed=seed, offenders=offenders, now=now, length=length)
    with path.open("a") as file:
        for _ in range(SENTINEL_LINES):
            file.write(failed_login(SENTINEL, time.time() if now is None else now))


def write_mail_log(path: Path, lines: int, attack_share: float, *, seed: int = 1, offenders: int = 100_000) -> None:
    """The same for a mail host with postfix and dovecot."""
    _write(path, lines, attack_share, (_MAIL_INNOCENT, _MAIL_ATTACK), seed=seed, offenders=offenders)
    with path.open("a") as file:
        for port in range(SENTINEL_LINES):
            file.write(f"{stamp(time.time())} srv {_IMAP_FAILURE.format(a=SENTINEL, p=port)}\n")


def write_real_log(path: Path, origin: Path, times: int, *, maxlines: int = 0) -> int:
    """A real log `times` over, its dates (15 characters) replaced by such of the last five minutes. How many lines."""
    texts = [line[15:] for line in origin.read_text(errors="replace").split("\n") if line.strip()]
    total = len(texts) * times
    total = min(total, maxlines) if maxlines else total
    now = time.time()
    with path.open("w", errors="replace") as file:
        for number in range(total):
            file.write(f"{stamp(now - 300 + 299 * number / total)}{texts[number % len(texts)].rstrip()}\n")
        for _ in range(SENTINEL_LINES):
            file.write(failed_login(SENTINEL, now))
    return total


def _write(
    path: Path,
    lines: int,
    attack_share: float,
    shapes: tuple[tuple[str, ...], tuple[str, ...]],
    *,
    seed: int,
    offenders: int,
    now: float | None = None,
    length: int = 0,
) -> None:
    random_source = random.Random(seed)
    now = time.time() if now is None else now
    innocent, attack = shapes
    with path.open("w") as file:
        for number in range(lines):
            guilty = random_source.random() < attack_share
            text = random_source.choice(attack if guilty else innocent).format(
                n=random_source.randrange(1000, 99999),
                o=random_source.randrange(1, 255),
                p=random_source.randrange(1024, 65535),
                a=offender(random_source.randrange(offenders)),
            )
            line = f"{stamp(now - 300 + 299 * number / lines)} srv {text}"
            filling = "" if guilty or len(line) >= length else " and so on"
            line += (filling * ((length - len(line)) // 10 + 1))[: max(0, length - len(line))]
            file.write(f"{line}\n")


def failed_login(address: str, now: float) -> str:
    """One line of a failed login."""
    return f"{stamp(now)} srv sshd[4242]: Failed password for root from {address} port 2222 ssh2\n"


@lru_cache(maxsize=1024)
def _stamp(second: int) -> str:
    return time.strftime("%b %e %H:%M:%S", time.localtime(second))


def stamp(now: float) -> str:
    """A syslog time stamp (RFC 3164)."""
    return _stamp(int(now))
