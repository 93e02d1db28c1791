"""What can be found out about an offender for a message: log lines, whois, name. Each part bounded, none required."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from guardhooks import ActionError, Ban
from guardhooks_core.actions.common.hostnames import Hostnames
from guardhooks_core.actions.common.offender import address_of
from guardhooks_core.actions.mail.loglines import last_lines
from guardhooks_core.actions.mail.parameters import Parameters
from guardhooks_core.actions.mail.threads import in_thread
from guardhooks_core.actions.mail.whois import Answer, Whois

_TOGETHER: Final = 25.0
"""Seconds for what is asked of the network for one message."""
_READING: Final = 20.0


@dataclass(frozen=True, slots=True)
class Facts:
    """About one ban. `lines` are as found in the log, `matches` those that were counted; both untamed."""

    ban: Ban
    address: str = ""
    lines: Sequence[str] = ()
    matches: Sequence[str] = ()
    whois: Answer | None = None
    hostname: str = ""


class Researcher:
    """Gathers facts, in the order of the bans, until the time is over."""

    def __init__(self, whois: Whois, hostnames: Hostnames) -> None:
        self._whois, self._hostnames = whois, hostnames

    async def about(self, bans: Sequence[Ban], parameters: Parameters, lines: int) -> list[Facts]:
        """The facts that the parameters ask for, with at most `lines` lines of the log for each ban."""
        found = [await self._local(ban, parameters, lines) for ban in bans]
        deadline = asyncio.get_running_loop().time() + _TOGETHER
        return [await self._remote(each, parameters, deadline) for each in found]

    async def _local(self, ban: Ban, parameters: Parameters, most: int) -> Facts:
        address = address_of(ban)
        lines: Sequence[str] = ()
        if parameters.content.lines and address:
            lines = await _read(parameters.logpath, address, most)
        asked = parameters.content.matches or (parameters.content.lines and not lines)
        return Facts(ban, address, lines, ban.matches[-most:] if asked and most else ())

    async def _remote(self, facts: Facts, parameters: Parameters, deadline: float) -> Facts:
        content = parameters.content
        if not facts.address or not (content.whois or content.hostname):
            return facts
        whois, name = None, ""
        try:
            async with asyncio.timeout_at(deadline):
                name = await self._hostnames.of_address(facts.address) if content.hostname else ""
                if content.whois:
                    whois = await self._whois.about(facts.address, parameters.whois_server)
        except TimeoutError:
            whois = Answer(problem="no time was left to ask") if content.whois else None
        return Facts(facts.ban, facts.address, facts.lines, facts.matches, whois, name)


async def _read(logpath: str, address: str, most: int) -> Sequence[str]:
    try:
        async with asyncio.timeout(_READING):
            return await in_thread(lambda: last_lines(logpath, address, most))
    except (ActionError, OSError):  # TimeoutError is an OSError: a network file system that hangs
        return ()
