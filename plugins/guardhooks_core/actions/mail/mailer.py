"""The mail action of one jail: who has been told of, and what makes a message."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from guardhooks import ActionError, ActionSpec, Ban, Outcome
from guardhooks_core.actions.mail.enrichment import Facts, Researcher
from guardhooks_core.actions.mail.message import build_message
from guardhooks_core.actions.mail.outbox import Collection, Outbox, Pace
from guardhooks_core.actions.mail.parameters import Parameters
from guardhooks_core.actions.mail.report import Report
from guardhooks_core.actions.mail.threads import in_thread
from guardhooks_core.actions.mail.transport import Envelope, Transport

_LOOKED_INTO: Final = 10
"""Bans of one message of which log lines and whois are quoted."""
_AT_ONCE: Final = threading.BoundedSemaphore(4)
"""So many messages of all jails are handed over at a time."""
_LINES_OF_MANY: Final = 50
"""Lines quoted for each of several bans."""


class Correspondence:
    """Collects notices in its outbox and turns them into messages.

    Without parameters, because they are wrong, it sends nothing and says why.
    """

    def __init__(self, jail: str, researcher: Researcher, clock: Callable[[], float]) -> None:
        self.action = self.spec = ActionSpec("", "")
        self._jail, self._researcher, self._clock = jail, researcher, clock
        self._parameters: Parameters | None = None
        self._problem = ""
        self._host = ""
        self._outbox: Outbox | None = None
        self._told: set[str] = set()
        self._is_begun = False

    def configure(
        self, action: ActionSpec, spec: ActionSpec, parameters: Parameters | None, problem: str, host: str
    ) -> None:
        """Go on with these parameters. What waits is sent by the new ones.

        :param action: the action as the host names it.
        :param spec: the same with what its jail adds.
        """
        self.action, self.spec = action, spec
        self._parameters, self._problem, self._host = parameters, problem, host
        if parameters is None:
            return
        if self._outbox is None:
            pace = Pace(parameters.digest, parameters.limit)
            self._outbox = Outbox(f"{self._jail}/{action.actname}", pace, self._deliver, parameters.at_least)
        else:
            self._outbox.change(parameters.digest, parameters.limit, parameters.at_least)

    @property
    def outcome(self) -> Outcome:
        """How it goes: by which way mail goes to whom, and what somebody should look after."""
        if self._parameters is None or self._outbox is None:
            return Outcome(note="no mail is sent", warning=f"no mail is sent: {self._problem}")
        note = f"mail to {', '.join(self._parameters.dest)} by {self._parameters.transport}"
        warnings = "; ".join(part for part in (self._outbox.problem, *self._parameters.remarks) if part)
        return Outcome(
            note=f"{note}, {len(self._outbox.news)} waiting" if self._outbox.news else note, warning=warnings
        )

    def start(self, bans: Sequence[Ban]) -> None:
        """The jail runs. What is banned already is no news."""
        if self._wants_restored:
            self.ban(bans)
        self._told.update(ban.id for ban in bans)
        if self._outbox and self._parameters and self._parameters.start_stop and not self._is_begun:
            self._outbox.news.started = True
            self._outbox.touch()
        self._is_begun = True

    @property
    def _wants_restored(self) -> bool:
        return self._parameters is not None and not self._parameters.norestored

    def check(self, bans: Iterable[Ban]) -> None:
        """Forget who is no longer banned."""
        self._told &= {ban.id for ban in bans}

    def ban(self, bans: Iterable[Ban]) -> None:
        """Tell of new bans, soon."""
        for ban in bans:
            if ban.id in self._told:
                continue
            self._told.add(ban.id)
            if self._outbox is not None and (not ban.restored or self._wants_restored):
                self._outbox.news.ban(ban)
        if self._outbox is not None:
            self._outbox.touch()

    def unban(self, bans: Iterable[Ban]) -> None:
        """The next ban of these is news again."""
        for ban in bans:
            self._told.discard(ban.id)
            if self._outbox is not None and self._parameters is not None and self._parameters.unban:
                self._outbox.news.unban(ban)
        if self._outbox is not None:
            self._outbox.touch()

    async def end(self, *, is_over: bool) -> None:
        """Send what still waits. With `is_over` the jail is gone, not only the daemon."""
        if self._outbox is None:
            return
        if is_over and self._parameters is not None and self._parameters.start_stop:
            self._outbox.news.stopped = True
        await self._outbox.drain()

    async def _deliver(self, news: Collection, is_short: bool) -> None:
        parameters = self._parameters
        if parameters is None:
            raise ActionError(self._problem)
        facts: list[Facts] = []
        if not is_short:
            lines = parameters.grepmax if len(news.bans) == 1 else min(parameters.grepmax, _LINES_OF_MANY)
            facts = await self._researcher.about(news.bans[:_LOOKED_INTO], parameters, lines)
        report = Report(parameters, self._host, news, facts or [Facts(ban) for ban in news.bans[:1]])
        message = build_message(parameters, report.subject, report.text, now=self._clock(), host=self._host)
        envelope = Envelope(parameters.sender, parameters.dest, message, self._host)
        await in_thread(lambda: _send(parameters.transport, envelope))


def _send(transport: Transport, envelope: Envelope) -> None:
    """In a thread, where waiting for others holds up nobody else."""
    with _AT_ONCE:
        transport.send(envelope)
