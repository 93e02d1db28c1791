"""What the doctor makes of what it finds."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from guardhooks import ActionError, ActionSpec, Ban, Finding, Guard, GuardhooksError, Ignore, Jail, Level, Op, hookimpl
from guardhooks.doctor.connections import Open, open_connections
from guardhooks.doctor.diagnosis import Diagnosis
from guardhooks.doctor.examination import examine
from guardhooks.doctor.ledger_file import look_at
from guardhooks.plugins import Plugins
from tests.kit.guards import make_guard

ADDRESS = "203.0.113.9"
KEPT = Finding("the wall drops it", Level.GOOD, blocks=True)
THROUGH = Finding("the wall has a hole", Level.BAD, "mend the wall", blocks=False)
ABSENT = Finding("not in the wall", Level.GOOD, blocks=False)
WALL, FENCE = ActionSpec("wall", "wall"), ActionSpec("fence", "fence")
SSHD = Jail("sshd", actions=(WALL, FENCE))
TRACKED = """\
ipv4     2 tcp      6 431999 ESTABLISHED src=203.0.113.9 dst=192.0.2.1 sport=50000 dport=22 src=192.0.2.1 \
dst=203.0.113.9 sport=22 dport=50000 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 431999 ESTABLISHED src=192.0.2.1 dst=203.0.113.9 sport=40000 dport=443 src=203.0.113.9 \
dst=192.0.2.1 sport=443 dport=40000 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 100 SYN_RECV src=203.0.113.9 dst=192.0.2.1 sport=50001 dport=22 src=192.0.2.1 dst=203.0.113.9 \
sport=22 dport=50001 mark=0 zone=0 use=2
ipv4     2 udp      17 100 src=203.0.113.9 dst=192.0.2.1 sport=5353 dport=53 src=192.0.2.1 dst=203.0.113.9 sport=53 \
dport=5353 [ASSURED] mark=0 zone=0 use=2
ipv6     10 tcp      6 431999 ESTABLISHED src=2001:0db8:0000:0000:0000:0000:0000:0009 \
dst=2001:0db8:0000:0000:0000:0000:0000:0001 sport=50002 dport=25 src=2001:0db8:0000:0000:0000:0000:0000:0001 \
dst=2001:0db8:0000:0000:0000:0000:0000:0009 sport=25 dport=50002 [ASSURED] mark=0 zone=0 use=2
"""


@dataclass
class Builder:
    """The plugin of the test: what each action says when the doctor looks, and whether its work fails."""

    says: dict[str, object] = field(default_factory=dict)
    asked: list[tuple[str, tuple[str, ...], str]] = field(default_factory=list)
    broken: bool = False
    ready: threading.Event = field(default_factory=threading.Event)
    protected: str = ""

    def __post_init__(self) -> None:
        self.ready.set()

    @hookimpl
    def execute_action(self, op: Op, bans: Sequence[Ban]) -> bool:
        if self.broken:
            raise ActionError("the wall has fallen")
        return self.ready.wait(20)

    @hookimpl
    def diagnose(self, action: ActionSpec, bans: Sequence[Ban], address: str) -> object:
        self.asked.append((action.name, tuple(ban.id for ban in bans), address))
        answer = self.says.get(action.name)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @hookimpl
    def refuse_ban(self, id: str) -> Ignore | None:
        return Ignore("the friends' list") if id == self.protected else None


def play(state: Path, builder: Builder, story: Callable[[Guard], Awaitable[None]]) -> None:
    async def act() -> None:
        plugins = Plugins(lambda: 1000.0)
        plugins.register(builder, "builder")
        guard = make_guard(plugins, SSHD, state=state)
        await guard.start()
        try:
            await story(guard)
        finally:
            await guard.stop()

    asyncio.run(act())


def banned_and_examined(state: Path, builder: Builder, *, ban: bool = True) -> Diagnosis:
    found: list[Diagnosis] = []

    async def story(guard: Guard) -> None:
        if ban:
            await guard.ban("sshd", ADDRESS)
            async with asyncio.timeout(20):
                while guard.enforcer.state("sshd", ADDRESS) == "pending":
                    await asyncio.sleep(0.001)
        found.append(await examine(guard, ADDRESS))

    play(state, builder, story)
    return found[0]


@pytest.mark.parametrize(
    ("ban", "wall", "fence", "kept_out", "healthy", "verdict"),
    [
        (True, [KEPT], None, True, True, "is kept out: the wall drops it"),
        (True, [THROUGH], None, False, False, "is banned and gets through: the wall has a hole"),
        (True, [KEPT], [THROUGH], True, False, "drops it; but not everywhere where it is banned: the wall has a hole"),
        (True, [KEPT], [ABSENT], True, True, "is kept out: the wall drops it"),
        (True, None, None, None, True, "is banned; whether its packets are dropped cannot be read"),
        (False, [ABSENT], None, False, True, "gets through: nobody bans it"),
        (False, [KEPT], None, True, True, "is kept out, although it is not banned: the wall drops it"),
    ],
)
def test_the_last_word_follows_from_what_the_actions_hold(  # noqa: PLR0917 -- a table
    tmp_path: Path, ban: bool, wall: object, fence: object, kept_out: bool | None, healthy: bool, verdict: str
) -> None:
    builder = Builder({"wall": wall, "fence": fence})

    found = banned_and_examined(tmp_path, builder, ban=ban)

    assert found.kept_out is kept_out
    assert found.healthy is healthy
    assert found.verdict.startswith(ADDRESS)
    assert verdict in found.verdict
    ids = (ADDRESS,) if ban else ()
    assert builder.asked == [("wall", ids, ADDRESS), ("fence", ids, ADDRESS)]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (RuntimeError("a bug\x1b[2J"), r"plugin builder failed: RuntimeError: a bug\x1b[2J"),
        (ActionError("no privilege"), "builder: no privilege"),
        (7, "plugin builder failed: PluginError: it returned int; the hook allows list"),
    ],
)
def test_a_plugin_that_fails_is_a_finding_and_the_others_are_asked(tmp_path: Path, answer: object, text: str) -> None:
    found = banned_and_examined(tmp_path, Builder({"wall": answer, "fence": [KEPT]}))

    assert ("action sshd/wall", Finding(text, Level.BAD)) in found.findings
    assert found.kept_out is True
    assert not found.healthy


def test_who_is_connected_to_a_port_that_no_ban_closes_is_not_kept_out(tmp_path: Path) -> None:
    async def story() -> None:
        plugins = Plugins(lambda: 1000.0)
        plugins.register(Builder({"wall": [KEPT]}), "builder")
        wall = ActionSpec("wall", "wall", {"port": "1"})
        guard = make_guard(plugins, Jail("sshd", actions=(wall,)), state=tmp_path)
        await guard.start()
        await guard.ban("sshd", "127.0.0.2", force=True)
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0)):
                found = await examine(guard, "127.0.0.2")
        assert found.kept_out is False
        assert f"is banned and gets through: it is connected to tcp/{port}" in found.verdict
        await guard.stop()

    asyncio.run(story())


def test_a_ban_that_is_not_in_force_is_wrong(tmp_path: Path) -> None:
    found = banned_and_examined(tmp_path, Builder({"wall": [THROUGH]}, broken=True))

    texts = [finding.text for about, finding in found.findings if about == "jail sshd" and finding.level is Level.BAD]
    assert len(texts) == 1
    assert "but not in force: failing" in texts[0]


def test_a_ban_that_is_only_just_being_made_is_not_wrong(tmp_path: Path) -> None:
    async def story(guard: Guard) -> None:
        await guard.ban("sshd", ADDRESS)
        assert guard.enforcer.state("sshd", ADDRESS) == "pending"
        found = await examine(guard, ADDRESS)
        assert any(finding.text.endswith("; it is being put in force") for _, finding in found.findings)
        assert found.healthy
        builder.ready.set()

    builder = Builder({"wall": [KEPT]})
    builder.ready.clear()
    play(tmp_path, builder, story)


def test_who_is_spared_and_banned_all_the_same_is_wrong(tmp_path: Path) -> None:
    found: list[Diagnosis] = []

    async def story(guard: Guard) -> None:
        await guard.ban("sshd", ADDRESS)
        builder.protected = ADDRESS
        found.append(await examine(guard, ADDRESS))

    builder = Builder({"wall": [KEPT]})
    play(tmp_path, builder, story)
    wrong = Finding(
        "it is banned although the friends' list exempts it", Level.BAD, f"guardhooks unban {ADDRESS} --jail sshd"
    )
    assert ("jail sshd", wrong) in found[0].findings


def test_the_whole_is_looked_at_with_all_bans_that_are_due(tmp_path: Path) -> None:
    async def story(guard: Guard) -> None:
        await guard.ban("sshd", ADDRESS)
        found = await examine(guard)
        assert [about for about, _ in found.findings if about.startswith("action")][-1] == "action sshd/fence"
        assert ("action sshd/wall", KEPT) in found.findings
        assert found.to_dict()["verdict"] == ""

    builder = Builder({"wall": [KEPT], "fence": []})
    play(tmp_path, builder, story)
    assert builder.asked == [("wall", (ADDRESS,), ""), ("fence", (ADDRESS,), "")]


def test_only_single_addresses_can_be_examined(tmp_path: Path) -> None:
    async def story(guard: Guard) -> None:
        for wrong in ("192.0.2.0/24", "somebody"):
            with pytest.raises(GuardhooksError, match="is not a single address"):
                await examine(guard, wrong)

    play(tmp_path, Builder(), story)


def test_the_ledger_file_is_looked_at_from_outside(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    assert [finding.level for finding in look_at(None)] == [Level.NOTE]
    assert [finding.level for finding in look_at(file)] == [Level.NOTE]
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE some (thing TEXT)")
    connection.close()
    assert next(look_at(file)).text == f"{file} is whole, 0.0 MB"
    file.write_bytes(b"no database at all" * 100)
    damaged = next(look_at(file))
    assert damaged.level is Level.BAD
    assert damaged.text.startswith(f"{file} is damaged: ")


def test_connections_are_those_that_the_address_has_opened(tmp_path: Path) -> None:
    (tmp_path / "nf_conntrack").write_text(TRACKED)

    assert open_connections(ADDRESS, tmp_path) == [Open("tcp", 22, 50000), Open("udp", 53, 5353)]
    assert open_connections("2001:db8::9", tmp_path) == [Open("tcp", 25, 50002)]
    assert open_connections("203.0.113.90", tmp_path) == []
    assert open_connections(ADDRESS, tmp_path / "nothing") == []


class Hanging(Builder):
    """The wall does not answer before the test is over; the fence, once the wall has been asked."""

    asked_both = threading.Barrier(2, timeout=20)
    over = threading.Event()

    @hookimpl
    def diagnose(self, action: ActionSpec) -> list[Finding]:
        self.asked_both.wait()
        if action == WALL:
            self.over.wait(20)
        return [KEPT]


@pytest.mark.parametrize("address", ["", ADDRESS])
def test_what_hangs_is_named_and_costs_no_other_finding(tmp_path: Path, address: str) -> None:
    builder = Hanging()

    async def story(guard: Guard) -> None:
        diagnosis = await examine(guard, address, patience=5.0)
        builder.over.set()
        found = dict(each for each in diagnosis.findings if each[0] == "action sshd/fence" or "answer" in each[1].text)
        assert found["action sshd/wall"].text == "it did not answer within 5 s"
        assert found["action sshd/fence"] == KEPT

    builder.over.clear()
    play(tmp_path, builder, story)
