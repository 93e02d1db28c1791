"""Who is never banned."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardhooks import Failure, Ignore, Jail, shell_script
from guardhooks_core.decisions import ignore
from guardhooks_core.decisions.ignore.command import ignores, tag_values
from guardhooks_core.decisions.ignore.lists import IgnoreList


class Plugin:
    """The plugin started for one jail."""

    def __init__(self) -> None:
        self.now = 0.0
        self.guard: Any = None
        self.jail = Jail("j")

    def start(self, **options: Any) -> None:  # noqa: ANN401 -- fields of a jail
        self.jail = replace(Jail("j", ignoreself=False), **options)
        self.guard = SimpleNamespace(jails={"j": self.jail}, clock=lambda: self.now)
        ignore.on_start(self.guard)

    def ask(self, id: str, **fields: str) -> str:
        """The reason, empty when it counts."""
        address = id if id[0].isdigit() or ":" in id else ""
        answer = ignore.on_failure(self.jail, Failure("j", id, 1.0, address, fields=fields))
        if isinstance(answer, Awaitable):
            answer = asyncio.run(self._awaited(answer))
        return answer.reason if isinstance(answer, Ignore) else ""

    async def _awaited(self, answer: Awaitable[Ignore | None]) -> Ignore | None:
        return await answer


@pytest.fixture
def plugin() -> Iterator[Plugin]:
    plugin = Plugin()
    yield plugin
    if plugin.guard is not None:
        ignore.on_stop(plugin.guard)


@pytest.mark.parametrize(
    ("word", "inside", "outside"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("192.0.2.77/24", "192.0.2.1", "192.0.3.1"),
        ("172.16.0.0/255.240.0.0", "172.31.255.255", "172.32.0.0"),
        ("0.0.0.0/0", "8.8.8.8", "2001:db8::1"),
        ("[2001:DB8::1]", "2001:db8::1", "2001:db8::2"),
        ("2001:db8::/ffff:ffff::", "2001:db8:ffff::1", "2001:db9::1"),
        ("::ffff:192.0.2.0/120", "192.0.2.200", "192.0.3.1"),
        ("some.user", "some.user", "other"),
        ("localhost", "127.0.0.1", "192.0.2.1"),
    ],
)
def test_words_of_ignoreip(plugin: Plugin, word: str, inside: str, outside: str) -> None:
    plugin.start(ignoreip=("203.0.113.9", word))
    assert plugin.ask(inside) == f"ignoreip {word}"
    assert plugin.ask(outside) == ""


def refused(plugin: Plugin, id: str) -> str:
    """What the last door is told."""
    answer = ignore.refuse_ban(plugin.jail, id)
    return answer.reason if answer is not None else ""


@pytest.mark.parametrize(
    ("word", "refuses", "lets_pass"),
    [
        ("192.0.2.1", ("192.0.2.1", "192.0.2.0/24", "192.0.0.0/8"), ("192.0.2.2", "192.0.3.0/24", "2001:db8::/64")),
        ("192.0.2.0/24", ("192.0.2.7", "192.0.2.128/25", "192.0.0.0/16"), ("192.0.3.0/25", "192.0.1.255")),
        ("2001:db8::1", ("2001:db8::/64", "2001:db8::/32"), ("2001:db8:0:1::/64", "2001:db8::2")),
        ("some.user", ("some.user",), ("some.other", "192.0.2.0/24")),
        ("localhost", ("127.0.0.1", "127.0.0.0/8"), ("126.0.0.0/8", "192.0.2.1")),
    ],
)
def test_no_ban_may_hit_a_word_of_ignoreip(
    plugin: Plugin, word: str, refuses: tuple[str, ...], lets_pass: tuple[str, ...]
) -> None:
    plugin.start(ignoreip=("203.0.113.9", word, "203.0.113.0/25"))
    assert {refused(plugin, id) for id in refuses} == {f"ignoreip {word}"}
    assert {refused(plugin, id) for id in lets_pass} == {""}


def test_no_ban_may_hit_what_a_list_in_a_file_names(plugin: Plugin, tmp_path: Path) -> None:
    listed = tmp_path / "friends"
    listed.write_text("192.0.2.1\n2001:db8:1::/48 # partners\n")
    plugin.start(ignoreip=(f"file:{listed}",))
    assert refused(plugin, "192.0.2.0/28") == f"ignoreip file:{listed}"
    assert refused(plugin, "2001:db8:1:2::/64") == f"ignoreip file:{listed}"
    assert refused(plugin, "192.0.2.16/28") == ""
    listed.write_text("192.0.2.17\n")
    plugin.now += 2.0
    assert refused(plugin, "192.0.2.16/28") == f"ignoreip file:{listed}"


def test_a_jail_that_no_guard_has_started_is_asked_all_the_same(plugin: Plugin) -> None:
    plugin.jail = Jail("j", ignoreip=("192.0.2.0/24", "localhost"))
    assert refused(plugin, "192.0.2.1") == "ignoreip 192.0.2.0/24"
    assert refused(plugin, "127.0.0.1") == "ignoreip localhost"


def test_own_addresses_and_loopback(plugin: Plugin) -> None:
    plugin.start(ignoreself=True)
    assert [plugin.ask(id) for id in ("127.0.0.1", "127.8.8.8", "::1")] == ["ignoreself"] * 3
    assert plugin.ask("192.0.2.1") == ""
    plugin.start(ignoreself=False)
    assert plugin.ask("127.0.0.1") == ""


def test_file_lists_anywhere_and_read_again_when_they_change(plugin: Plugin, tmp_path: Path) -> None:
    listed = tmp_path / "list"
    listed.write_text("192.0.2.1, 198.51.100.0/24 # office\n; 203.0.113.1\nraw id\n")
    plugin.start(ignoreip=(f"file://{listed}", "203.0.113.7"))
    assert plugin.ask("198.51.100.3") == f"ignoreip file:{listed}"
    assert plugin.ask("203.0.113.7") == "ignoreip 203.0.113.7"
    assert plugin.ask("raw") == f"ignoreip file:{listed}"
    assert plugin.ask("203.0.113.1") == ""
    listed.write_text("203.0.113.1")
    plugin.now = 1.5
    assert plugin.ask("203.0.113.1") == f"ignoreip file:{listed}"
    assert plugin.ask("198.51.100.3") == ""
    listed.unlink()
    plugin.now = 3.0
    assert plugin.ask("203.0.113.1") == f"ignoreip file:{listed}"


def test_the_command_decides(plugin: Plugin) -> None:
    plugin.start(ignorecommand='test "<ip>" = 192.0.2.1')
    assert plugin.ask("192.0.2.1").startswith("command test")
    assert plugin.ask("192.0.2.2") == ""


def test_answers_are_remembered_by_key(plugin: Plugin, tmp_path: Path) -> None:
    log = tmp_path / "asked"
    plugin.start(
        ignorecommand=f'echo "<F-USER>" >> {log}; test "<F-USER>" = good',
        ignorecache={"key": "<F-USER>", "max-count": "2", "max-time": "5m"},
    )
    for user in ("good", "bad", "good", "bad"):
        assert bool(plugin.ask("192.0.2.1", user=user)) == (user == "good")
    assert log.read_text().split() == ["good", "bad"]
    plugin.now = 301
    assert plugin.ask("192.0.2.1", user="good")
    assert log.read_text().split() == ["good", "bad", "good"]


def test_what_attackers_write_never_becomes_shell(tmp_path: Path) -> None:
    evil = f"$(touch {tmp_path}/a); `touch {tmp_path}/b` '\" ; touch {tmp_path}/c #"
    failure = Failure("j", evil, 1.0, fields={"user": evil}, matches=(evil,))
    command = 'test "<ip><F-USER><fid>" = "$EXPECTED" || printf %s "<F-USER>" > ' + str(tmp_path / "out")

    async def scenario() -> None:
        script = shell_script(command, (await tag_values(command, failure)).get)
        assert evil not in script.text
        assert set(script.variables.values()) == {evil}
        assert await ignores(command, failure)

    asyncio.run(scenario())
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_text() == evil


@pytest.mark.parametrize("user", ["x -e alice", "-e", "*", "x\talice", "'x' alice", "x\n-e\nalice", '" -e alice "'])
def test_a_user_name_is_one_word_of_the_command_and_no_option_of_it(tmp_path: Path, user: str) -> None:
    (tmp_path / "alice").touch()
    command = f"cd {tmp_path}; set -- check <F-USER>; test $# != 2 || case $2 in -*|alice) true;; *) false;; esac"
    failure = Failure("j", "192.0.2.1", 1.0, "192.0.2.1", fields={"user": user})
    assert asyncio.run(ignores(command, failure)) is False


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = f"sleep 1000 & echo $! > {pid}; wait"
    with pytest.raises(TimeoutError):
        asyncio.run(ignores(command, Failure("j", "192.0.2.1", 1.0), timeout=5))
    child = Path(f"/proc/{int(pid.read_text())}/stat")
    assert not child.exists() or child.read_text().split()[2] == "Z"


def test_failures_of_the_jails_before_a_reload_are_still_judged(plugin: Plugin) -> None:
    plugin.start(ignoreip=("192.0.2.1",))
    old = plugin.jail
    guard = plugin.guard
    guard.jails = {"j": replace(old)}
    ignore.on_start(guard)
    assert ignore.on_failure(old, Failure("j", "192.0.2.1", 1.0, "192.0.2.1")) == Ignore("ignoreip 192.0.2.1")


@pytest.mark.parametrize(
    "word", ["192.0.2.1/33", "192.0.2.1/0", "8", "10.1", "256.1.1.1", "192.0.2.*", "192.0.2.1-192.0.2.9"]
)
def test_a_word_that_is_no_address_and_no_name_spares_nobody_and_is_never_looked_up(plugin: Plugin, word: str) -> None:
    plugin.start(ignoreip=(word,))
    assert [plugin.ask(id) for id in ("192.0.2.1", "0.0.0.8", "10.0.0.1")] == ["", "", ""]
    assert IgnoreList((word,), lambda: 0.0).names() == []


def test_a_list_in_a_file_says_which_of_its_words_spare_nobody(
    plugin: Plugin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed = tmp_path / "friends"
    listed.write_text("# ours: 10.1.1.0/33\n192.0.2.1\n198.51.100.7 192.168.1.*\n")
    plugin.start(ignoreip=(f"file:{listed}",))
    [message] = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"{listed}:3: '192.168.1.*' is not an address, network, host name or file:/path")
    assert message.endswith("write 192.168.1.0/24; it exempts nobody")
    assert plugin.ask("198.51.100.7") == f"ignoreip file:{listed}"


WORDS = ("192.0.2.1", "10.0.0.0/8", "172.16.0.0/12", "2001:db8::/32", "raw id", "0.0.0.7")
IDS = (
    "192.0.2.1",
    "192.0.2.2",
    "10.9.8.7",
    "10.0.0.0/16",
    "2001:db8::5",
    "2001:db9::5",
    "raw id",
    "7",
    "127.0.0.1",
    "user",
)


@given(st.lists(st.sampled_from(WORDS)), st.lists(st.sampled_from(IDS)), st.booleans())
def test_screening_many_at_a_time_says_the_same_as_asking_about_each(
    words: list[str], ids: list[str], ignoreself: bool
) -> None:
    plugin = Plugin()
    plugin.start(ignoreip=tuple(words), ignoreself=ignoreself)
    addresses = [id if "/" not in id and ("." in id or ":" in id) else "" for id in ids]
    every = [Failure("j", id, 1.0, address) for id, address in zip(ids, addresses, strict=True)]
    asked = [place for place, failure in enumerate(every) if ignore.on_failure(plugin.jail, failure) is not None]
    assert ignore.screen_failures(plugin.jail, ids, addresses) == asked
    ignore.on_stop(plugin.guard)


def test_with_an_ignorecommand_each_failure_must_be_asked_about(plugin: Plugin) -> None:
    plugin.start(ignorecommand="/bin/false")
    assert ignore.screen_failures(plugin.jail, ["192.0.2.1"], ["192.0.2.1"]) is None
