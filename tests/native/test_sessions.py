"""Interleaved sessions, several jails, odd bytes: the native core finds what the plain matcher finds."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardhooks import Chunk, FilterSpec, Jail
from guardhooks.settings import load_filter
from tests.native.comparing import Pair, block

NOW = 1_760_000_000.0
PACKAGED = Path(__file__).parent.parent.parent / "config"
SSHD = load_filter(PACKAGED, "sshd")
WEB = FilterSpec(
    "web",
    failregex=(
        r"^\s*<HOST> - (?P<user>\S+) .*\" 40[13] ",
        r"^\s*<HOST> .* sent (?P<junk>[^x]+)x$",
        r"(?i)^\s*BAD <F-ID>\S+</F-ID>$",
    ),
    ignoreregex=(r"healthcheck",),
)
SESSIONS = FilterSpec(
    "sessions",
    prefregex=r"^\s*<F-MLFID>\S+ app\[\d+\]: </F-MLFID>(?:error: )?<F-CONTENT>.+</F-CONTENT>$",
    failregex=(
        r"^<F-NOFAIL>connect from</F-NOFAIL> <ADDR>$",
        r"^bad password for <F-USER>\S*</F-USER>(?: from <HOST>)?$",
        r"^<F-MLFGAINED>accepted</F-MLFGAINED> <F-USER>\w+</F-USER>$",
        r"^<F-MLFFORGET><F-NOFAIL>closed</F-NOFAIL></F-MLFFORGET>(?: by <ADDR>)?$",
        r"^<F-MLFFORGET>abandoned</F-MLFFORGET> by <F-ALT_USER>\w+</F-ALT_USER> <ADDR>$",
        r"^<F-NOFAIL>user</F-NOFAIL> <F-USER>\S+</F-USER>$",
        r"^<F-STEP1>unknown</F-STEP1> (?:<F-USER>\S+</F-USER>)?$",
        r"^<F-STEP3>refused</F-STEP3> (?:from <ADDR>)?$",
        r"^<F-STEP9><F-MLFFORGET>gave up</F-MLFFORGET></F-STEP9> <ADDR>$",
    ),
)
WORDS = ("root", "anna", "bjørn", "", "a b", "x" * 40, "[77]", "\ufffd", "٣")
BYTES = (b"\0", b"\xff\xfe", b"\xe2\x82", b"\r", b"\t", b"\x1c", b"\x85", "½ſK".encode(), b"[", b"[%s]" % (b"9" * 41))


class Log:
    """Writes lines of a few sessions at a time."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self.now = NOW
        # Where some lines have dates and some have none, the last known date depends on which lines a prefilter rules
        # out, so a log has either.
        self.dated = source.random() < 0.8

    def stamp(self) -> str:
        late = self.source.choice([0, 0, 0, 0, 1, 59, 61, 700, -5, -90, 4000])
        moment = self.now - late
        style = self.source.random()
        if not self.dated:
            return self.source.choice(["", "Feb 30 10:00:00"])
        if style < 0.7:
            return time.strftime("%b %d %H:%M:%S", time.localtime(moment))
        if style < 0.85:
            return (
                time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(moment)) + f".{self.source.randrange(10**6):06}+00:00"
            )
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))

    def message(self) -> str:
        choose = self.source.choice
        address = choose(
            ["192.0.2.1", "192.0.2.77", "2001:db8::1", "999.1.1.1", "host.example", "010.0.0.1", "::ffff:192.0.2.9"]
        )
        user, number = choose(WORDS), self.source.randrange(1, 9)
        return choose(
            [
                f"srv app[{number}]: connect from {address}",
                f"srv app[{number}]: bad password for {user} from {address}",
                f"srv app[{number}]: error: bad password for {user}",
                f"srv app[{number}]: accepted {user}",
                f"srv app[{number}]: closed by {address}",
                f"srv app[{number}]: closed",
                f"srv app[{number}]: abandoned by anna {address}",
                f"srv app[{number}]: user {user}",
                f"srv app[{number}]: unknown {user}",
                f"srv app[{number}]: refused",
                f"srv app[{number}]: refused from {address}",
                f"srv app[{number}]: gave up {address}",
                f"[{number}] app[{number + 1}]: bad password for {user} from {address}",
                f"srv sshd[{number}]: Failed password for {user} from {address} port 22 ssh2",
                f"srv sshd[{number}]: Invalid user {user} from {address} port 22",
                f"srv sshd[{number}]: Accepted publickey for {user} from {address} port 22 ssh2",
                f"srv sshd[{number}]: Connection closed by {address} port 22 [preauth]",
                f"srv sshd[{number}]: pam_unix(sshd:session): session opened for user {user}",
                f'{address} - {user} [x] "GET /{user} HTTP/1.0" {choose(["401", "200", "403"])} 12',
                f'{address} healthcheck " 401 sent {user}x',
                f"bAd {user}",
                f"{address} sent {user}x",
            ]
        )

    def line(self) -> bytes:
        data = f"{self.stamp()} {self.message()}".strip().encode()
        if self.source.random() < 0.15:
            place = self.source.randrange(min(len(data), 33), len(data) + 1)  # behind the date
            data = data[:place] + self.source.choice(BYTES) + data[place:]
        if self.source.random() < 0.02:
            data += self.source.choice([b" " * 70_000, b"a[1]" * 9000, b"\xc3" * 2000])
        return data.replace(b"\n", b" ")


