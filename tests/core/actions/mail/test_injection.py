"""What attackers write runs nothing, ends nothing and adds nothing: both ways out, from every place."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardhooks import Ban, Op
from guardhooks_core.actions.mail.enrichment import Enrichment
from guardhooks_core.actions.mail.message import build_message
from guardhooks_core.actions.mail.outbox import Digest
from guardhooks_core.actions.mail.parameters import parse_parameters
from guardhooks_core.actions.mail.report import Report
from guardhooks_core.actions.mail.whois import Whois, read_answer
from tests.core.actions.mail import kit
from tests.core.actions.mail.kit import (
    JAIL,
    NOW,
    Bench,
    FakeSendmail,
    mail,
    only_here,
    parsed,
    post_office,
    text_of,
    whois_server,
)

HOSTILE = [
    "$(touch CANARY)", "`touch CANARY`", "; touch CANARY;", "| touch CANARY", "\ntouch CANARY\n",
    "'; touch CANARY; '", '"; touch CANARY; "', "~!touch CANARY", "\n~!touch CANARY\n", "~! touch CANARY",
    "\r\n~r /etc/passwd\r\n", "~. ", "-rf", "-oQ/tmp -X/tmp/x", "--version", "-be", "${run{/usr/bin/touch CANARY}}",
    "%s%n%(x)s{0}{x.__class__}", "<ip><actionban>", ".", "\n.\n", "\r\n.\r\nMAIL FROM:<x@x>\r\n", "\n..\n",
    "\r\n\r\n.\r\n", "\r.\r", "QUIT\r\n", "\r\nBcc: victim@example.org", "\nBcc: victim@example.org\n\nbody",
    "\rBcc: victim@example.org\r", "\x0bBcc: a@b", "\x0cBcc: a@b", "\x85Bcc: a@b", "\u2028Bcc: a@b", "\u2029Bcc: a@b",
    "\x1c\x1d\x1eBcc: a@b", "x\r\n Bcc: a@b", "=?utf-8?q?=0ABcc=3A?= a@b", "=?utf-8?b?CkJjYzogYUBi?=",
    "--===============0==\r\nContent-Type: text/html\r\n\r\n<script>", "=0ABcc: a@b", "From x@y Thu",
    "\nFrom x@y Thu Jan  1 00:00:00 1970\n", "\x1b[2J\x1b]0;owned\x07", "\x9b2J", "\x00touch", "\udcff\udc80",
    "\u202etxt.exe", "ünïcödé 漢字 🔥", "A" * 1_000_000, "ü" * 1_000_000, "\n" * 1_000_000, ".\r\n" * 300_000,
    " " * 1_000_000, "\t" * 1_000_000, "\x00" * 1_000_000, "$(touch CANARY)" * 70_000, "(" * 100_000, '<"' * 100_000,
    "@," * 100_000, "=?" * 100_000,
]  # fmt: skip


def hostile_ban(text: str) -> Ban:
    return Ban(
        text, JAIL.name, NOW, 600, failures=5, reason=text, matches=(text, "line\n" + text), notes={text: text},
        fields={"user": text, "ip4": "203.0.113.7", text: text},
    )  # fmt: skip


def check(message: EmailMessage) -> None:
    """Exactly our headers, and printable lines up to our last one."""
    assert sorted(message.keys()) == sorted(kit.HEADERS)
    assert message["From"] == "guardhooks <root@host.example>"
    assert message["To"] == "root@example.org"
    assert message.get_content_type() == "text/plain"
    lines = text_of(message).split("\n")
    assert lines[0].startswith("Jail sshd on ")
    assert lines[-3:] == ["--", "guardhooks", ""]
    assert [line for line in lines if not line.isprintable()] == []
    assert [
        line
        for line in lines[1:-3]
        if line
        and not line.startswith(
            (" ", "-----", "About ", "Banned:", "Unbanned:", "Last lines", "Matched", "More", "Whois")
        )
    ] == []
    assert max(map(len, lines)) < 1000


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:24]))
def test_mails_stay_well_formed(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    text = text.replace("CANARY", str(tmp_path / "canary"))
    encoded = text.encode("utf-8", "surrogateescape")
    (tmp_path / "log").write_bytes(b"203.0.113.7 " + encoded + b"\n203.0.113.7 again\n")
    sendmail = FakeSendmail(tmp_path)

    async def through(way: dict[str, str], bench: Bench, whois_port: int) -> None:
        action = mail(
            "sendmail-geoip-lines", **way, sender="root@host.example", dest="root@example.org", matches="yes",
            unban="yes", whois_server=f"127.0.0.1:{whois_port}", logpath=f"{tmp_path}/log",
        )  # fmt: skip
        await bench.do(action, Op.START)
        await bench.do(action, Op.BAN, hostile_ban(text))
        await bench.do(action, Op.BAN, hostile_ban(f"{text}2"), kit.ban())
        await bench.do(action, Op.UNBAN, hostile_ban(text))
        await bench.do(action, Op.STOP)

    async def life() -> list[bytes]:
        answer = b"inetnum: " + encoded + b"\nrefer: " + encoded + b"\ncountry: " + encoded + b"\n" + encoded
        async with post_office() as office, whois_server(answer) as whois_port:
            bench = Bench(Whois(lambda: NOW, only_here), host=text)
            await through({"smtp": office.address}, bench, whois_port)
            await through({"sendmail": str(sendmail.program)}, bench, whois_port)
            envelopes = [office.envelopes.get_nowait() for _ in range(office.envelopes.qsize())]
            assert {tuple(envelope.rcpt_tos) for envelope in envelopes} == {("root@example.org",)}
            assert {envelope.mail_from for envelope in envelopes} == {"root@host.example"}
            return [bytes(envelope.content or b"") for envelope in envelopes]

    messages = asyncio.run(life())
    assert messages
    for argv, message in sendmail.calls:
        assert argv == ["-i", "-f", "root@host.example", "root@example.org"]
        messages.append(message)
    for message in messages:
        check(parsed(message))
        assert max(map(len, message.splitlines())) <= 998
    assert {path.name for path in tmp_path.iterdir()} == {"log", "sendmail", "calls"}


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:24]))
def test_headers_cannot_be_injected(text: str):
    """Not even by those who write the configuration."""
    parameters = parse_parameters(JAIL, mail(sender="root@host.example", dest="root@example.org", sendername=text), {})
    message = parsed(build_message(parameters, text, "Hi\n", now=NOW, host="host.example"))
    assert sorted(message.keys()) == sorted(kit.HEADERS)
    assert [(each.username, each.domain) for each in message["From"].addresses] == [("root", "host.example")]
    assert all(len(value) < 2000 and value.isprintable() for value in message.values())


@given(st.text(max_size=300), st.text(max_size=300), st.lists(st.text(max_size=2000), max_size=5), st.integers(1, 3))
@settings(deadline=None)
def test_any_text_makes_a_well_formed_mail(id: str, user: str, lines: list[str], number: int):
    parameters = parse_parameters(
        JAIL, mail("sendmail-geoip-lines", sender="root@host.example", dest="root@example.org"), {}
    )
    hostile = replace(hostile_ban(id), fields={"user": user}, matches=tuple(lines))
    digest = Digest(bans=[hostile] * number, banned=number)
    enrichments = [
        Enrichment(hostile, user, lines, lines, read_answer("\n".join(lines).encode("utf-8", "replace"), id), id)
    ]
    report = Report(parameters, "host.example", digest, enrichments)
    check(parsed(build_message(parameters, report.subject, report.text, now=NOW, host="host.example")))
