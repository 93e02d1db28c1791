"""The action `conntrack`: cuts the offender's connections that are open when the ban comes.

A firewall that accepts established connections before it looks at bans keeps an offender's session alive. When the
connection is removed from the kernel's table, its next packet is a new one, which the ban blocks. There is nothing to
undo.
"""

from __future__ import annotations

from collections.abc import Sequence

from guardhooks import ActionSpec, Ban, Finding, Jail, Op, OptionTable, Outcome, hookimpl
from guardhooks_core.actions.common.options import refuse_unknown
from guardhooks_core.actions.conntrack import diagnosis, kernel
from guardhooks_core.actions.conntrack.delayed_cut import DelayedCuts
from guardhooks_core.actions.conntrack.parameters import OPTIONS, Traffic, is_served
from guardhooks_core.actions.firewall.entries import entries_of


class ConntrackAction:
    """The plugin."""

    def __init__(self) -> None:
        self._delayed_cuts = DelayedCuts(cut)

    @hookimpl(trylast=True)
    def execute_action(self, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> bool | Outcome | None:
        """See the contract; runs in a worker thread."""
        if not is_served(action):
            return None
        if op is Op.START:
            refuse_unknown(action, OPTIONS.option_names)
            Traffic.of(action)
            kernel.probe()
            return Outcome(note="conntrack: open connections are cut when a ban comes")
        if op is Op.BAN:
            cut(action, bans)
        return True

    @hookimpl
    def on_ban(self, jail: Jail, ban: Ban) -> None:
        """Cut again when every action has done the ban.

        A packet that came after the first cut and before the firewall's rule has opened the connection again.
        """
        if ban.restored:
            return
        for action in jail.actions:
            if is_served(action):
                self._delayed_cuts.add(action, ban)

    @hookimpl
    def on_stop(self) -> None:
        """Finish what has begun."""
        self._delayed_cuts.close()


@hookimpl(trylast=True)
def diagnose(action: ActionSpec, address: str) -> list[Finding] | None:
    """See the contract; runs in a worker thread."""
    if not is_served(action):
        return None
    return [diagnosis.examine_address(Traffic.of(action), address) if address else diagnosis.examine_action()]


def cut(action: ActionSpec, bans: Sequence[Ban]) -> int:
    """Remove the connections of the banned addresses and prefixes from the kernel's table; how many those were.

    :raises ActionError: when the kernel refuses.
    """
    offenders = [entry for entries in entries_of(bans, float("-inf")).values() for entry in entries]
    found = kernel.connections_of(offenders, Traffic.of(action)) if offenders else []
    kernel.delete(found)
    return len(found)


@hookimpl
def declare_options() -> list[OptionTable]:
    """See the contract."""
    return [OPTIONS]


_plugin = ConntrackAction()
execute_action = _plugin.execute_action
on_ban = _plugin.on_ban
on_stop = _plugin.on_stop
