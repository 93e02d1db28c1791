"""`auto` takes the first firewall that works, says which and why, and observes only where there is no way at all."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TypeAlias

import pytest

from guardhooks import ActionError, ActionSpec, Ban, Finding, Jail, Level, Op, Outcome
from guardhooks_core.actions import observe
from guardhooks_core.actions.auto import AutoAction
from guardhooks_core.actions.firewall.errors import PrivilegeError, ToolMissingError

JAIL = Jail(name="sshd")
ACTION = ActionSpec(name="auto", actname="auto", options={"name": "sshd", "port": "22"})
BAN = Ban("192.0.2.1", "sshd", 0.0, 600.0)


class RecordingGuard:
    """Does what each firewall is scripted to do, and wraps errors as the host does."""

    def __init__(self, **errors: ActionError) -> None:
        self.errors = errors
        self.asked: list[tuple[str, Op]] = []

    async def execute(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> Outcome:
        self.asked.append((action.name, op))
        assert action.options == ACTION.options
        if action.name in self.errors:
            error = self.errors[action.name]
            raise ActionError(f"{action.name}: {error}") from error
        return Outcome(added=len(bans), note=f"{action.name} is here")


Started: TypeAlias = Callable[..., tuple[RecordingGuard, Callable[..., Outcome]]]


@pytest.fixture
def run() -> Started:
    def start(**errors: ActionError) -> tuple[RecordingGuard, Callable[..., Outcome]]:
        auto, guard = AutoAction(), RecordingGuard(**errors)
        auto.on_start(guard)

        def act(op: Op, *bans: Ban) -> Outcome:
            outcome = asyncio.run(auto.execute_action(JAIL, ACTION, op, bans))
            assert outcome is not None
            return outcome

        return guard, act

    return start


def test_nftables_comes_first_and_stays(run: Started) -> None:
    guard, act = run()
    outcome = act(Op.START, BAN)
    assert outcome == Outcome(added=1, note="auto → nftables; ipset not tried; nftables is here")
    for op in (Op.BAN, Op.UNBAN, Op.CHECK, Op.FLUSH):
        act(op, BAN)
    assert [name for name, _ in guard.asked] == ["nftables"] * 5


def test_ipset_takes_over_from_a_failing_nftables_and_says_why(run: Started) -> None:
    guard, act = run(nftables=ActionError("broken"))
    assert "auto → ipset; nftables failed (nftables: broken)" in act(Op.START).note
    act(Op.BAN, BAN)
    assert guard.asked[-1] == ("ipset", Op.BAN)


def test_rules_take_over_only_where_sets_are_impossible(run: Started) -> None:
    guard, act = run(nftables=ToolMissingError("no nft"), ipset=ToolMissingError("no ipset"))
    assert "auto → iptables-rules; nftables failed (nftables: no nft), ipset failed" in act(Op.START).note
    guard.errors["ipset"] = ActionError("busy")
    with pytest.raises(ActionError, match="busy"):
        act(Op.START)


@pytest.mark.parametrize("kind", [PrivilegeError, ToolMissingError])
def test_without_any_way_it_observes_loudly(
    run: Started, kind: type[ActionError], caplog: pytest.LogCaptureFixture
) -> None:
    guard, act = run(nftables=kind("no nft"), ipset=kind("no ipset"), **{"iptables-rules": kind("no iptables")})
    outcome = act(Op.START, BAN)
    assert "NOTHING IS BANNED" in outcome.note
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("no nft" in text and "no ipset" in text for text in warnings)
    act(Op.BAN, BAN)
    assert guard.asked[-1] == ("observe", Op.BAN)


def test_a_tool_that_fails_is_never_answered_by_observing(run: Started) -> None:
    guard, act = run(nftables=ToolMissingError("no nft"), ipset=ActionError("set is full"))
    with pytest.raises(ActionError, match=r"no nft.*set is full"):
        act(Op.START, BAN)
    assert "observe" not in [name for name, _ in guard.asked]
    with pytest.raises(ActionError, match="not started"):
        act(Op.BAN, BAN)


def test_a_new_start_chooses_anew(run: Started) -> None:
    guard, act = run(nftables=ActionError("broken"))
    act(Op.START)
    guard.errors.clear()
    assert "auto → nftables" in act(Op.START).note


class ExaminedGuard(RecordingGuard):
    """Tells what the firewall that is `whole` holds; the others are bare."""

    def __init__(self, whole: str) -> None:
        super().__init__()
        self.whole = whole

    async def diagnose(self, jail: Jail, action: ActionSpec, bans: Sequence[Ban], address: str) -> list[Finding] | None:
        level = Level.GOOD if action.name == self.whole else Level.BAD
        return [Finding(f"{action.name} for {address}", level)]


def test_the_doctor_looks_at_what_was_chosen() -> None:
    auto, guard = AutoAction(), ExaminedGuard("ipset")
    auto.on_start(guard)
    asyncio.run(auto.execute_action(JAIL, ACTION, Op.START, []))
    found = asyncio.run(auto.diagnose(guard, JAIL, ACTION, [BAN], "192.0.2.1"))
    assert found == [Finding("auto → nftables"), Finding("nftables for 192.0.2.1", Level.BAD)]


def test_without_a_daemon_the_doctor_examines_the_first_healthy_firewall() -> None:
    for whole, seen in (("ipset", "ipset"), ("iptables-rules", "iptables-rules"), ("none", "nftables")):
        found = asyncio.run(AutoAction().diagnose(ExaminedGuard(whole), JAIL, ACTION, [BAN], "192.0.2.1"))
        assert found is not None
        assert [each.text for each in found] == [f"auto: examined as {seen}", f"{seen} for 192.0.2.1"]


def test_who_is_observed_only_is_not_kept_out() -> None:
    found = observe.diagnose(ActionSpec("observe", "observe"), [BAN], "192.0.2.1")
    assert found is not None
    assert [each.blocks for each in found] == [False]
    assert observe.diagnose(ACTION, [BAN], "192.0.2.1") is None


def test_other_actions_are_not_its_business() -> None:
    assert asyncio.run(AutoAction().execute_action(JAIL, ActionSpec("ipset", "ipset"), Op.BAN, [BAN])) is None
    assert observe.execute_action(JAIL, ACTION, Op.BAN, [BAN]) is None


def test_observe_says_whom_it_would_ban(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "guardhooks.observe")
    hostile = Ban("bob\x1b[2J\nroot", "sshd", 0.0, 600.0)
    assert observe.execute_action(JAIL, ActionSpec("observe", "observe"), Op.BAN, [BAN, hostile])
    assert [record.getMessage() for record in caplog.records] == [
        "[sshd] would ban 192.0.2.1",
        r"[sshd] would ban bob\x1b[2J\nroot",
    ]
