"""Mail about bans: fail2ban's `mail*` and `sendmail*` actions with their parameters, without a shell.

Mail is a notice: nothing is in force by it and no ban waits for it. Bans are collected and sent as one message for
each period; restored bans are not told. What attackers wrote goes into the text only, as printable characters.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence

from guardhooks import (
    ActionSpec,
    Ban,
    ConfigError,
    Finding,
    GuardhooksError,
    Jail,
    Level,
    Op,
    OptionTable,
    Outcome,
    hookimpl,
    safe_text,
)
from guardhooks_core.actions.common.hostnames import Hostnames
from guardhooks_core.actions.mail.builtin_actions import is_ours
from guardhooks_core.actions.mail.enrichment import Researcher
from guardhooks_core.actions.mail.mailer import Correspondence
from guardhooks_core.actions.mail.parameters import TABLES, Parameters, in_jail, parse_parameters
from guardhooks_core.actions.mail.whois import Whois

logger = logging.getLogger("guardhooks.mail")


class MailAction:
    """The plugin. `clock` gives seconds since the epoch."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        whois: Whois | None = None,
        hostnames: Hostnames | None = None,
    ) -> None:
        self._clock = clock
        self._hostnames = hostnames or Hostnames()
        self._researcher = Researcher(whois or Whois(clock), self._hostnames)
        self._own_names: Mapping[str, str] = {}
        self._running: dict[tuple[str, str], Correspondence] = {}

    @hookimpl(trylast=True)
    async def execute_action(
        self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]
    ) -> bool | Outcome | None:
        """See the contract. Returns as soon as the notice is noted; what is wrong with the mail is a warning."""
        if not is_ours(action):
            return None
        key = (jail.name, action.actname)
        if op is Op.START:
            return await self._start(jail, action, bans)
        running = self._running.get(key)
        if running is None or running.action != action:
            return True  # another action has taken its place, or it never began
        if op is Op.CHECK:
            await self._configure(running, jail, action)  # options of the jail may have changed without a start
            running.check(bans)
            return running.outcome
        if op in (Op.STOP, Op.FLUSH):
            del self._running[key]
            await running.end(is_over=op is Op.FLUSH)
        elif op is Op.BAN:
            running.ban(bans)
        else:
            running.unban(bans)
        return True

    async def _start(self, jail: Jail, action: ActionSpec, bans: Sequence[Ban]) -> Outcome:
        key = (jail.name, action.actname)
        if key not in self._running:
            self._running[key] = Correspondence(jail.name, self._researcher, self._clock)
        running = self._running[key]
        await self._configure(running, jail, action)
        running.start(bans)
        return running.outcome

    async def _configure(self, running: Correspondence, jail: Jail, action: ActionSpec) -> None:
        spec = in_jail(jail, action)
        if (action, spec) != (running.action, running.spec):
            parameters, problem = await self._parameters(jail, action)
            running.configure(action, spec, parameters, problem, self._own_names.get("fq-hostname", "localhost"))

    async def _parameters(self, jail: Jail, action: ActionSpec) -> tuple[Parameters | None, str]:
        if not self._own_names:
            self._own_names = await self._hostnames.own()
        try:
            parameters = parse_parameters(jail, action, self._own_names)
        except ConfigError as error:
            problem = safe_text(str(error))
            logger.error("[%s] no mail is sent: %s", jail.name, problem)
            return None, problem
        for remark in parameters.remarks:
            logger.warning("[%s] action %s: %s", jail.name, action.actname, remark)
        return parameters, ""


@hookimpl(trylast=True)
def diagnose(jail: Jail, action: ActionSpec, address: str) -> list[Finding] | None:
    """See the contract; runs in a worker thread. Looks whether mail has a way out, and sends none."""
    if not is_ours(action):
        return None
    if address:
        return [Finding("it tells of bans and keeps nobody out")]
    name = socket.gethostname()
    try:
        parameters = parse_parameters(jail, action, {"fq-hostname": name, "sh-hostname": name})
        parameters.transport.probe()
    except GuardhooksError as error:
        return [Finding(f"no mail goes out: {safe_text(str(error))}", Level.BAD)]
    return [Finding(f"mail goes to {', '.join(parameters.dest)} by {parameters.transport}", Level.GOOD)]


@hookimpl
def declare_options() -> list[OptionTable]:
    """See the contract."""
    return [*TABLES]


_plugin = MailAction()
execute_action = _plugin.execute_action
