"""The mail action of one jail: which bans are reported, and how a digest becomes a message."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from guardhooks import ActionError, ActionSpec, Ban, Outcome
from guardhooks_core.actions.mail.enrichment import Enricher, Enrichment
from guardhooks_core.actions.mail.message import build_message
from guardhooks_core.actions.mail.outbox import Digest, Outbox, Pace
from guardhooks_core.actions.mail.parameters import Parameters
from guardhooks_core.actions.mail.report import Report
from guardhooks_core.actions.mail.threads import in_thread
from guardhooks_core.actions.mail.transport import Envelope, Transport

_ENRICHED: Final = 10
"""Bans of one message whose log lines and whois answer are quoted."""
_SENDING: Final = threading.BoundedSemaphore(4)
"""Limits how many messages of all jails are sent at the same time."""
_LINES_OF_MANY: Final = 50
"""Lines quoted for each of several bans."""


class Mailer:
    """Collects bans in its outbox and turns them into messages.

    Without valid parameters it sends nothing and reports why.
    """

    def __init__(self, jail: str, enricher: Enricher, clock: Callable[[], float]) -> None:
        self.action = self.spec = ActionSpec("", "")
        self._jail, self._enricher, self._clock = jail, enricher, clock
        self._parameters: Parameters | None = None
        self._problem = ""
        self._host = ""
        self._outbox: Outbox | None = None
        self._reported: set[str] = set()
        self._is_started = False

    def configure(
        self, action: ActionSpec, spec: ActionSpec, parameters: Parameters | None, problem: str, host: str
    ) -> None:
        """Use these parameters from now on, also for what is pending.

        :param action: the action as the host knows it.
        :param spec: the action with its jail's options added.
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
        """For `status`: the transport and the recipients, and what needs attention."""
        if self._parameters is None or self._outbox is None:
            warning = f"no mail is sent: {self._problem}"
            return Outcome(note="no mail is sent", warning=warning, notifies=True)
        note = f"mail to {', '.join(self._parameters.dest)} by {self._parameters.transport}"
        warnings = "; ".join(part for part in (self._outbox.problem, *self._parameters.remarks) if part)
        return Outcome(
            note=f"{note}, {len(self._outbox.pending)} waiting" if self._outbox.pending else note,
            warning=warnings,
            notifies=True,
        )

    def start(self, bans: Sequence[Ban]) -> None:
        """The jail has started. Existing bans are not reported."""
        if self._wants_restored:
            self.ban(bans)
        self._reported.update(ban.id for ban in bans)
        if self._outbox and self._parameters and self._parameters.start_stop and not self._is_started:
            self._outbox.pending.started = True
            self._outbox.touch()
        self._is_started = True

    @property
    def _wants_restored(self) -> bool:
        return self._parameters is not None and not self._parameters.norestored

    def check(self, bans: Iterable[Ban]) -> None:
        """Drop the ids that are no longer banned."""
        self._reported &= {ban.id for ban in bans}

    def ban(self, bans: Iterable[Ban]) -> None:
        """Queue new bans. What is reported as not in force is reported again when it is."""
        for ban in bans:
            if ban.id in self._reported:
                continue
            if not ban.not_in_force:
                self._reported.add(ban.id)
            if self._outbox is not None and (not ban.restored or self._wants_restored):
                self._outbox.pending.ban(ban)
        if self._outbox is not None:
            self._outbox.touch()

    def unban(self, bans: Iterable[Ban]) -> None:
        """The next ban of these ids is reported again."""
        for ban in bans:
            self._reported.discard(ban.id)
            if self._outbox is not None and self._parameters is not None and self._parameters.unban:
                self._outbox.pending.unban(ban)
        if self._outbox is not None:
            self._outbox.touch()

    async def end(self, *, is_over: bool) -> None:
        """Send what is pending. With `is_over` the jail ends, not only the daemon."""
        if self._outbox is None:
            return
        if is_over and self._parameters is not None and self._parameters.start_stop:
            self._outbox.pending.stopped = True
        await self._outbox.drain()

    async def _deliver(self, digest: Digest, is_short: bool) -> None:
        parameters = self._parameters
        if parameters is None:
            raise ActionError(self._problem)
        enrichments: list[Enrichment] = []
        if not is_short:
            lines = parameters.grepmax if len(digest.bans) == 1 else min(parameters.grepmax, _LINES_OF_MANY)
            enrichments = await self._enricher.about(digest.bans[:_ENRICHED], parameters, lines)
        report = Report(parameters, self._host, digest, enrichments or [Enrichment(ban) for ban in digest.bans[:1]])
        message = build_message(parameters, report.subject, report.text, now=self._clock(), host=self._host)
        envelope = Envelope(parameters.sender, parameters.dest, message, self._host)
        await in_thread(lambda: _send(parameters.transport, envelope))


def _send(transport: Transport, envelope: Envelope) -> None:
    """Runs in a thread of its own, so that waiting for the semaphore blocks nothing else."""
    with _SENDING:
        transport.send(envelope)
