"""Mail and webhooks come after the fact: they report a ban that is in force, or say that it is not, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from guardhooks import ActionError, ActionSpec, Ban, Jail, Op, Outcome
from guardhooks.engine.enforcer import ActionState, Enforcer
from guardhooks.engine.supervisor import Supervisor
from tests.kit.bans import ban
from tests.kit.waiting import until

WALL = ActionSpec("wall", "wall")
MAIL = ActionSpec("mail", "mail")
ID = "192.0.2.1"


@dataclass
class Site:
    """A firewall that can be held up, broken or full, and what the mail action was told."""

    jail: Jail
    desired: dict[str, Ban] = field(default_factory=dict)
    mails: list[tuple[Op, str, str]] = field(default_factory=list)
    in_force: list[str] = field(default_factory=list)
    asked: list[tuple[str, Op]] = field(default_factory=list)
    full: set[str] = field(default_factory=set)
    broken: str = ""
    no_handler: set[str] = field(default_factory=set)
    wall_gate: asyncio.Event = field(default_factory=asyncio.Event)
    mail_gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.enforcer = Enforcer(
            self.execute, lambda jail: list(self.desired.values()), self.report, lambda: 600.0, Supervisor()
        )
        self.enforcer.open(self.jail)

    async def execute(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> Outcome | None:
        self.asked.append((action.name, op))
        await (self.mail_gate if action == MAIL else self.wall_gate).wait()
        if action.name in self.no_handler:
            return None
        if action == MAIL:
            self.mails += [(op, each.id, each.not_in_force) for each in bans if op is not Op.STOP]
            return Outcome(notifies=True)
        if self.broken:
            raise ActionError(self.broken)
        return Outcome(failed={each.id: "the set is full" for each in bans if each.id in self.full})

    async def report(self, news: list[tuple[Jail, Op, Ban]]) -> None:
        self.in_force += [each.id for _, op, each in news if op is Op.BAN]

    def decide(self, id: str = ID) -> None:
        self.desired[id] = ban(id)
        self.enforcer.ban(self.jail, self.desired[id])

    async def started(self, *workers: int) -> None:
        await until(lambda: all(self.enforcer.workers("sshd")[each].tried.is_set() for each in workers))


def site(*actions: ActionSpec, broken: str = "", wall_works: bool = True, mail_works: bool = True) -> Site:
    made = Site(Jail("sshd", actions=actions), broken=broken)
    if wall_works:
        made.wall_gate.set()
    if mail_works:
        made.mail_gate.set()
    return made


def test_mail_hears_of_a_ban_when_the_firewall_has_done_it() -> None:
    async def story() -> None:
        here = site(MAIL, WALL)
        await here.started(0, 1)
        here.wall_gate.clear()
        here.asked.clear()
        here.decide()
        await until(lambda: bool(here.asked))
        assert here.asked == [("wall", Op.BAN)]  # Mail is the first action and would have been asked before.
        here.wall_gate.set()
        await until(lambda: bool(here.mails))
        assert here.mails == [(Op.BAN, ID, "")]
        assert here.in_force == [ID]
        await here.enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_a_ban_that_is_not_in_force_is_told_with_the_reason_and_again_when_it_is() -> None:
    async def story() -> None:
        here = site(WALL, MAIL)
        await here.started(0, 1)
        here.full.add(ID)
        here.decide()
        await until(lambda: bool(here.mails))
        assert here.mails == [(Op.BAN, ID, "the set is full")]
        assert here.in_force == []
        here.full.clear()
        await until(lambda: len(here.mails) == 2)
        assert here.mails[1:] == [(Op.BAN, ID, "")]
        assert here.in_force == [ID]
        await here.enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_a_firewall_that_fails_as_a_whole_is_the_reason() -> None:
    async def story() -> None:
        here = site(WALL, MAIL, broken="nft is missing")
        await here.started(0, 1)
        here.decide()
        await until(lambda: bool(here.mails))
        assert here.mails == [(Op.BAN, ID, "action wall: nft is missing")]
        await here.enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_a_firewall_that_no_plugin_serves_leaves_nothing_in_force_whatever_mail_does() -> None:
    async def story() -> None:
        here = site(WALL, MAIL, wall_works=False, mail_works=False)
        here.no_handler.add("wall")
        here.decide()
        here.mail_gate.set()
        await here.started(1)
        here.wall_gate.set()
        await until(lambda: bool(here.mails))
        assert here.enforcer.workers("sshd")[0].state is ActionState.NO_HANDLER
        assert "no plugin serves action 'wall'" in here.mails[0][2]
        assert here.enforcer.state("sshd", ID) == "failing"
        here.decide("192.0.2.2")
        await until(lambda: len(here.mails) == 2)
        assert here.mails[1][:2] == (Op.BAN, "192.0.2.2")
        assert here.mails[1][2]
        assert here.in_force == []
        await here.enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_a_ban_that_ends_before_it_was_in_force_is_never_reported() -> None:
    async def story() -> None:
        here = site(WALL, MAIL)
        await here.started(0, 1)
        here.wall_gate.clear()
        here.decide()
        here.enforcer.unban(here.jail, here.desired.pop(ID))
        here.decide("192.0.2.2")
        here.wall_gate.set()
        await until(lambda: bool(here.mails))
        assert [id for _, id, _ in here.mails] == ["192.0.2.2"]
        await here.enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_what_was_decided_while_mail_still_started_is_reported_once() -> None:
    async def story() -> None:
        here = site(WALL, MAIL, wall_works=False, mail_works=False)
        here.decide()
        here.mail_gate.set()
        await here.started(1)
        assert here.mails == []
        here.wall_gate.set()
        await until(lambda: bool(here.mails))
        assert here.mails == [(Op.BAN, ID, "")]
        assert here.in_force == [ID]
        await here.enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())


def test_a_jail_that_only_notifies_reports_at_once() -> None:
    async def story() -> None:
        here = site(MAIL)
        await here.started(0)
        here.decide()
        await until(lambda: bool(here.in_force))
        assert here.mails == [(Op.BAN, ID, "")]
        await here.enforcer.close(["sshd"], Op.STOP)

    asyncio.run(story())
