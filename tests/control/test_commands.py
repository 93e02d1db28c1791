"""The commands of the control socket: arguments are checked before the guard sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pytest

from guardhooks.control.commands import own_requests
from guardhooks.control.protocol import RequestError
from guardhooks.model import PERMANENT, Ban, Jail
from guardhooks.status import GuardStatus, JailDetails, JailStatus


@dataclass
class RecordingGuard:
    """Holds bans in a dictionary and does nothing else."""

    jails: Mapping[str, Jail] = field(default_factory=lambda: {"sshd": Jail("sshd"), "postfix": Jail("postfix")})
    held: dict[tuple[str, str], Ban] = field(default_factory=dict)
    forced: bool = False
    observing: bool = False
    state_problem: str = ""
    states: list[str] = field(default_factory=lambda: ["active"])

    def ban_state(self, jail: str, id: str) -> str:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    async def ban(
        self,
        jail: str,
        id: str,
        *,
        length: float | None = None,
        reason: str = "",
        force: bool = False,
        replace: bool = False,
        protected: Collection[str] = (),
        asker: str = "",
    ) -> Ban:
        self.forced, self.asker = force, asker
        ban = self.held[jail, id] = Ban(id, jail, 1000.0, 600.0 if length is None else length, reason=reason)
        return ban

    @property
    def ledger(self) -> RecordingGuard:
        return self

    def find(self, id: str) -> list[Ban]:
        return [ban for key, ban in self.held.items() if key[1] == id]

    async def unban(self, id: str, jail: str | None = None, *, asker: str = "hand") -> list[Ban]:
        self.asker = asker
        return [self.held.pop(key) for key in list(self.held) if key[1] == id and jail in {None, key[0]}]

    async def unban_all(self, jail: str | None = None, *, asker: str = "hand") -> int:
        self.asker = asker
        gone = [self.held.pop(key) for key in list(self.held) if jail in {None, key[0]}]
        return len(gone)

    def is_banned(self, address: str, jail: str | None = None) -> bool:
        return any(key[1] == address and jail in {None, key[0]} for key in self.held)

    def status(self) -> GuardStatus:
        jails = (JailStatus("sshd", "running"), JailStatus("dovecot", "broken"))
        return GuardStatus("0.1.0", 42, "/etc/guardhooks", 1000.0, jails=jails)

    def jail_status(self, jail: str) -> JailDetails:
        return JailDetails(jail, "running")

    def plugins_report(self) -> list[dict[str, object]]:
        return [{"jail": jail, "hook": "decide_ban", "plugins": []} for jail in self.jails]


@pytest.fixture
def guard() -> RecordingGuard:
    return RecordingGuard()


def ask(guard: RecordingGuard, command: str, **arguments: object) -> object:
    async def reload() -> object:
        return {"jails": []}

    async def stop(*, flush: bool) -> object:
        return {"flush": flush}

    async def doctor(address: str) -> object:
        return {"address": address}

    async def scene() -> object:
        request = own_requests(guard, reload=reload, stop=stop, doctor=doctor).get(command)  # type: ignore[arg-type]
        assert request is not None
        return await request.run(**request.parse(arguments))

    return asyncio.run(scene())


def test_bans_are_made_in_canonical_spelling_and_told(guard: RecordingGuard) -> None:
    answer = ask(guard, "ban", jail="sshd", ids=["192.0.2.1", "2001:DB8::0001", "198.51.100.7/24"], length=60)

    assert set(guard.held) == {("sshd", "192.0.2.1"), ("sshd", "2001:db8::1"), ("sshd", "198.51.100.0/24")}
    assert answer["banned"][0] == {  # type: ignore[index]
        "id": "192.0.2.1", "jail": "sshd", "start": 1000.0, "end": 1060.0, "length": 60.0, "count": 1,
        "state": "active",
    }  # fmt: skip


def test_the_answer_waits_until_it_is_known_whether_a_ban_is_in_force(guard: RecordingGuard) -> None:
    guard.states = ["pending", "pending", "failing"]

    answer = ask(guard, "ban", jail="sshd", ids=["192.0.2.1"])

    assert answer["banned"][0]["state"] == "failing"  # type: ignore[index]


def test_the_doctor_is_asked_about_one_address_in_canonical_spelling_or_about_all(guard: RecordingGuard) -> None:
    assert ask(guard, "doctor", address="2001:DB8::0001") == {"address": "2001:db8::1"}
    assert ask(guard, "doctor") == {"address": ""}
    for wrong in ("192.0.2.0/24", "192.0.2.256", "x\x1b[2J"):
        with pytest.raises(RequestError, match="is not a single address"):
            ask(guard, "doctor", address=wrong)


def test_minus_one_bans_for_ever(guard: RecordingGuard) -> None:
    answer = ask(guard, "ban", jail="sshd", ids=["192.0.2.1"], length=-1)

    assert guard.held["sshd", "192.0.2.1"].length == PERMANENT
    assert answer["banned"][0]["end"] is None  # type: ignore[index]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"ids": ["192.0.2.1"]}, 'needs a "jail"'),
        ({"jail": 7, "ids": ["192.0.2.1"]}, '"jail" must be text'),
        ({"jail": "sshd"}, 'ban needs "ids": addresses, networks or other ids'),
        ({"jail": "sshd", "ids": []}, '"ids" must be a list'),
        ({"jail": "sshd", "ids": "192.0.2.1"}, '"ids" must be a list'),
        ({"jail": "sshd", "ids": [1]}, '"ids" must be a list'),
        ({"jail": "sshd", "ids": ["999.0.2.1"]}, "'999.0.2.1' is neither an address nor a network"),
        ({"jail": "sshd", "ids": ["example.com\x1b[2J"]}, r"'example.com\\x1b[2J' is neither an address"),
        ({"jail": "sshd", "ids": ["a\nb"], "text": True}, "printable"),
        ({"jail": "sshd", "ids": ["x" * 600], "text": True}, "printable"),
        ({"jail": "sshd", "ids": ["192.0.2.1"], "length": True}, '"length"'),
        ({"jail": "sshd", "ids": ["192.0.2.1"], "length": "1h"}, '"length"'),
        ({"jail": "sshd", "ids": ["192.0.2.1"], "length": 0}, '"length"'),
        ({"jail": "sshd", "ids": ["192.0.2.1"], "length": float("inf")}, '"length"'),
        ({"jail": "sshd", "ids": ["192.0.2.1"], "force": 1}, '"force" must be true or false'),
        ({"jail": "sshd", "ids": ["192.0.2.1"], "lenght": 5}, "unknown argument 'lenght'; did you mean 'length'?"),
    ],
)
def test_wrong_arguments_ban_nobody(guard: RecordingGuard, arguments: dict[str, object], complaint: str) -> None:
    with pytest.raises(RequestError) as caught:
        ask(guard, "ban", **arguments)

    assert complaint in str(caught.value)
    assert caught.value.kind == "usage"
    assert guard.held == {}


@pytest.mark.parametrize("everybody", ["0.0.0.0/0", "::/0", "192.0.2.1/0"])
def test_nobody_can_ban_everybody(guard: RecordingGuard, everybody: str) -> None:
    with pytest.raises(RequestError, match="is everybody, you too") as caught:
        ask(guard, "ban", jail="sshd", ids=["192.0.2.1", everybody])

    assert caught.value.kind == "refused"
    assert guard.held == {}


def test_other_ids_are_banned_when_they_are_meant(guard: RecordingGuard) -> None:
    ask(guard, "ban", jail="sshd", ids=["session-7"], text=True)

    assert ("sshd", "session-7") in guard.held


def test_force_reaches_the_guard(guard: RecordingGuard) -> None:
    ask(guard, "ban", jail="sshd", ids=["192.0.2.1"], force=True)

    assert guard.forced


@pytest.mark.parametrize("command", ["ban", "unban", "unban_all", "status", "plugins", "is_banned"])
def test_an_unknown_jail_is_answered_with_the_nearest_name(guard: RecordingGuard, command: str) -> None:
    ids = {"ids": ["192.0.2.1"]} if "all" not in command and command not in {"status", "plugins"} else {}
    with pytest.raises(RequestError, match="no jail is called 'shd'; did you mean 'sshd'") as caught:
        ask(guard, command, jail="shd", **ids)
    assert caught.value.kind == "unknown-jail"


def test_unban_tells_who_was_not_banned(guard: RecordingGuard) -> None:
    ask(guard, "ban", jail="sshd", ids=["192.0.2.1"])
    ask(guard, "ban", jail="postfix", ids=["192.0.2.1"])

    answer = ask(guard, "unban", ids=["192.0.2.1", "192.0.2.2"])

    assert [(ban["jail"], ban["id"]) for ban in answer["unbanned"]] == [  # type: ignore[index]
        ("sshd", "192.0.2.1"), ("postfix", "192.0.2.1"),
    ]  # fmt: skip
    assert answer["absent"] == ["192.0.2.2"]  # type: ignore[index]


def test_unban_in_one_jail_leaves_the_others(guard: RecordingGuard) -> None:
    ask(guard, "ban", jail="sshd", ids=["192.0.2.1"])
    ask(guard, "ban", jail="postfix", ids=["192.0.2.1"])

    ask(guard, "unban", ids=["192.0.2.1"], jail="sshd")

    assert set(guard.held) == {("postfix", "192.0.2.1")}
    assert ask(guard, "is_banned", ids=["192.0.2.1"]) == {"192.0.2.1": True}
    assert ask(guard, "is_banned", ids=["192.0.2.1"], jail="sshd") == {"192.0.2.1": False}
    assert ask(guard, "unban_all") == {"count": 1}


def test_a_jail_that_is_broken_still_has_a_status(guard: RecordingGuard) -> None:
    broken, running = ask(guard, "status", jail="dovecot"), ask(guard, "status", jail="sshd")
    assert (broken["name"], broken["state"], "banned" in broken) == ("dovecot", "broken", False)  # type: ignore[index, operator]
    assert (running["name"], running["banned"]) == ("sshd", [])  # type: ignore[index]


def test_plugins_can_be_asked_for_one_jail(guard: RecordingGuard) -> None:
    assert ask(guard, "plugins", jail="postfix") == [{"jail": "postfix", "hook": "decide_ban", "plugins": []}]


def test_stop_passes_on_whether_to_flush(guard: RecordingGuard) -> None:
    assert ask(guard, "stop") == {"flush": False}
    assert ask(guard, "stop", flush=True) == {"flush": True}
    with pytest.raises(RequestError, match='"flush" must be true or false'):
        ask(guard, "stop", flush="no")
