"""Banned addresses that go on failing: the ban does not keep them out, which is a fault of the guard.

Failures count from a moment after the ban was in force; the first such address of a jail is logged, with the likely
cause, and `problem` tells of them as long as they go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from guardhooks.engine.supervisor import Supervisor
from guardhooks.model import Ban, Failure, Jail
from guardhooks.system.sockets import established, listening
from guardhooks.system.tcp_ports import ports_of
from guardhooks.text import plural, safe_text

_GRACE: Final = 5.0
"""Seconds after a ban in which lines about earlier connections may still be written."""
_TOLERATED: Final = 2
"""Failures of a banned address that are no reason to worry."""
_RECENT: Final = 600.0
"""Seconds after the last such failure in which an address is told of."""
_OBSERVE: Final = "observe"

logger = logging.getLogger("guardhooks.actions")


@dataclass(slots=True)
class _Leak:
    """`since` is when the ban began; later failures may prolong it, which changes nothing about them."""

    since: float
    count: int = 0
    last: float = 0.0
    cause: str = ""


class Leaks:
    """Counts the failures of addresses whose ban is in force.

    :param is_in_force: whether the ban of an id in a jail has been done by all actions.
    :param since: when the guard started, seconds since the epoch: older lines are about the time without it.
    """

    def __init__(
        self,
        is_in_force: Callable[[str, str], bool],
        since: Callable[[], float],
        clock: Callable[[], float],
        supervisor: Supervisor,
    ) -> None:
        self._is_in_force, self._since, self._clock = is_in_force, since, clock
        self._supervisor = supervisor
        self._found: dict[str, dict[str, _Leak]] = {}

    def failed(self, jail: Jail, ban: Ban, failure: Failure) -> None:
        """A banned id failed once more. Ids that are no addresses, such as accounts, may go on failing."""
        if not failure.address or all(action.name == _OBSERVE for action in jail.actions):
            return
        if not self._is_in_force(jail.name, ban.id):
            return
        self._found.setdefault(jail.name, {})
        leaks = self._recent(jail.name)
        is_first = not any(leak.count > _TOLERATED for leak in leaks.values())
        leak = leaks.setdefault(failure.address, _Leak(max(ban.start, self._since()), last=failure.time))
        if failure.time <= leak.since + _GRACE:
            return
        leak.count += 1
        leak.last = failure.time
        if is_first and leak.count == _TOLERATED + 1:
            self._supervisor.spawn(self._explain(jail, failure.address, leak), "cause of a leak")

    def problem(self, jail: str) -> str:
        """Which banned addresses of a jail go on failing, and the likely cause; empty if none does."""
        leaks = {id: leak for id, leak in self._recent(jail).items() if leak.count > _TOLERATED}
        if not leaks:
            return ""
        address, worst = max(leaks.items(), key=lambda item: item[1].count)
        cause = next((leak.cause for leak in leaks.values() if leak.cause), "")
        return _sentence(address, worst.count, len(leaks), cause)

    def _recent(self, jail: str) -> dict[str, _Leak]:
        now = self._clock()
        leaks = self._found.get(jail, {})
        for address in [id for id, leak in leaks.items() if now - leak.last > _RECENT]:
            del leaks[address]
        return leaks

    async def _explain(self, jail: Jail, address: str, leak: _Leak) -> None:
        leak.cause = await asyncio.to_thread(likely_cause, jail, address)
        logger.error("[%s] %s", jail.name, _sentence(address, leak.count, 1, leak.cause))


def _sentence(address: str, failures: int, addresses: int, cause: str) -> str:
    shown = safe_text(address)
    more = f" (and {addresses - 1} more)" if addresses > 1 else ""
    why = f": {cause}" if cause else ""
    return (
        f"{shown}{more} is banned, but not kept out, {plural(failures, 'failure')} since{why}; "
        f"see `guardhooks doctor {shown}`"
    )


def likely_cause(jail: Jail, address: str) -> str:
    """Why the bans of a jail do not keep an address out, as far as the sockets tell. Blocks: for a worker thread."""
    closed, text = closed_ports(jail)
    connected = {each.local_port for each in established() if each.remote == address}
    if closed is not None:
        if uncovered := sorted(connected - closed):
            return f"it is connected to port {uncovered[0]}, and the ban closes port {text}: set port= in the jail"
        open_ports = {socket.local_port for socket in listening()}
        if open_ports and not closed & open_ports:
            return f"nothing listens on port {text}, which the ban closes: set port= to what the server listens on"
    if connected:
        return (
            f"its connection to port {min(connected)} is older than the ban: the action conntrack cuts such connections"
        )
    return "a rule before ours accepts it, or a proxy connects in its place"


def closed_ports(jail: Jail) -> tuple[frozenset[int] | None, str]:
    """The ports that the actions of a jail close, and as they are written; None stands for every port."""
    closed: frozenset[int] = frozenset()
    texts = []
    for action in jail.actions:
        if action.name.endswith("allports") or action.get("type") == "allports":
            return None, ""
        text = action.get("port").strip()
        if text:
            ports = ports_of(text)
            if ports is None:
                return None, ""
            closed |= ports
            texts.append(text)
    return (closed, safe_text(", ".join(dict.fromkeys(texts)), 100)) if closed else (None, "")
