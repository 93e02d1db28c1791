"""The action `webhook`: tells a server of bans and unbans, as JSON by HTTPS.

A notice: no ban waits for it, and none fails because of it. Events wait in a bounded queue; a thread of each action
sends them in batches and tries again until the server has them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from guardhooks import ActionError, ActionSpec, Ban, Finding, Jail, Level, Op, OptionTable, Outcome, hookimpl
from guardhooks_core.actions.common.options import has_commands_like, is_wanted_native
from guardhooks_core.actions.webhook.parameters import OPTIONS, Parameters
from guardhooks_core.actions.webhook.payload import event
from guardhooks_core.actions.webhook.queue import PAUSES, Courier

NAME: Final = "webhook"
_EVENTS: Final = {Op.BAN: "ban", Op.UNBAN: "unban"}


class WebhookAction:
    """The plugin. `pauses` are the seconds before the second try, and at most before any."""

    def __init__(self, pauses: tuple[float, float] = PAUSES) -> None:
        self._pauses = pauses
        self._running: dict[tuple[str, str], tuple[ActionSpec, Courier]] = {}
        self._lock = threading.Lock()

    @hookimpl(trylast=True)
    def execute_action(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> Outcome | None:
        """See the contract; runs in a worker thread."""
        if not _is_served(action):
            return None
        if op is Op.START:
            courier = self._begin(jail, action, bans)
        elif op in (Op.STOP, Op.FLUSH):
            return self._end(jail, action)
        else:
            courier = self._courier(jail, action)
            if op in _EVENTS:
                self._tell(courier, jail, _EVENTS[op], bans)
        return Outcome(note=courier.note, warning=courier.warning)

    @hookimpl(trylast=True)
    def diagnose(self, jail: Jail, action: ActionSpec, address: str) -> list[Finding] | None:
        """See the contract; runs in a worker thread."""
        if not _is_served(action):
            return None
        running = self._running.get((jail.name, action.actname))
        if address or running is None or running[0] != action:
            return [Finding("it tells of bans and keeps nobody out")]
        courier = running[1]
        if courier.warning:
            return [Finding(courier.warning, Level.BAD, "look at the server, and at url= and token-file=")]
        return [Finding(courier.note, Level.GOOD)]

    def _begin(self, jail: Jail, action: ActionSpec, bans: Sequence[Ban]) -> Courier:
        key = (jail.name, action.actname)
        with self._lock:
            running = self._running.get(key)
            if running is not None and running[0] == action:
                return running[1]
            courier = Courier(Parameters.of(action), self._pauses)
            self._running[key] = action, courier
        if running is not None:
            courier.put(running[1].close())
        else:
            self._tell(courier, jail, "ban", [ban for ban in bans if ban.restored])
        return courier

    def _end(self, jail: Jail, action: ActionSpec) -> Outcome:
        key = (jail.name, action.actname)
        with self._lock:
            running = self._running.get(key)
            if running is None or running[0] != action:
                return Outcome()  # the action that took its place has taken over
            del self._running[key]
        courier = running[1]
        courier.count_dropped(len(courier.close()), "the action ends:")
        return Outcome(note=courier.note)

    def _courier(self, jail: Jail, action: ActionSpec) -> Courier:
        running = self._running.get((jail.name, action.actname))
        if running is None or running[0] != action:
            raise ActionError(f"action {action.actname}: not started")
        return running[1]

    def _tell(self, courier: Courier, jail: Jail, kind: str, bans: Sequence[Ban]) -> None:
        parameters = courier.parameters
        if kind in parameters.events:
            told = [ban for ban in bans if parameters.restored or kind != "ban" or not ban.restored]
            courier.put([event(kind, jail.name, ban, with_matches=parameters.matches) for ban in told])


def _is_served(action: ActionSpec) -> bool:
    """A site's own `action.d/webhook.conf` is run as it is written."""
    return action.name == NAME and is_wanted_native(action) and has_commands_like(action)


@hookimpl
def declare_options() -> list[OptionTable]:
    """See the contract."""
    return [OPTIONS]


_plugin = WebhookAction()
execute_action = _plugin.execute_action
diagnose = _plugin.diagnose
