"""The plugin as the host uses it: which bans are reported, which are not, and what a message says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from guardhooks import PERMANENT, ActionSpec, Finding, Level, Op, Outcome
from guardhooks_core.actions.mail import diagnose
from guardhooks_core.actions.mail.whois import Whois
from tests.core.actions.mail import kit
from tests.core.actions.mail.kit import (
    JAIL,
    NOW,
    Bench,
    FakeSendmail,
    PostOffice,
    ban,
    mail,
    post_office,
    text_of,
    whois_server,
)

LINES = [
    "Address:     203.0.113.7", "Why:         too many (5 failures)", "User:        root",
    "Times:       ban number 3 in this jail", "Length:      10 minutes, until 2027-01-15",
]  # fmt: skip
WHOIS = b"inetnum: 203.0.113.0/24\nnetname: EXAMPLE\ncountry: NL\n"


def with_office(story: Callable[[Bench, PostOffice], Awaitable[None]]) -> None:
    """Run a story with a plugin whose mail goes to a real SMTP server; no message may be left at its end."""

    async def life() -> None:
        async with post_office() as office:
            await story(Bench(), office)
            assert office.envelopes.empty()

    asyncio.run(life())


def test_one_ban():
    async def story(bench: Bench, office: PostOffice) -> None:
        action = mail(smtp=office.address, sender="guard@example.org", sendername="Fail2Ban", dest="root@example.org")
        outcome = await bench.do(action, Op.START)
        assert outcome == Outcome(note=f"mail to root@example.org by smtp {office.address}", notifies=True)
        assert await bench.do(action, Op.BAN, ban(fields={"user": "root"}, reason="too many", count=3)) is True
        message = await office.message()
        assert set(message.keys()) == kit.HEADERS
        assert len(message.keys()) == len(kit.HEADERS)
        host = (await bench.hostnames.own())["fq-hostname"]
        assert message["Subject"] == f"[Fail2Ban] sshd: banned 203.0.113.7 from {host}"
        assert message["From"] == "Fail2Ban <guard@example.org>"
        assert message["To"] == "root@example.org"
        assert message["Auto-Submitted"] == "auto-generated"
        text = text_of(message)
        assert [line for line in LINES if line not in text] == []
        assert "Matched" not in text

    with_office(story)


def test_a_ban_that_is_not_in_force_is_not_called_banned():
    async def story(bench: Bench, office: PostOffice) -> None:
        action = mail(smtp=office.address, digest="0")
        await bench.do(action, Op.START)
        await bench.do(action, Op.BAN, ban(not_in_force="action nftables: the set is full"))
        message = await office.message()
        assert "sshd: decided, NOT in force: 203.0.113.7 on" in message["Subject"]
        assert "203.0.113.7: action nftables: the set is full" in text_of(message)
        assert "banned" not in text_of(message)
        await bench.do(action, Op.BAN, ban())
        assert "sshd: banned 203.0.113.7 from" in (await office.message())["Subject"]

    with_office(story)


def test_a_ban_that_is_in_force_after_a_moment_makes_one_message():
    async def story(bench: Bench, office: PostOffice) -> None:
        action = mail(smtp=office.address, digest="3600")
        await bench.do(action, Op.START)
        await bench.do(action, Op.BAN, ban(not_in_force="action nftables: busy"))
        await bench.do(action, Op.BAN, ban())
        await bench.do(action, Op.STOP)
        message = await office.message()
        assert "sshd: banned 203.0.113.7 from" in message["Subject"]
        assert "NOT in force" not in text_of(message)

    with_office(story)


def test_lines_whois_and_name(tmp_path: Path):
    (tmp_path / "log").write_text("1 from 203.0.113.7\n2 from 203.0.113.8\n3 from 203.0.113.7\n4 from 203.0.113.7\n")

    async def story(bench: Bench, office: PostOffice) -> None:
        async with whois_server(WHOIS) as port:
            action = mail(
                "sendmail-geoip-lines", smtp=office.address, logpath=f"{tmp_path}/log", grepmax="2",
                whois_server=f"127.0.0.1:{port}",
            )  # fmt: skip
            await bench.do(action, Op.START)
            await bench.do(action, Op.BAN, ban())
            text = text_of(await office.message())
        assert "Name:        host.example" in text
        assert "Country:     NL" in text
        assert (
            f"Last lines of {tmp_path}/log that name 203.0.113.7 (at most 2):\n  3 from 203.0.113.7\n  4 from" in text
        )
        assert "Whois 203.0.113.7:\n  inetnum: 203.0.113.0/24\n  netname: EXAMPLE" in text
        assert "https://bgp.he.net/ip/203.0.113.7" in text

    with_office(story)


def test_matches_are_quoted_if_no_log_names_the_address():
    async def story(bench: Bench, office: PostOffice) -> None:
        action = mail("mail-whois-lines", smtp=office.address)
        await bench.do(action, Op.START)
        await bench.do(action, Op.BAN, ban(matches=("line one", "line two")))
        text = text_of(await office.message())
        assert "Matched lines:\n  line one\n  line two\n" in text
        assert "(203.0.113.7 is not a public address)" in text

    with_office(story)


def test_a_whois_server_that_is_silent_delays_only_the_message():
    async def life() -> str:
        async with post_office() as office, whois_server(b"", silent=True) as port:
            bench = Bench(Whois(lambda: NOW, timeout=0.1))
            action = mail("mail-whois", smtp=office.address, whois_server=f"127.0.0.1:{port}")
            await bench.do(action, Op.START)
            await bench.do(action, Op.BAN, ban())
            return text_of(await office.message())

    assert "(whois server 127.0.0.1: no answer in time)" in asyncio.run(life())


def test_existing_bans_are_not_reported():
    async def story(bench: Bench, office: PostOffice) -> None:
        action = mail(smtp=office.address)
        old = ban("203.0.113.1")
        await bench.do(action, Op.START, old)
        await bench.do(action, Op.BAN, old, ban("203.0.113.2", restored=True))
        await bench.do(action, Op.BAN, ban("203.0.113.3"))
        assert "banned 203.0.113.3 " in (await office.message())["Subject"]
        await bench.do(action, Op.BAN, ban("203.0.113.3", length=PERMANENT))
        await bench.do(action, Op.UNBAN, old)
        await bench.do(action, Op.CHECK)
        await bench.do(action, Op.BAN, ban("203.0.113.3", length=PERMANENT))
        message = await office.message()
        assert "banned 203.0.113.3 " in message["Subject"]
        assert "Length:      permanent" in text_of(message)

    with_office(story)


def test_restored_bans_are_reported_if_configured():
    async def story(bench: Bench, office: PostOffice) -> None:
        action = mail(smtp=office.address, norestored="no")
        await bench.do(action, Op.START, ban("203.0.113.1", restored=True), ban("203.0.113.2", restored=True))
        assert "banned 2 addresses " in (await office.message())["Subject"]

    with_office(story)


def test_ten_thousand_bans_are_one_message():
    async def story(bench: Bench, office: PostOffice) -> None:
        action = mail("sendmail-whois-lines", smtp=office.address)
        await bench.do(action, Op.START)
        await bench.do(
            action, Op.BAN, *(ban(f"10.1.{n // 250}.{n % 250}", matches=("x" * 500,) * 5) for n in range(10_000))
        )
        message = await office.message()
        assert "banned 10,000 addresses from" in message["Subject"]
        text = text_of(message)
        assert text.count("5 failures; 10 minutes, until") == 100
        assert "… and 9,900 more; `guardhooks status sshd` lists all" in text
        assert len(text) < 300_000

    with_office(story)


def test_unbans_start_and_stop_are_reported_if_configured():
    async def story(bench: Bench, office: PostOffice) -> None:
        action = mail(smtp=office.address, unban="yes", start_stop="yes")
        await bench.do(action, Op.START)
        assert "sshd: started on" in (await office.message())["Subject"]
        await bench.do(action, Op.UNBAN, ban())
        message = await office.message()
        assert "sshd: unbanned 203.0.113.7 on" in message["Subject"]
        assert "Unbanned:\n  203.0.113.7" in text_of(message)
        await bench.do(action, Op.FLUSH)
        assert "sshd: stopped on" in (await office.message())["Subject"]

    with_office(story)


def test_start_and_stop_are_not_reported_by_default():
    async def story(bench: Bench, office: PostOffice) -> None:
        action = mail(smtp=office.address)
        await bench.do(action, Op.START)
        await bench.do(action, Op.UNBAN, ban())
        await bench.do(action, Op.STOP)

    with_office(story)


def test_buffered_bans_are_sent_together_and_at_the_end():
    async def story(bench: Bench, office: PostOffice) -> None:
        action = mail("mail-buffered", smtp=office.address, lines="3")
        await bench.do(action, Op.START)
        for number in range(3):
            await bench.do(action, Op.BAN, ban(f"203.0.113.{number}"))
        assert "banned 3 addresses " in (await office.message())["Subject"]
        await bench.do(action, Op.BAN, ban("203.0.113.8"))
        await bench.do(action, Op.BAN, ban("203.0.113.9"))
        await bench.do(action, Op.STOP)
        assert "banned 2 addresses " in (await office.message())["Subject"]

    with_office(story)


def test_what_is_collected_is_sent_when_the_daemon_stops(tmp_path: Path):
    async def story(bench: Bench, office: PostOffice) -> None:
        action = mail(smtp=office.address, digest="1h")
        await bench.do(action, Op.START)
        await bench.do(action, Op.BAN, ban(), ban("203.0.113.8"))
        await bench.do(action, Op.STOP)
        assert "banned 2 addresses " in (await office.message())["Subject"]

    with_office(story)


def test_a_reload_applies_other_parameters():
    async def story(bench: Bench, office: PostOffice) -> None:
        old = mail(smtp="127.0.0.1:1")
        await bench.do(old, Op.START)
        await bench.do(old, Op.BAN, ban())
        while not (await bench.check(old, ban())).warning:
            await asyncio.sleep(0)
        new = mail(smtp=office.address, dest="other@example.org")
        await bench.do(new, Op.START, ban())
        await bench.do(old, Op.FLUSH)
        message = await office.message()
        assert message["To"] == "other@example.org"
        await bench.do(new, Op.BAN, ban("203.0.113.8"))
        assert "203.0.113.8" in (await office.message())["Subject"]

    with_office(story)


def test_options_of_the_jail_may_change_without_a_start():
    async def story(bench: Bench, office: PostOffice) -> None:
        action = mail()
        before, after = (replace(JAIL, options={"mail.smtp": to}) for to in ("127.0.0.1:1", office.address))
        await bench.do(action, Op.START, jail=before)
        await bench.do(action, Op.BAN, ban(), jail=before)
        await bench.do(action, Op.CHECK, ban(), jail=after)
        assert "203.0.113.7" in (await office.message())["Subject"]

    with_office(story)


def test_mail_that_fails_delays_nothing_and_is_shown_and_retried(caplog: pytest.LogCaptureFixture):
    async def story(bench: Bench, office: PostOffice) -> None:
        office.refusals = ["451 later"]
        action = mail(smtp=office.address)
        await bench.do(action, Op.START)
        assert await bench.do(action, Op.BAN, ban()) is True
        await office.refused.get()
        while not (outcome := await bench.check(action, ban())).warning:
            await asyncio.sleep(0)
        assert outcome.warning == f"mail was not sent, retrying: smtp {office.address} refuses: 451 later"
        assert outcome.note == f"mail to root by smtp {office.address}, 1 waiting"
        assert await bench.do(action, Op.BAN, ban("203.0.113.8")) is True
        await bench.do(action, Op.STOP)  # Retries at once.
        assert "banned 2 addresses " in (await office.message())["Subject"]

    with_office(story)
    assert "[sshd/sendmail] mail was not sent, retrying: smtp" in caplog.text
    assert "refuses: 451 later (in 10 s)" in caplog.text
    assert "[sshd/sendmail] mail is sent again" in caplog.text


def test_wrong_parameters_make_no_ban_fail(caplog: pytest.LogCaptureFixture):
    async def life() -> None:
        bench = Bench()
        action = replace(mail(dest="-f"), place="jail.local:3: [sshd] action")
        outcome = await bench.do(action, Op.START)
        assert isinstance(outcome, Outcome)
        assert outcome.warning == (
            "no mail is sent: jail.local:3: [sshd] action: action sendmail: "
            "dest: '-f' is not a mail address such as root or admin@example.org"
        )
        assert await bench.do(action, Op.BAN, ban()) is True
        assert await bench.do(action, Op.UNBAN, ban()) is True
        assert await bench.do(action, Op.STOP) is True

    asyncio.run(life())
    assert "[sshd] no mail is sent: " in caplog.text


def test_options_without_effect_are_reported(caplog: pytest.LogCaptureFixture):
    async def life() -> None:
        outcome = await Bench().do(mail(grepopts="-m 3", smtp="127.0.0.1:1"), Op.START)
        assert isinstance(outcome, Outcome)
        assert outcome.warning == "grepopts has no effect here; native = no runs the file"

    asyncio.run(life())
    assert "action sendmail: grepopts has no effect here" in caplog.text


def test_jails_do_not_mix(tmp_path: Path):
    async def story(bench: Bench, office: PostOffice) -> None:
        other = replace(JAIL, name="nginx")
        action = mail(smtp=office.address)
        await bench.do(action, Op.START)
        await bench.do(replace(action, options={**action.options, "name": "nginx"}), Op.START, jail=other)
        await bench.do(action, Op.BAN, ban())
        assert "sshd: banned 203.0.113.7 " in (await office.message())["Subject"]
        await bench.do(action, Op.STOP)
        await bench.do(replace(action, options={**action.options, "name": "nginx"}), Op.BAN, ban(), jail=other)
        assert "nginx: banned 203.0.113.7 " in (await office.message())["Subject"]

    with_office(story)


def test_a_local_sendmail_gets_it(tmp_path: Path):
    async def life() -> None:
        bench = Bench()
        action = mail(sendmail=str(FakeSendmail(tmp_path).program), sender="guard", dest="root, a@example.org")
        await bench.do(action, Op.START)
        await bench.do(action, Op.BAN, ban())
        await bench.do(action, Op.STOP)

    asyncio.run(life())
    [folder] = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert len(list(folder.iterdir())) == 1


def test_other_actions_are_left_to_other_plugins():
    assert asyncio.run(Bench().do(ActionSpec("dshield", "dshield"), Op.START)) is None
    assert asyncio.run(Bench().do(mail(native="no"), Op.START)) is None


def test_the_doctor_checks_whether_mail_can_be_sent(tmp_path: Path):
    async def life() -> None:
        async with post_office() as office:

            async def diagnosis(**options: str) -> list[Finding] | None:
                return await asyncio.to_thread(diagnose, JAIL, mail(dest="a@example.org", **options), "")

            way = f"smtp {office.address}"
            assert await diagnosis(smtp=office.address) == [Finding(f"mail goes to a@example.org by {way}", Level.GOOD)]
            assert office.envelopes.empty()
            missing = f"mail cannot be sent: {tmp_path}/sendmail does not exist or is not executable"
            assert await diagnosis(sendmail=f"{tmp_path}/sendmail") == [Finding(missing, Level.BAD)]
            [closed] = await diagnosis(smtp="127.0.0.1:1") or []
            assert closed.text.startswith("mail cannot be sent: smtp 127.0.0.1:1: ")
            assert await diagnosis(native="no") is None

    asyncio.run(life())


def test_the_doctor_says_that_mail_blocks_no_one():
    assert diagnose(JAIL, mail(), "203.0.113.7") == [Finding("it only reports bans and blocks no one")]
