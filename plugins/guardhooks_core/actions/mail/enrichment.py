"""Details about an offender for a message: log lines, whois, host name. Each is limited, none is required."""

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

_LOOKUPS: Final = 25.0
"""Seconds for all network lookups of one message."""
_READING: Final = 20.0
"""Seconds for reading the log lines of one ban."""


@dataclass(frozen=True, slots=True)
class Enrichment:
    """The details of one ban. `lines` are from the log, `matches` are those that were counted; both are unescaped."""

    ban: Ban
    address: str = ""
    lines: Sequence[str] = ()
    matches: Sequence[str] = ()
    whois: Answer | None = None
    hostname: str = ""


class Enricher:
    """Looks up the details, in the order of the bans, until the time is used up."""

    def __init__(self, whois: Whois, hostnames: Hostnames) -> None:
        self._whois, self._hostnames = whois, hostnames

    async def about(self, bans: Sequence[Ban], parameters: Parameters, lines: int) -> list[Enrichment]:
        """The details that the parameters ask for, with at most `lines` lines of the log for each ban."""
        found = [await self._local(ban, parameters, lines) for ban in bans]
        deadline = asyncio.get_running_loop().time() + _LOOKUPS
        return [await self._remote(each, parameters, deadline) for each in found]

    async def _local(self, ban: Ban, parameters: Parameters, most: int) -> Enrichment:
        address = address_of(ban)
        lines: Sequence[str] = ()
        if parameters.content.lines and address:
            lines = await _read(parameters.logpath, address, most)
        asked = parameters.content.matches or (parameters.content.lines and not lines)
        return Enrichment(ban, address, lines, ban.matches[-most:] if asked and most else ())

    async def _remote(self, enrichment: Enrichment, parameters: Parameters, deadline: float) -> Enrichment:
        content = parameters.content
        if not enrichment.address or not (content.whois or content.hostname):
            return enrichment
        whois, name = None, ""
        try:
            async with asyncio.timeout_at(deadline):
                name = await self._hostnames.of_address(enrichment.address) if content.hostname else ""
                if content.whois:
                    whois = await self._whois.about(enrichment.address, parameters.whois_server)
        except TimeoutError:
            whois = Answer(problem="no time was left for the query") if content.whois else None
        return Enrichment(enrichment.ban, enrichment.address, enrichment.lines, enrichment.matches, whois, name)


async def _read(logpath: str, address: str, most: int) -> Sequence[str]:
    try:
        async with asyncio.timeout(_READING):
            return await in_thread(lambda: last_lines(logpath, address, most))
    except (ActionError, OSError):  # TimeoutError (a hanging network file system) is an OSError.
        return ()
