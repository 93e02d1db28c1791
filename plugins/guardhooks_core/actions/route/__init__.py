"""The action `route`: packets to a banned address are discarded, so that no connection comes about.

Serves fail2ban's `route` with its `blocktype`. Routes are in the main table, carry our protocol number, and a metric
that stands for the action's name: so each jail knows its own ones, and those of others are never touched. The kernel
has no timeouts for routes: the daemon removes those of bans that end.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from guardhooks import ActionSpec, Ban, Finding, GuardView, Jail, Op, OptionTable, Outcome, hookimpl
from guardhooks_core.actions.common.options import refuse_unknown
from guardhooks_core.actions.firewall.entries import Entry, entries_of
from guardhooks_core.actions.firewall.errors import ToolMissingError
from guardhooks_core.actions.firewall.ownership import Ownership
from guardhooks_core.actions.route import diagnosis, kernel
from guardhooks_core.actions.route.parameters import OPTIONS, is_served, kind_of, metric_of


class RouteAction:
    """The plugin. `clock` returns seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._owners = Ownership("metric")
        self._lock = threading.Lock()

    @hookimpl(trylast=True)
    def execute_action(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> bool | Outcome | None:
        """See the contract; runs in a worker thread."""
        if not is_served(action):
            return None
        metric = metric_of(action)
        with self._lock:
            if op is Op.START:
                refuse_unknown(action, OPTIONS.option_names)
                self._owners.claim(jail, action, [str(metric)])
                return self._reconcile(action, metric, bans)
            if op is Op.STOP:
                return True
            if op is Op.FLUSH:
                return self._flush(jail, action, metric)
            self._owners.require(jail, action, [str(metric)])
            if op is Op.CHECK:
                return self._reconcile(action, metric, bans)
            return self._change(action, op, metric, bans)

    def _change(self, action: ActionSpec, op: Op, metric: int, bans: Sequence[Ban]) -> Outcome:
        failed: dict[str, str] = {}
        now = float("-inf") if op is Op.UNBAN else self._clock()
        entries = [entry for found in entries_of(bans, now, failed).values() for entry in found]
        if op is Op.UNBAN:
            kernel.remove(metric, entries)
        else:
            kernel.add(metric, kind_of(action), entries)
        return Outcome(failed=failed)

    def _reconcile(self, action: ActionSpec, metric: int, bans: Sequence[Ban]) -> Outcome:
        kind = kind_of(action)
        added = removed = 0
        failed: dict[str, str] = {}
        for version, wanted in entries_of(bans, self._clock(), failed).items():
            try:
                more, less = _reconcile_family(version, metric, kind, wanted)
            except ToolMissingError:
                if wanted or version == 4:
                    raise
                continue  # a kernel without IPv6 has no routes to it
            added, removed = added + more, removed + less
        note = f"routes: {kind}, protocol {kernel.PROTOCOL}, metric {metric}"
        return Outcome(added, removed, note, failed=failed)

    def _flush(self, jail: Jail, action: ActionSpec, metric: int) -> bool:
        if not self._owners.others(jail, action, [str(metric)]):
            for version in (4, 6):
                with contextlib.suppress(ToolMissingError):  # a kernel without IPv6 has no routes to it
                    kernel.remove(metric, kernel.read(version, metric))
            self._owners.release([str(metric)])
        return True


@hookimpl(trylast=True)
def diagnose(guard: GuardView, action: ActionSpec, bans: Sequence[Ban], address: str) -> list[Finding] | None:
    """See the contract; runs in a worker thread."""
    if not is_served(action):
        return None
    metric = metric_of(action)
    if address:
        return [diagnosis.examine_address(metric, bans, address)]
    return list(diagnosis.examine_action(metric, bans, guard.clock()))


def _reconcile_family(version: int, metric: int, kind: str, wanted: Mapping[Entry, float]) -> tuple[int, int]:
    current = kernel.read(version, metric)
    unexpected = [entry for entry in current if entry not in wanted]
    wrong = [entry for entry in wanted if current.get(entry, kind) != kind]
    missing = [entry for entry in wanted if current.get(entry) != kind]
    kernel.remove(metric, [*unexpected, *wrong])
    kernel.add(metric, kind, missing)
    return len(missing), len(unexpected)


@hookimpl
def declare_options() -> list[OptionTable]:
    """See the contract."""
    return [OPTIONS]


_plugin = RouteAction()
execute_action = _plugin.execute_action
