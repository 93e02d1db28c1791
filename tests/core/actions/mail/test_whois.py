"""Who an address belongs to, asked of real servers on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import pytest

from guardhooks_core.actions.mail.whois import Answer, Streams, Whois, connect_safely, read_answer
from tests.core.actions.mail.kit import NOW, connect_here, unreachable, whois_server

ADDRESS = "185.0.0.1"
RIPE = b"""% This is the RIPE Database query service.

inetnum:        185.0.0.0 - 185.0.15.255
netname:        EXAMPLE
country:        NL

person:         Jemand \xc3\x9cblich
country:        DE
"""


def test_referrals_are_followed_and_the_answer_is_cached_for_its_network():
    async def life() -> None:
        asked: list[bytes] = []
        now = NOW
        async with whois_server(b"refer: whois.ripe.net\n", asked) as iana, whois_server(RIPE, asked) as ripe:
            ports = {"whois.iana.org": iana, "whois.ripe.net": ripe}
            whois = Whois(lambda: now, connect_here(ports))
            answer = await whois.about(ADDRESS)
            assert (answer.country, answer.problem) == ("NL", "")
            assert answer.text.startswith("inetnum:        185.0.0.0 - 185.0.15.255\nnetname:        EXAMPLE")
            assert answer.text.endswith("person:         Jemand Üblich\ncountry:        DE")
            assert asked == [b"185.0.0.1\r\n"] * 2
            assert await whois.about("185.0.15.9") == answer
            assert len(asked) == 2
            await whois.about("185.0.16.1")
            assert len(asked) == 4
            now += 86401
            await whois.about(ADDRESS)
            assert len(asked) == 6

    asyncio.run(life())


def test_a_configured_server_is_queried_about_any_address():
    async def life() -> Answer:
        async with whois_server(b"inetnum: 10.0.0.0/8\ncountry: ZZ\n") as port:
            return await Whois(lambda: NOW).about("10.1.2.3", ("127.0.0.1", port))

    assert asyncio.run(life()).country == "ZZ"


def test_arin_is_queried_in_its_own_syntax():
    async def life() -> list[bytes]:
        asked: list[bytes] = []
        async with whois_server(b"refer: whois.arin.net\n") as iana, whois_server(b"Country: US\n", asked) as arin:
            connect = connect_here({"whois.iana.org": iana, "whois.arin.net": arin})
            assert (await Whois(lambda: NOW, connect).about("8.8.8.8")).country == "US"
        return asked

    assert asyncio.run(life()) == [b"n + 8.8.8.8\r\n"]


def test_referrals_end():
    async def life() -> list[bytes]:
        asked: list[bytes] = []
        async with contextlib.AsyncExitStack() as stack:
            chain = ["whois.iana.org", *(f"{number}.example" for number in range(9))]
            ports = {
                name: await stack.enter_async_context(whois_server(f"refer: {after}\n".encode(), asked))
                for name, after in itertools.pairwise(chain)
            }
            await Whois(lambda: NOW, connect_here(ports)).about(ADDRESS)
        async with whois_server(b"refer: whois.iana.org\n", asked) as port:
            await Whois(lambda: NOW, connect_here({"whois.iana.org": port})).about(ADDRESS)
        return asked

    assert len(asyncio.run(life())) == 4 + 1


def test_after_a_dead_referral_the_previous_answer_is_used_but_not_cached():
    async def life() -> None:
        asked: list[bytes] = []
        answer = b"refer: nowhere.example\ninetnum: 185.0.0.0 - 185.255.255.255\nowner: somebody\n"
        async with whois_server(answer, asked) as port:

            async def connect(server: tuple[str, int], is_referred: bool) -> Streams:
                if is_referred:
                    raise ConnectionRefusedError
                return await asyncio.open_connection("127.0.0.1", port)

            whois = Whois(lambda: NOW, connect)
            for _ in range(2):
                found = await whois.about(ADDRESS)
                assert "somebody" in found.text
                assert found.problem == "whois server nowhere.example: ConnectionRefusedError"
            assert len(asked) == 2

    asyncio.run(life())


def test_no_server_answers():
    async def life() -> tuple[Answer, Answer]:
        async with whois_server(b"", silent=True) as port:
            slow = await Whois(lambda: NOW, timeout=0.05).about(ADDRESS, ("127.0.0.1", port))
            return slow, await Whois(lambda: NOW, unreachable).about(ADDRESS)

    slow, refused = asyncio.run(life())
    assert slow.problem == "whois server 127.0.0.1: no answer in time"
    assert refused.problem == "whois server whois.iana.org: ConnectionRefusedError"


def test_an_answer_without_end_is_cut():
    async def life() -> Answer:
        async with whois_server(b"owner: somebody\n" + b"x" * 30_000_000) as port:
            return await Whois(lambda: NOW).about(ADDRESS, ("127.0.0.1", port))

    answer = asyncio.run(life())
    assert answer.text.startswith("owner: somebody\nxxx")
    assert len(answer.text) < 1000


def test_no_server_is_queried_about_private_addresses():
    answer = asyncio.run(Whois(lambda: NOW, unreachable).about("192.168.1.1"))
    assert answer.problem == "192.168.1.1 is not a public address"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.0.0.1", "localhost"])
def test_a_referral_cannot_lead_into_this_network(host: str):
    with pytest.raises(OSError, match="no public address"):
        asyncio.run(connect_safely((host, 43), True))


@pytest.mark.parametrize(
    "text",
    [
        "refer: -x", "refer: a b.example", "refer: x.example:25", "refer: rwhois://x.example:4321",
        "refer: $(id).example",
        "refer: localhost", "refer: 127.0.0.1", "ReferralServer: http://x.example", "refer: " + "a" * 300 + ".example",
    ],
)  # fmt: skip
def test_no_referral(text: str):
    assert read_answer(text.encode(), "x").referral is None


def test_referral_of_arin():
    assert read_answer(b"ReferralServer:  whois://whois.ripe.net\r\n", "x").referral == ("whois.ripe.net", 43)


@pytest.mark.parametrize(
    "text",
    [
        "inetnum: 0.0.0.0 - 255.255.255.255", "inetnum: 9.9.9.9 - 1.1.1.1", "inetnum: x - y", "route: 0.0.0.0/0",
        "inet6num: ::/0", "CIDR: nonsense", "inetnum: ::1 - ::2",
    ],
)  # fmt: skip
def test_no_network(text: str):
    assert read_answer(text.encode(), "x").networks == ()


def test_a_hostile_answer_becomes_printable_lines():
    answer = read_answer(
        b"a\n~!touch x\n.\n\x1b[2J\r\nBcc: x\n" + b"\n" * 1000 + b"z" * 100_000 + b"\n" * 9 + b"q\n" * 9999, "x"
    )
    lines = answer.text.split("\n")
    assert len(lines) <= 152
    assert lines[:4] == ["a", "~!touch x", ".", "\\x1b[2J"]
    assert all(line.isprintable() and len(line) <= 301 for line in lines)
