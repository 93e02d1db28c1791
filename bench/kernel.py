"""What the kernel's sets hold: ipset's and nftables', those of the present network namespace."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import ClassVar, Protocol

from pyroute2 import IPSet
from pyroute2.netlink.exceptions import NetlinkError

from guardhooks_core.actions.firewall import netlink

_NFTABLES = 10 << 8
_GET_ELEMENTS = _NFTABLES | 13
_TABLE, _SET, _ELEMENTS = 1, 2, 3
_INET = 1


class Firewall(Protocol):
    """One kind of sets. `action` is the name under which both daemons know what fills them."""

    action: ClassVar[str]

    def size(self) -> int:
        """How many entries all sets hold together."""
        ...

    def holds(self, addresses: list[str]) -> bool:
        """Whether the sets hold all of these, and as many entries."""
        ...

    def clear(self) -> None:
        """Remove all rules and sets."""
        ...

    def restore_script(self, addresses: list[str]) -> tuple[list[str], str]:
        """The tool's own best: one command, and what it reads from its standard input."""
        ...


class Ipset:
    action = "iptables-ipset-proto6"

    def size(self) -> int:
        return Sets.size()

    def holds(self, addresses: list[str]) -> bool:
        return self.size() >= len(addresses)

    def clear(self) -> None:
        for tool in ("iptables", "ip6tables"):
            for words in (("-F",), ("-X",)):
                subprocess.run([tool, "-w", *words], check=False, capture_output=True)
        subprocess.run(["ipset", "destroy"], check=False, capture_output=True)

    def restore_script(self, addresses: list[str]) -> tuple[list[str], str]:
        lines = "".join(f"add plain {address} timeout 86400\n" for address in addresses)
        return ["ipset", "restore"], "create plain hash:net timeout 0 maxelem 1048576\n" + lines


class Nftables:
    action = "nftables-multiport"

    def size(self) -> int:
        """A set that has just grown is read with gaps for some seconds; ask `holds` when it matters."""
        return sum(self._elements(table, name) for table, name in self._sets())

    def holds(self, addresses: list[str]) -> bool:
        """Asks for a sample, drawn anew each time: that is answered at once, however full the set."""
        some = random.sample(addresses, min(len(addresses), 500))
        return any(self._holds_in(table, name, some) for table, name in self._sets())

    @staticmethod
    def _sets() -> list[tuple[str, str]]:
        listing = subprocess.run(["nft", "-j", "-t", "list", "sets"], capture_output=True, text=True, check=True).stdout
        sets = [item["set"] for item in json.loads(listing)["nftables"] if "set" in item]
        return [(each["table"], each["name"]) for each in sets if each["type"] == "ipv4_addr"]

    @staticmethod
    def _holds_in(table: str, name: str, addresses: list[str]) -> bool:
        head = netlink.string(_TABLE, table) + netlink.string(_SET, name)
        keys = (netlink.nested(1, netlink.attribute(1, socket.inet_aton(address))) for address in addresses)
        elements = netlink.nested(_ELEMENTS, b"".join(netlink.nested(1, key) for key in keys))
        try:
            netlink.request(netlink.message(_GET_ELEMENTS, netlink.ACK, head + elements, family=_INET))
        except netlink.NetlinkError:
            return False
        return True

    @staticmethod
    def _elements(table: str, name: str) -> int:
        head = netlink.string(_TABLE, table) + netlink.string(_SET, name)
        with contextlib.suppress(netlink.NetlinkError):
            answers = netlink.dump(netlink.message(_GET_ELEMENTS, netlink.DUMP, head, family=_INET))
            blocks = [block for answer in answers for kind, block in netlink.attributes(answer) if kind == _ELEMENTS]
            # All are alike; to parse them one by one would take the processor from who puts them in.
            return sum(len(block) // int.from_bytes(block[:2], sys.byteorder) for block in blocks if block)
        return 0

    def clear(self) -> None:
        subprocess.run(["nft", "flush", "ruleset"], check=True)

    def restore_script(self, addresses: list[str]) -> tuple[list[str], str]:
        elements = ",".join(f"{address} timeout 86400s" for address in addresses)
        body = "type ipv4_addr; flags timeout; elements = {" + elements + "};"
        return ["nft", "-f", "-"], "table inet plain { set s { " + body + " }; }\n"


FIREWALLS: dict[str, Firewall] = {"ipset": Ipset(), "nftables": Nftables()}


class Sets:
    """The sets of the present network namespace."""

    def __init__(self) -> None:
        self._netlink = IPSet()

    def names(self) -> list[str]:
        return [dict(message["attrs"])["IPSET_ATTR_SETNAME"] for message in self._netlink.list() if message["attrs"]]

    def holds(self, address: str) -> bool:
        """Whether any set holds this address."""
        for name in self.names():
            with contextlib.suppress(NetlinkError):
                if self._netlink.test(name, address):
                    return True
        return False

    def holds_in(self, name: str, address: str) -> bool:
        """Whether this set holds this address; no set, no address."""
        try:
            return bool(self._netlink.test(name, address))
        except NetlinkError:
            return False

    @staticmethod
    def size() -> int:
        """How many entries all sets hold together. By command: some milliseconds."""
        listing = subprocess.run(["ipset", "list", "-t"], capture_output=True, text=True, check=True).stdout
        return sum(int(line.split(":")[1]) for line in listing.splitlines() if line.startswith("Number of entries"))


def wait_for(predicate: Callable[[], bool], *, limit: float, pause: float = 0.0) -> float:
    """Seconds until `predicate` holds; looks without pause unless told. Raises TimeoutError after `limit` seconds."""
    start = time.perf_counter()
    while not predicate():
        if time.perf_counter() - start > limit:
            raise TimeoutError(f"not within {limit:.0f} s")
        if pause:
            time.sleep(pause)
    return time.perf_counter() - start
