"""What becomes of a decided ban: batches, failures, restarts, and when it may be called a ban in force."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from guardhooks import ActionError, ActionSpec, Ban, Jail, Op, Outcome
from guardhooks.engine.enforcer import ActionState, Enforcer
from guardhooks.engine.supervisor import Supervisor
from tests.kit.bans import ban
from tests.kit.waiting import until

WALL = ActionSpec("wall", "wall", {"name": "sshd"})
MAIL = ActionSpec("mail", "mail")


@dataclass
class Range:
    """A ledger, a firewall and the world that is told, as lists and sets."""

    desired: dict[str, Ban] = field(default_factory=dict)
    kernel: set[str] = field(default_factory=set)
    calls: list[tuple[str, Op, list[str]]] = field(default_factory=list)
    told: list[tuple[Op, str]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    no_handler: set[str] = field(default_factory=set)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    room: int | None = None
    found: list[Ban] = field(default_factory=list)
    spared: set[str] = field(default_factory=set)

    async def execute(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> Outcome | None:
        self.calls.append((action.name, op, [each.id for each in bans]))
        await self.gate.wait()
        if action.name in self.no_handler:
            return None
        if action.name in self.broken:
            raise ActionError("the set is full")
        ids, failed = {each.id for each in bans}, dict[str, str]()
        before = set(self.kernel)
        if self.room is not None and op in {Op.START, Op.CHECK, Op.BAN}:
            standing = self.kernel & ids if op in {Op.START, Op.CHECK} else self.kernel
            new = sorted(ids - standing)[: max(0, self.room - len(standing))]
            failed = dict.fromkeys(ids - standing - set(new), "the set is full")
            ids -= failed.keys()
        if action.name == "wall":
            if op in {Op.START, Op.CHECK}:
                self.kernel = ids
            elif op is Op.BAN:
                self.kernel |= ids
            elif op in {Op.UNBAN, Op.FLUSH}:
                self.kernel -= ids
        return Outcome(
            added=len(self.kernel - before), removed=len(before - self.kernel), note="wall of the test", failed=failed,
            found=tuple(self.found) if op in {Op.START, Op.CHECK} else (),
        )  # fmt: skip

    async def report(self, news: list[tuple[Jail, Op, Ban]]) -> None:
        self.told += [(op, each.id) for _, op, each in news]

    def enforcer(self, reconcile: float = 600.0, answer_time: float = 60.0) -> Enforcer:
        return Enforcer(
            self.execute,
            lambda jail: list(self.desired.values()),
            self.report,
            lambda: reconcile,
            Supervisor(),
            adopt=self.adopt,
            answer_time=answer_time,
        )

    async def with_a_ban(self, *actions: ActionSpec) -> Enforcer:
        """The jail `sshd` with these actions, which have put its only ban in force."""
        self.gate.set()
        self.desired = {"192.0.2.1": ban("192.0.2.1")}
        enforcer = self.enforcer()
        enforcer.open(Jail("sshd", actions=actions))
        await until(lambda: len(self.told) == 1)
        return enforcer

    def adopt(self, jail: Jail, found: Sequence[Ban]) -> tuple[list[Ban], list[Ban]]:
        self.found = []
        adopted = [each for each in found if each.id not in self.spared]
        self.desired |= {each.id: each for each in adopted}
        return adopted, [each for each in found if each.id in self.spared]

    def decide(self, enforcer: Enforcer, jail: Jail, id: str) -> None:
        self.desired[id] = ban(id)
        enforcer.ban(jail, self.desired[id])


def test_what_is_due_at_the_start_goes_in_one_batch_and_is_told_when_done() -> None:
    async def story() -> None:
        world = Range()
        world.desired = {id: ban(id) for id in ("192.0.2.1", "192.0.2.2")}
        enforcer = world.enforcer()
        enforcer.open(Jail("sshd", actions=(WALL,)))
        await until(lambda: bool(world.calls))
        assert enforcer.state("sshd", "192.0.2.1") == "pending"
        assert world.told == []
        world.gate.set()
        await until(lambda: len(world.told) == 2)
        assert world.calls == [("wall", Op.START, ["192.0.2.1", "192.0.2.2"])]
        assert enforcer.state("sshd", "192.0.2.1") == "active"
        assert enforcer.workers("sshd")[0].note == "wall of the test"
        await enforcer.close(["sshd"], Op.STOP)
        assert world.kernel == {"192.0.2.1", "192.0.2.2"}

    asyncio.run(story())


def test_what_comes_while_the_action_is_busy_is_one_batch() -> None:
    async def story() -> None:
        world = Range()
        jail = Jail("sshd", actions=(WALL,))
        enforcer = world.enforcer()
        enforcer.open(jail)
        await until(lambda: bool(world.calls))
        for number in range(100):
            world.decide(enforcer, jail, f"192.0.2.{number}")
        world.gate.set()
        await until(lambda: len(world.told) == 100)
        assert [(op, len(ids)) for _, op, ids in world.calls] == [(Op.START, 0), (Op.BAN, 100)]
        await enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_a_restart_that_is_asked_for_during_a_start_is_made_after_it() -> None:
    async def story() -> None:
        world = Range()
        enforcer = world.enforcer()
        enforcer.open(Jail("sshd", actions=(WALL,)))
        await until(lambda: len(world.calls) == 1)
        enforcer.restart("sshd")  # a reload brought another plugin
        world.gate.set()
        await until(lambda: [op for _, op, _ in world.calls] == [Op.START, Op.START])
        await enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_a_ban_that_failed_is_failing_and_in_force_only_when_the_action_says_so() -> None:
    async def story() -> None:
        world = Range()
        world.gate.set()
        jail = Jail("sshd", actions=(WALL,))
        enforcer = world.enforcer()
        enforcer.open(jail)
        await until(lambda: enforcer.workers("sshd")[0].state is ActionState.ACTIVE)
        world.broken = {"wall"}
        world.decide(enforcer, jail, "192.0.2.1")
        await until(lambda: enforcer.workers("sshd")[0].state is ActionState.FAILING)
        assert enforcer.state("sshd", "192.0.2.1") == "failing"
        assert enforcer.workers("sshd")[0].reason == "the set is full"
        assert world.told == []
        world.broken = set()
        await until(lambda: world.told == [(Op.BAN, "192.0.2.1")])
        assert enforcer.state("sshd", "192.0.2.1") == "active"
        assert world.kernel == {"192.0.2.1"}
        await enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_a_ban_is_told_when_all_actions_have_done_it() -> None:
    async def story() -> None:
        world = Range(broken={"mail"})
        world.gate.set()
        jail = Jail("sshd", actions=(WALL, MAIL))
        enforcer = world.enforcer()
        enforcer.open(jail)
        world.decide(enforcer, jail, "192.0.2.1")
        await until(lambda: "192.0.2.1" in world.kernel and enforcer.state("sshd", "192.0.2.1") == "failing")
        assert world.told == []
        world.broken = set()
        await until(lambda: world.told == [(Op.BAN, "192.0.2.1")])
        await enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


@pytest.mark.parametrize(("no_handler", "state"), [({"mail"}, "active"), ({"wall", "mail"}, "failing")])
def test_an_action_that_nobody_serves_is_not_waited_for_unless_it_is_the_only_one(
    no_handler: set[str], state: str
) -> None:
    async def story() -> None:
        world = Range(no_handler=no_handler)
        world.gate.set()
        jail = Jail("sshd", actions=(WALL, MAIL))
        enforcer = world.enforcer()
        enforcer.open(jail)
        await until(lambda: all(w.state is not ActionState.STARTING for w in enforcer.workers("sshd")))
        world.decide(enforcer, jail, "192.0.2.1")
        await until(lambda: enforcer.state("sshd", "192.0.2.1") == state)
        assert "no plugin serves action" in enforcer.workers("sshd")[1].reason
        await enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_a_python_action_of_fail2ban_is_refused_with_the_way_out() -> None:
    async def story() -> None:
        world = Range(no_handler={"smtp.py"})
        world.gate.set()
        enforcer = world.enforcer()
        enforcer.open(Jail("sshd", actions=(ActionSpec("smtp.py", "smtp"),)))
        await until(lambda: enforcer.workers("sshd")[0].state is ActionState.NO_HANDLER)
        assert "docs/plugins.md" in enforcer.workers("sshd")[0].reason
        await enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_a_ban_that_is_lifted_before_it_was_enforced_never_reaches_the_firewall() -> None:
    async def story() -> None:
        world = Range()
        jail = Jail("sshd", actions=(WALL,))
        enforcer = world.enforcer()
        enforcer.open(jail)
        await until(lambda: bool(world.calls))
        world.decide(enforcer, jail, "192.0.2.1")
        enforcer.unban(jail, world.desired.pop("192.0.2.1"))
        world.gate.set()
        await until(lambda: len(world.calls) == 2)
        assert world.calls[1] == ("wall", Op.UNBAN, ["192.0.2.1"])
        await enforcer.close(["sshd"], Op.STOP)
        assert world.kernel == set()
        assert world.told == []

    asyncio.run(story())


def test_a_banned_id_that_is_seen_again_makes_the_action_look_and_repair() -> None:
    async def story() -> None:
        world = Range()
        world.gate.set()
        jail = Jail("sshd", actions=(WALL,))
        enforcer = world.enforcer(reconcile=0.05)
        enforcer.open(jail)
        world.decide(enforcer, jail, "192.0.2.1")
        await until(lambda: world.kernel == {"192.0.2.1"})
        world.kernel = {"203.0.113.9"}
        await until(lambda: world.kernel == {"192.0.2.1"})
        await until(lambda: enforcer.workers("sshd")[0].repairs == 1)
        await enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_changed_actions_take_over_before_the_old_ones_go() -> None:
    async def story() -> None:
        world = Range()
        enforcer = await world.with_a_ban(WALL, MAIL)
        world.calls.clear()
        wider = ActionSpec("wall", "wall", {"name": "sshd", "port": "0:65535"})
        await enforcer.replace(Jail("sshd", actions=(wider,)))
        await until(lambda: len(world.calls) == 3)
        assert sorted((name, str(op)) for name, op, _ in world.calls) == [
            ("mail", "flush"),
            ("wall", "start"),
            ("wall", "stop"),
        ]
        assert [worker.action for worker in enforcer.workers("sshd")] == [wider]
        await enforcer.close(["sshd"], Op.FLUSH)
        assert world.kernel == set()

    asyncio.run(story())


def test_what_an_action_built_stays_until_its_replacement_works() -> None:
    async def story() -> None:
        world = Range()
        world.gate.set()
        world.desired = {id: ban(id) for id in ("192.0.2.1", "192.0.2.2")}
        enforcer = world.enforcer()
        enforcer.open(Jail("sshd", actions=(WALL,)))
        await until(lambda: len(world.told) == 2)
        fence = ActionSpec("fence", "fence")
        world.broken = {"fence"}
        jail = Jail("sshd", actions=(fence,))
        await enforcer.replace(jail)
        assert enforcer.workers("sshd")[0].state is ActionState.FAILING
        assert world.kernel == {"192.0.2.1", "192.0.2.2"}
        enforcer.unban(jail, world.desired.pop("192.0.2.2"))  # It is lifted there as well.
        await until(lambda: world.kernel == {"192.0.2.1"})
        world.broken = set()
        await until(lambda: world.kernel == set())
        ops = [(name, op) for name, op, _ in world.calls]
        assert ops.index(("wall", Op.FLUSH)) > max(at for at, call in enumerate(ops) if call == ("fence", Op.START))
        await enforcer.close(["sshd"], Op.STOP)
        assert ops.count(("wall", Op.FLUSH)) == 1

    asyncio.run(story())


def test_going_back_before_the_replacement_works_flushes_nothing() -> None:
    async def story() -> None:
        world = Range()
        enforcer = await world.with_a_ban(WALL)
        world.broken = {"fence"}
        await enforcer.replace(Jail("sshd", actions=(ActionSpec("fence", "fence"),)))
        await enforcer.replace(Jail("sshd", actions=(WALL,)))
        await until(lambda: enforcer.state("sshd", "192.0.2.1") == "active")
        await enforcer.close(["sshd"], Op.STOP)
        assert ("wall", Op.FLUSH) not in [(name, op) for name, op, _ in world.calls]
        assert world.kernel == {"192.0.2.1"}

    asyncio.run(story())


@pytest.mark.parametrize(("op", "left"), [(Op.STOP, {"192.0.2.1"}), (Op.FLUSH, set[str]())])
def test_an_end_before_the_replacement_works_treats_both_alike(op: Op, left: set[str]) -> None:
    async def story() -> None:
        world = Range()
        enforcer = await world.with_a_ban(WALL)
        world.broken = {"fence"}
        await enforcer.replace(Jail("sshd", actions=(ActionSpec("fence", "fence"),)))
        await enforcer.close(["sshd"], op)
        assert world.kernel == left

    asyncio.run(story())


def test_a_ban_does_not_wait_for_an_action_that_a_reload_took_away() -> None:
    async def story() -> None:
        world = Range(broken={"mail"})
        world.gate.set()
        jail = Jail("sshd", actions=(WALL, MAIL))
        enforcer = world.enforcer()
        enforcer.open(jail)
        world.decide(enforcer, jail, "192.0.2.1")
        await until(lambda: "192.0.2.1" in world.kernel and enforcer.state("sshd", "192.0.2.1") == "failing")
        await enforcer.replace(Jail("sshd", actions=(WALL,)))
        await until(lambda: world.told == [(Op.BAN, "192.0.2.1")])
        assert enforcer.state("sshd", "192.0.2.1") == "active"
        await enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_a_ban_of_a_jail_without_actions_is_failing_and_not_told() -> None:
    async def story() -> None:
        world = Range()
        jail = Jail("sshd")
        enforcer = world.enforcer()
        enforcer.open(jail)
        world.decide(enforcer, jail, "192.0.2.1")
        assert enforcer.state("sshd", "192.0.2.1") == "failing"
        assert "no action" in enforcer.reason("sshd", "192.0.2.1")
        assert enforcer.failing("sshd") == 1
        assert world.told == []

    asyncio.run(story())


def test_the_bans_that_fit_are_in_force_and_the_others_are_failing_until_there_is_room() -> None:
    async def story() -> None:
        world = Range(room=2)
        world.gate.set()
        jail = Jail("sshd", actions=(WALL,))
        enforcer = world.enforcer()
        enforcer.open(jail)
        await until(lambda: enforcer.workers("sshd")[0].state is ActionState.ACTIVE)
        for number in (1, 2, 3):
            world.decide(enforcer, jail, f"192.0.2.{number}")
        await until(lambda: enforcer.state("sshd", "192.0.2.3") == "failing")
        assert [enforcer.state("sshd", f"192.0.2.{number}") for number in (1, 2)] == ["active", "active"]
        assert enforcer.workers("sshd")[0].state is ActionState.ACTIVE
        assert enforcer.reason("sshd", "192.0.2.3") == "the set is full"
        assert enforcer.failing("sshd") == 1
        await until(lambda: len(world.told) == 2)
        world.calls.clear()
        enforcer.unban(jail, world.desired.pop("192.0.2.1"))
        await until(lambda: enforcer.state("sshd", "192.0.2.3") == "active")
        assert world.calls == [("wall", Op.UNBAN, ["192.0.2.1"]), ("wall", Op.BAN, ["192.0.2.3"])]
        assert world.kernel == {"192.0.2.2", "192.0.2.3"}
        assert enforcer.failing("sshd") == 0
        await enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_an_action_works_again_only_when_no_ban_is_failing(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        world = Range(broken={"wall"}, room=1)
        world.gate.set()
        world.desired = {id: ban(id) for id in ("192.0.2.1", "192.0.2.2")}
        jail = Jail("sshd", actions=(WALL,))
        enforcer = world.enforcer()
        enforcer.open(jail)
        await until(lambda: enforcer.workers("sshd")[0].state is ActionState.FAILING)
        world.broken = set()
        await until(lambda: enforcer.workers("sshd")[0].state is ActionState.ACTIVE)
        await until(lambda: enforcer.failing("sshd") == 1)
        assert "works again" not in caplog.text
        await enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_bans_that_do_not_fit_at_the_start_are_failing_and_a_lifted_one_is_forgotten() -> None:
    async def story() -> None:
        world = Range(room=1)
        world.gate.set()
        world.desired = {id: ban(id) for id in ("192.0.2.1", "192.0.2.2")}
        jail = Jail("sshd", actions=(WALL,))
        enforcer = world.enforcer()
        enforcer.open(jail)
        await until(lambda: enforcer.state("sshd", "192.0.2.2") == "failing")
        await until(lambda: world.told == [(Op.BAN, "192.0.2.1")])
        enforcer.unban(jail, world.desired.pop("192.0.2.2"))
        await until(lambda: ("wall", Op.UNBAN, ["192.0.2.2"]) in world.calls)
        assert enforcer.failing("sshd") == 0
        await enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_what_an_action_found_is_adopted_and_enforced_by_the_others_save_what_must_not_be() -> None:
    async def story() -> None:
        world = Range(kernel={"192.0.2.9", "192.0.2.1"}, spared={"192.0.2.1"})
        world.gate.set()
        world.found = [ban("192.0.2.9"), ban("192.0.2.1")]
        jail = Jail("sshd", actions=(WALL, MAIL))
        enforcer = world.enforcer()
        enforcer.open(jail)
        await until(lambda: world.told == [(Op.BAN, "192.0.2.9")])
        assert enforcer.state("sshd", "192.0.2.9") == "active"
        await until(lambda: ("wall", Op.UNBAN, ["192.0.2.1"]) in world.calls)
        assert ("mail", Op.BAN, ["192.0.2.9"]) in world.calls
        assert list(world.desired) == ["192.0.2.9"]
        await enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_what_was_lifted_while_the_action_looked_is_not_adopted() -> None:
    async def story() -> None:
        world = Range()
        world.gate.set()
        jail = Jail("sshd", actions=(WALL,))
        enforcer = world.enforcer()
        enforcer.open(jail)
        world.decide(enforcer, jail, "192.0.2.1")
        await until(lambda: enforcer.state("sshd", "192.0.2.1") == "active")
        world.gate.clear()
        world.found = [world.desired.pop("192.0.2.1")]
        enforcer.check_now("sshd", "wall")
        await until(lambda: world.calls[-1][1] is Op.CHECK)
        enforcer.unban(jail, world.found[0])
        world.gate.set()
        await until(lambda: world.calls[-1] == ("wall", Op.UNBAN, ["192.0.2.1"]))
        assert world.desired == {}
        await enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_a_flood_of_changes_asks_for_few_checks_and_one_follows_the_last() -> None:
    async def story() -> None:
        world = Range()
        world.gate.set()
        jail = Jail("sshd", actions=(WALL, MAIL))
        enforcer = world.enforcer()
        enforcer.open(jail)
        await until(lambda: all(worker.state is ActionState.ACTIVE for worker in enforcer.workers("sshd")))
        world.calls.clear()
        enforcer.check_now("sshd", "wall")
        await until(lambda: bool(world.calls))
        world.gate.clear()
        for _ in range(1000):
            enforcer.check_now("sshd", "wall")
        await until(lambda: len(world.calls) == 2)
        world.kernel = {"203.0.113.9"}
        enforcer.check_now("sshd", "wall")  # the check that is under way may have looked before
        world.gate.set()
        await until(lambda: len(world.calls) == 3)
        assert {name for name, _, _ in world.calls} == {"wall"}
        await enforcer.close(["sshd"], Op.STOP)
        assert world.kernel == set()

    asyncio.run(story())


def test_what_others_change_while_an_action_starts_is_looked_at_when_it_has_started() -> None:
    async def story() -> None:
        world = Range()
        jail = Jail("sshd", actions=(WALL,))
        enforcer = world.enforcer()
        enforcer.open(jail)
        await until(lambda: bool(world.calls))
        enforcer.check_now("sshd", "wall")
        world.gate.set()
        await until(lambda: [op for _, op, _ in world.calls] == [Op.START, Op.CHECK])
        await enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_a_ban_that_comes_while_it_is_not_known_that_nobody_serves_the_action() -> None:
    async def story() -> None:
        world = Range(no_handler={"mail"})
        jail = Jail("sshd", actions=(MAIL,))
        enforcer = world.enforcer()
        enforcer.open(jail)
        await until(lambda: bool(world.calls))
        world.decide(enforcer, jail, "192.0.2.1")
        enforcer.check_now("sshd")
        world.gate.set()
        await until(lambda: enforcer.state("sshd", "192.0.2.1") == "failing")
        await enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_an_action_that_hangs_is_failing_until_it_answers(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        world = Range()
        world.gate.set()
        jail = Jail("sshd", actions=(WALL,))
        enforcer = world.enforcer(answer_time=0.01)
        enforcer.open(jail)
        (worker,) = enforcer.workers("sshd")
        await until(lambda: worker.state is ActionState.ACTIVE)
        world.gate.clear()
        world.decide(enforcer, jail, "192.0.2.1")
        await until(lambda: worker.state is ActionState.FAILING)
        assert worker.reason == "no answer to ban for 0 s; still waiting for it"
        assert enforcer.state("sshd", "192.0.2.1") == "failing"
        assert enforcer.failing("sshd") == 1
        world.gate.set()
        await until(lambda: enforcer.state("sshd", "192.0.2.1") == "active")
        assert (worker.state, worker.reason) == (ActionState.ACTIVE, "")
        assert [op for _, op, _ in world.calls] == [Op.START, Op.BAN]
        assert "action wall answers again" in caplog.text
        await enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())
