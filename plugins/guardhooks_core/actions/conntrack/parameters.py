"""Which actions are served, and which connections are meant: protocols and ports, all of them by default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from guardhooks import ActionError, ActionSpec, Option, OptionTable, option_types
from guardhooks_core.actions.common.options import fault, has_commands_like, is_wanted_native
from guardhooks_core.actions.firewall.parameters import parse_protocols, with_ports
from guardhooks_core.actions.firewall.ports import Ports, parse_ports

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
_NUMBERS: Final = {
    "tcp": 6, "udp": 17, "sctp": 132, "dccp": 33, "udplite": 136,
    "icmp": 1, "icmpv6": 58, "esp": 50, "ah": 51, "gre": 47,
}  # fmt: skip


def is_served(action: ActionSpec) -> bool:
    """Whether this plugin does the action: a site's own `action.d/conntrack.conf` is run as it is written."""
    return action.name == NAME and is_wanted_native(action) and has_commands_like(action)


@dataclass(frozen=True, slots=True)
class Traffic:
    """`protocols` are IP protocol numbers, empty for all; `ports` the ports that were connected to, empty for all."""

    protocols: frozenset[int]
    ports: Ports

    @classmethod
    def of(cls, action: ActionSpec) -> Traffic:
        """What `port` and `protocol` of the action say.

        :raises ConfigError: when they cannot be understood.
        """
        try:
            names = parse_protocols(action.get("protocol") or "all")
            text = action.get("port")
            ports = parse_ports(text, dict.fromkeys([*names, "tcp", "udp"])) if text.strip() else ()
            if ports:
                names = with_ports(names)
        except ActionError as error:
            raise fault(action, str(error)) from None
        return cls(frozenset(_NUMBERS[name] for name in names), ports)

    def includes(self, protocol: int, port: int) -> bool:
        """Whether a connection of this protocol to this port is meant; `port` is 0 where there are none."""
        if self.protocols and protocol not in self.protocols:
            return False
        return not self.ports or any(first <= port <= last for first, last in self.ports)
