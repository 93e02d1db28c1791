"""What the kernel's ipset sets hold, read by netlink."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable

from pyroute2 import IPSet
from pyroute2.netlink.exceptions import NetlinkError


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
