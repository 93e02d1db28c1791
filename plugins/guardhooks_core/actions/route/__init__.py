"""The action `route`: what would go to a banned address is thrown away, so no connection comes about.

Serves fail2ban's `route` with its `blocktype`. Routes lie in the main table, carry our protocol number, and a metric
that stands for the action's name: so each jail knows its own ones, and those of others are never touched. The kernel
has no timeouts for them: bans end by the daemon.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from guardhooks import (
    ActionSpec,
    Ban,
    Finding,
    GuardView,
    Jail,
    Level,
    Op,
    Option,
    OptionTable,
    Outcome,
    hookimpl,
    option_types,
)
from guardhooks_core.actions.common.options import is_stand_in, refuse_unknown, value
from guardhooks_core.actions.firewall.entries import Entry, entries_of, entry_text
from guardhooks_core.actions.firewall.errors import ToolMissingError
from guardhooks_core.actions.firewall.findings import absent, covering, differences
from guardhooks_core.actions.firewall.ownership import Ownership
from guardhooks_core.actions.firewall.parameters import Policy
from guardhooks_core.actions.route import kernel

NAME: Final = "route"
_BLOCKTYPE: Final = Option(
    "blocktype", option_types.choice(*kernel.KINDS), "unreachable", "what happens to packets that take the route"
)
OPTIONS: Final = OptionTable("action", (_BLOCKTYPE,), names=(NAME,), title="Action `route`")
_METRICS: Final = 0x46000000
"""Metrics of ours begin here; the lower three bytes are a hash of the name."""


class RouteAction:
    """The plugin. `clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._owners = Ownership("metric")
        self._lock = threading.Lock()

    @hookimpl(trylast=True)
    def execute_action(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> bool | Outcome | None:
        """See the contract; runs in a worker thread."""
        if not _is_served(action):
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
            self._change(action, op, metric, bans)
            return True

    def _change(self, action: ActionSpec, op: Op, metric: int, bans: Sequence[Ban]) -> None:
        now = float("-inf") if op is Op.UNBAN else self._clock()
        entries = [entry for found in entries_of(bans, now).values() for entry in found]
        if op is Op.UNBAN:
            kernel.remove(metric, entries)
        else:
            kernel.add(metric, _kind(action), entries)

    def _reconcile(self, action: ActionSpec, metric: int, bans: Sequence[Ban]) -> Outcome:
        kind = _kind(action)
        added = removed = 0
        for version, wanted in entries_of(bans, self._clock()).items():
            try:
                more, less = _reconcile_family(version, metric, kind, wanted)
            except ToolMissingError:
                if wanted or version == 4:
                    raise
                continue  # a kernel without IPv6 has nothing to hold
            added, removed = added + more, removed + less
        return Outcome(added, removed, f"routes: {kind}, protocol {kernel.PROTOCOL}, metric {metric}")

    def _flush(self, jail: Jail, action: ActionSpec, metric: int) -> bool:
        if not self._owners.others(jail, action, [str(metric)]):
            for version in (4, 6):
                with contextlib.suppress(ToolMissingError):  # a kernel without IPv6 holds nothing
                    kernel.remove(metric, kernel.read(version, metric))
            self._owners.release([str(metric)])
        return True


@hookimpl(trylast=True)
def diagnose(guard: GuardView, action: ActionSpec, bans: Sequence[Ban], address: str) -> list[Finding] | None:
    """See the contract; runs in a worker thread."""
    if not _is_served(action):
        return None
    held = {version: kernel.read(version, metric_of(action)) for version in (4, 6)}
    if address:
        return [_about(address, held[6 if ":" in address else 4], bans)]
    everything = dict.fromkeys((*held[4], *held[6]), math.inf)
    text = f"{len(everything)} routes of protocol {kernel.PROTOCOL} with metric {metric_of(action)} are there"
    return [Finding(text, Level.GOOD), *differences(bans, everything, guard.clock(), Policy())]


def _about(address: str, held: Mapping[Entry, str], bans: Sequence[Ban]) -> Finding:
    found = covering(dict.fromkeys(held, math.inf), address)
    if not found:
        return absent(address, ["our routes"], bans)
    routes = ", ".join(f"{held[entry]} {entry_text(entry)}" for entry in found)
    if kernel.reaches(address):
        remedy = f"look at `ip route get {address}`; a narrower route, or one with a lower metric, goes first"
        return Finding(f"our route {routes} is there, but another one leads to {address}", Level.BAD, remedy, False)
    return Finding(f"nothing is sent to {address}: {routes}", Level.GOOD if bans else Level.BAD, "", True)


def metric_of(action: ActionSpec) -> int:
    """The metric that stands for the action's name."""
    return _METRICS + int.from_bytes(hashlib.sha256(action.get("name").encode()).digest()[:3])


def _is_served(action: ActionSpec) -> bool:
    kind = re.escape(action.get("blocktype"))
    return action.name == NAME and is_stand_in(
        action, OPTIONS.option_names, actionban=f"ip route add {kind} <ip>", actionunban=f"ip route del {kind} <ip>"
    )


def _kind(action: ActionSpec) -> str:
    return value(action, _BLOCKTYPE)


def _reconcile_family(version: int, metric: int, kind: str, wanted: Mapping[Entry, float]) -> tuple[int, int]:
    held = kernel.read(version, metric)
    strangers = [entry for entry in held if entry not in wanted]
    wrong = [entry for entry in wanted if held.get(entry, kind) != kind]
    missing = [entry for entry in wanted if held.get(entry) != kind]
    kernel.remove(metric, [*strangers, *wrong])
    kernel.add(metric, kind, missing)
    return len(missing), len(strangers)


@hookimpl
def declare_options() -> list[OptionTable]:
    """See the contract."""
    return [OPTIONS]


_plugin = RouteAction()
execute_action = _plugin.execute_action