def jails(source: random.Random) -> list[Jail]:
    made = []
    for number, spec in enumerate((SSHD, SESSIONS, WEB, replace(SESSIONS, datepattern=("{NONE}",)))):
        made.append(
            Jail(
                f"jail{number}",
                spec,
                usedns=source.choice(["warn", "no", "raw", "yes"]),
                findtime=source.choice([60.0, 600.0]),
                maxmatches=source.choice([0, 1, 5]),
            )
        )
    source.shuffle(made)
    return made[: source.randint(1, 4)]


def chunk(log: Log) -> Chunk:
    source = log.source
    log.now += source.choice([0.0, 0.5, 1.0, 30.0, 200.0])
    lines = [log.line() for _ in range(source.randint(0, 25))]
    known = source.random() < 0.3
    times = tuple(log.now - source.random() * 100 for _ in lines) if known and lines else None
    return block(lines, log.now, live=source.random() < 0.6, times=times)


@pytest.mark.timeout(600)
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 64))
def test_sessions_at_random(seed: int) -> None:
    source = random.Random(seed)
    log, pair = Log(source), Pair(jails(source), prefilter=True)
    assert len(pair.native.jails) == len(pair.jails)
    for _ in range(source.randint(1, 6)):
        pair.feed(chunk(log))


def test_warnings_are_those_of_the_plain_matcher() -> None:
    pair = Pair([Jail("app", SESSIONS, findtime=60.0)], prefilter=True)
    for age in (4500, 4000, 30 * 3600, -300, -40 * 3600):  # an error of the zone, old, too old, ahead, too far ahead
        stamp = time.strftime("%b %d %H:%M:%S", time.localtime(NOW - age))
        line = f"{stamp} srv app[1]: bad password for root from 192.0.2.1"
        pair.feed(block([line], NOW), warnings=True)
        pair.feed(block([line], NOW, live=False), warnings=True)
    pair.feed(block(["srv app[1]: bad password for root from 192.0.2.1"], NOW + 100_000), warnings=True)
    assert len(pair.found) == 4


def test_one_process_serves_clients_one_after_the_other() -> None:
    pair = Pair([Jail("app", SESSIONS)], prefilter=True)
    stamp = time.strftime("%b %d %H:%M:%S", time.localtime(NOW))
    source = random.Random(11)
    words = (*(f"connect from {address}" for address in ("192.0.2.1", "2001:db8::1", "192.0.2.2")), "user x", "user y")
    for _ in range(50):
        pair.feed(block([f"{stamp} srv app[1]: {source.choice((*words, 'closed'))}" for _ in range(20)], NOW))


def test_more_sessions_than_are_kept() -> None:
    pair = Pair([Jail("app", SESSIONS)], prefilter=True)
    stamp = time.strftime("%b %d %H:%M:%S", time.localtime(NOW))
    source = random.Random(7)
    for _ in range(30):
        numbers = [source.randrange(300) for _ in range(200)]
        words = (
            "connect from 192.0.2.1",
            "bad password for x",
            "user y",
            "closed",
            "bad password for z from 192.0.2.2",
        )
        pair.feed(block([f"{stamp} srv app[{number}]: {source.choice(words)}" for number in numbers], NOW))
    assert pair.found


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n"])
def test_the_last_line_may_lack_its_end(end: bytes) -> None:
    pair = Pair([Jail("web", WEB)])
    pair.feed(Chunk(b"\n\r\nbad one\nBAD two" + end, "test", NOW))
    assert [failure.id for failure in pair.found] == ["one", "two"]


def test_a_jail_that_is_switched_off_finds_the_same(tmp_path: Path) -> None:
    from guardhooks.plugins import Plugins

    lines = block(["BAD one", '192.0.2.1 - x " 401 '], NOW)
    found = []
    for switches in ((), ("-native",)):
        plugins, jail = Plugins.load(), Jail("web", WEB, plugins=switches)
        (matcher,) = plugins.line_matcher(_Source(), [jail])
        fed = plugins.feed(matcher, lines)
        found.append([fed.failure(row) for row in range(len(fed))])
        (row,) = [row for row in plugins.report([jail]) if row["hook"] == "line_matcher"]
        assert row["served_by"] == ("filterd" if switches else "native")
    assert found[0] == found[1] != []


class _Source:
    key = "test"

    def chunks(self, start: object) -> None: ...
    def status(self) -> None: ...
    async def close(self) -> None: ...
