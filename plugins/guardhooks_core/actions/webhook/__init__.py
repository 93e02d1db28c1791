"""The action `webhook`: reports bans and unbans to a server, as JSON over HTTPS.

It only notifies: no ban waits for it, and none fails because of it. Events wait in a bounded queue; one thread per
action sends them in batches and retries until the server accepts them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from guardhooks import ActionError, ActionSpec, Ban, Finding, Jail, Level, Op, OptionTable, Outcome, hookimpl
from guardhooks_core.actions.common.options import has_commands_like, is_wanted_native
from guardhooks_core.actions.webhook.parameters import OPTIONS, Parameters
from guardhooks_core.actions.webhook.payload import event
from guardhooks_core.actions.webhook.queue import PAUSES, DeliveryQueue

NAME: Final = "webhook"
_EVENTS: Final = {Op.BAN: "ban", Op.UNBAN: "unban"}


class WebhookAction:
    """The plugin. `pauses` are the seconds before the first retry, and at most before any retry."""

    def __init__(self, pauses: tuple[float, float] = PAUSES) -> None:
        self._pauses = pauses
        self._running: dict[tuple[str, str], tuple[ActionSpec, DeliveryQueue]] = {}
        self._lock = threading.Lock()

    @hookimpl(trylast=True)
    def execute_action(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> Outcome | None:
        """See the contract; runs in a worker thread."""
        if not _is_served(action):
            return None
        if op is Op.START:
            queue = self._start(jail, action, bans)
        elif op in (Op.STOP, Op.FLUSH):
            return self._end(jail, action)
        else:
            queue = self._queue(jail, action)
            if op in _EVENTS:
                self._report(queue, jail, _EVENTS[op], bans)
        return Outcome(note=queue.note, warning=queue.warning, notifies=True)

    @hookimpl(trylast=True)
    def diagnose(self, jail: Jail, action: ActionSpec, address: str) -> list[Finding] | None:
        """See the contract; runs in a worker thread."""
        if not _is_served(action):
            return None
        running = self._running.get((jail.name, action.actname))
        if address or running is None or running[0] != action:
            return [Finding("it only reports bans and blocks no one")]
        queue = running[1]
        if queue.warning:
            return [Finding(queue.warning, Level.BAD, "check the server, and url= and token-file=")]
        return [Finding(queue.note, Level.GOOD)]

    def _start(self, jail: Jail, action: ActionSpec, bans: Sequence[Ban]) -> DeliveryQueue:
        key = (jail.name, action.actname)
        with self._lock:
            running = self._running.get(key)
            if running is not None and running[0] == action:
                return running[1]
            queue = DeliveryQueue(Parameters.of(action), self._pauses)
            self._running[key] = action, queue
        if running is not None:
            queue.put(running[1].close())
        else:
            self._report(queue, jail, "ban", [ban for ban in bans if ban.restored])
        return queue

    def _end(self, jail: Jail, action: ActionSpec) -> Outcome:
        key = (jail.name, action.actname)
        with self._lock:
            running = self._running.get(key)
            if running is None or running[0] != action:
                return Outcome()  # The action that replaced it has taken over its events.
            del self._running[key]
        queue = running[1]
        queue.count_dropped(len(queue.close()), "the action ends")
        return Outcome(note=queue.note)

    def _queue(self, jail: Jail, action: ActionSpec) -> DeliveryQueue:
        running = self._running.get((jail.name, action.actname))
        if running is None or running[0] != action:
            raise ActionError(f"action {action.actname}: not started")
        return running[1]

    def _report(self, queue: DeliveryQueue, jail: Jail, kind: str, bans: Sequence[Ban]) -> None:
        parameters = queue.parameters
        if kind in parameters.events:
            reported = [ban for ban in bans if parameters.restored or kind != "ban" or not ban.restored]
            queue.put([event(kind, jail.name, ban, with_matches=parameters.matches) for ban in reported])


def _is_served(action: ActionSpec) -> bool:
    """Whether it is ours: a site's own `action.d/webhook.conf` runs as written."""
    return action.name == NAME and is_wanted_native(action) and has_commands_like(action)


@hookimpl
def declare_options() -> list[OptionTable]:
    """See the contract."""
    return [OPTIONS]


_plugin = WebhookAction()
execute_action = _plugin.execute_action
diagnose = _plugin.diagnose
