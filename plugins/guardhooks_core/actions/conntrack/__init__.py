"""The action `conntrack`: cuts the offender's connections that are open when the ban comes.

A firewall that lets established connections pass before it looks at bans keeps an offender's session alive. Taking the
connection out of the kernel's table makes its next packet a new one, which the ban meets. Nothing is to be undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guardhooks import ActionSpec, Ban, Finding, Jail, Level, Op, Option, OptionTable, Outcome, hookimpl, option_types
from guardhooks_core.actions.common.options import has_commands_like, is_wanted_native, refuse_unknown
from guardhooks_core.actions.conntrack import table
from guardhooks_core.actions.conntrack.delayed_cut import Afterwards
from guardhooks_core.actions.conntrack.traffic import Traffic
from guardhooks_core.actions.firewall.entries import entries_of, parse_entry

NAME: Final = "conntrack"
OPTIONS: Final = OptionTable(
    "action",
    (
        Option("port", option_types.TEXT, "", "only connections to these ports of this machine", default_text="all"),
        Option("protocol", option_types.TEXT, "all", "`tcp`, `udp`, …, a list of them, or `all`"),
    ),
    names=(NAME,),
    title="Action `conntrack`",
)


class ConntrackAction:
    """The plugin."""

    def __init__(self) -> None:
        self._afterwards = Afterwards(cut)

    @hookimpl(trylast=True)
    def execute_action(self, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> bool | Outcome | None:
        """See the contract; runs in a worker thread."""
        if not _is_served(action):
            return None
        if op is Op.START:
            refuse_unknown(action, OPTIONS.option_names)
            Traffic.of(action)
            table.probe()
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
            if _is_served(action):
                self._afterwards.add(action, ban)

    @hookimpl
    def on_stop(self) -> None:
        """Finish what is under way."""
        self._afterwards.close()


@hookimpl(trylast=True)
def diagnose(action: ActionSpec, address: str) -> list[Finding] | None:
    """See the contract; runs in a worker thread. Open connections decide nothing, but tell much."""
    if not _is_served(action):
        return None
    if not address:
        table.probe()
        return [Finding("the kernel's table of connections can be asked", Level.GOOD)]
    entry = parse_entry(address)
    number = len(table.connections_of([entry], Traffic.of(action))) if entry else 0
    return [Finding(f"the kernel knows {number} connections of {address}")]


def _is_served(action: ActionSpec) -> bool:
    """A site's own `action.d/conntrack.conf` is run as it is written."""
    return action.name == NAME and is_wanted_native(action) and has_commands_like(action)


def cut(action: ActionSpec, bans: Sequence[Ban]) -> int:
    """Take the connections of the banned addresses and prefixes out of the kernel's table; how many those were.

    :raises ActionError: when the kernel refuses.
    """
    offenders = [entry for entries in entries_of(bans, float("-inf")).values() for entry in entries]
    found = table.connections_of(offenders, Traffic.of(action)) if offenders else []
    table.delete(found)
    return len(found)


@hookimpl
def declare_options() -> list[OptionTable]:
    """See the contract."""
    return [OPTIONS]


_plugin = ConntrackAction()
execute_action = _plugin.execute_action
on_ban = _plugin.on_ban
on_stop = _plugin.on_stop
