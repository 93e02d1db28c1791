"""Which sources are read for which jails: one reader for each source, shared by all jails that name it."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from guardhooks.engine.configuration import LiveConfiguration
from guardhooks.engine.pipeline import Pipeline
from guardhooks.engine.reader import Reader
from guardhooks.engine.source_health import MISSING_AFTER
from guardhooks.engine.supervisor import Supervisor
from guardhooks.errors import ConfigError, PluginError
from guardhooks.model import Jail, Problem, SourceSpec
from guardhooks.plugins.calls import Provided
from guardhooks.text import safe_text
from guardhooks.workers import LogSource, SourceStatus

logger = logging.getLogger("guardhooks.source")


class _Wanted(NamedTuple):
    """A jail that names a source, how, and the worker that a plugin made for it."""

    jail: Jail
    spec: SourceSpec
    source: Provided[LogSource]


class Sources:
    """All readers. `sync` brings them in line with the configuration."""

    def __init__(self, configuration: LiveConfiguration, pipeline: Pipeline, supervisor: Supervisor) -> None:
        self._configuration, self._pipeline = configuration, pipeline
        self._supervisor = supervisor
        self._readers: dict[str, Reader] = {}
        self._syncing = asyncio.Lock()
        self._problems: dict[str, list[Problem]] = {}

    async def refresh(self) -> None:
        """Have a plugin that is asked again read and match, too; does nothing while a reload does the same."""
        if not self._syncing.locked():
            await self.sync()

    async def sync(self) -> None:
        """Read for exactly the jails that run: go on where nothing changed, else open again from the saved position."""
        async with self._syncing:
            await self._sync()

    async def _sync(self) -> None:
        self._problems = {}
        wanted = self._wanted(self._configuration.jails.values())
        for key, reader in list(self._readers.items()):
            if not await _can_go_on(reader, wanted.get(key, [])):
                await self._readers.pop(key).close()
        for key, readings in wanted.items():
            if key not in self._readers:
                self._open(key, readings)

    def _wanted(self, jails: Iterable[Jail]) -> dict[str, list[_Wanted]]:
        wanted: defaultdict[str, list[_Wanted]] = defaultdict(list)
        for jail in jails:
            for spec in jail.sources:
                try:
                    source = self._configuration.plugins.log_source(jail, spec)
                except (ConfigError, PluginError) as error:
                    logger.error("%s", safe_text(str(error)))
                    self._problems.setdefault(jail.name, []).append(Problem(safe_text(str(error)), fatal=True))
                    continue
                readings = wanted[source.key]
                if jail not in [known.jail for known in readings]:
                    readings.append(_Wanted(jail, spec, source))
        return wanted

    def _open(self, key: str, readings: Sequence[_Wanted]) -> None:
        first = readings[0]
        jails = tuple(each.jail for each in readings)
        reader = Reader(first.source, first.spec, jails, self._configuration, self._pipeline)
        self._readers[key] = reader
        reader.task = self._supervisor.spawn(reader.run(), f"source {key}")

    def statuses(self, jail: str) -> list[SourceStatus]:
        """State of each source that a jail reads."""
        return [reader.status(jail) for reader in self._of(jail)]

    def states(self) -> list[tuple[SourceStatus, list[str]]]:
        """State of every source, with the names of the jails that read it."""
        return [(reader.missing()[0], [jail.name for jail in reader.jails]) for reader in self._readers.values()]

    def problems(self, jail: str) -> list[Problem]:
        """What keeps a jail from being read whole."""
        found = [problem for reader in self._readers.values() for problem in reader.problems.get(jail, [])]
        return self._problems.get(jail, []) + found + self._missing(jail)

    def _missing(self, jail: str) -> list[Problem]:
        """A problem if nothing that the jail names has been there for a minute."""
        looks = [reader.missing() for reader in self._of(jail)]
        if not looks or min(seconds for _, seconds in looks) < MISSING_AFTER:
            return []
        waiting = [safe_text(status.detail or status.key) for status, _ in looks if status.state == "waiting"]
        if not waiting:  # A source that has failed says so itself.
            return []
        nothing = f"has read nothing for over a minute: {'; '.join(waiting)}; check logpath and backend"
        return [Problem(nothing, section=jail)]

    def _of(self, jail: str) -> list[Reader]:
        return [reader for reader in self._readers.values() if any(each.name == jail for each in reader.jails)]

    async def close(self) -> None:
        """Close all readers."""
        await asyncio.gather(*(reader.close() for reader in self._readers.values()))
        self._readers.clear()


async def _can_go_on(reader: Reader, readings: Sequence[_Wanted]) -> bool:
    """Whether a reader still reads what is wanted, for jails of the same names and by the same plugin."""
    jails = tuple(each.jail for each in readings)
    if [jail.name for jail in reader.jails] != [jail.name for jail in jails]:
        return False
    return readings[0].source.made_as(reader.source) and await reader.update_matchers(jails)


_INTERVAL: Final = 1.0
"""Seconds between two looks. Only what holds at two looks in a row is logged: a rotation makes no noise."""
_JAILS_NAMED: Final = 5


class SourceStateLogger:
    """Logs when a source begins to wait, fails or is read again; remembers what it has logged of each."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, str]] = {}
        self._logged: dict[str, tuple[str, str]] = {}
        self._next = 0.0

    def look(self, sources: Iterable[tuple[SourceStatus, Sequence[str]]], now: float) -> None:
        """Log what changed since it was last logged; does nothing within a second of the last look.

        :param sources: states, and the names of the jails that read each.
        :param now: epoch seconds.
        """
        if self._next - _INTERVAL <= now < self._next:
            return
        self._next = now + _INTERVAL
        seen: dict[str, tuple[str, str]] = {}
        sources = list(sources)
        served = {jail for status, jails in sources if status.state not in {"waiting", "failed"} for jail in jails}
        for status, jails in sources:
            found = (status.state, status.detail)
            if status.state not in {"waiting", "failed"}:
                found = ("read", "")
            if found == self._seen.get(status.key) != self._logged.get(status.key, ("read", "")):
                self._log(status, jails, is_only_source=not served.issuperset(jails))
                self._logged[status.key] = found
            seen[status.key] = found
        self._seen = seen
        self._logged = {key: logged for key, logged in self._logged.items() if key in seen}

    @staticmethod
    def _log(status: SourceStatus, jails: Sequence[str], *, is_only_source: bool) -> None:
        """`is_only_source`: one of these jails has nothing else to read. Many name the log of every distribution."""
        more = ", …" if len(jails) > _JAILS_NAMED else ""
        names, detail = ", ".join(jails[:_JAILS_NAMED]) + more, safe_text(status.detail)
        if status.state == "failed":
            logger.error("[%s] log cannot be read: %s", names, detail or safe_text(status.key))
        elif status.state == "waiting":
            level = logging.WARNING if is_only_source else logging.INFO
            logger.log(level, "[%s] waiting: %s", names, detail or safe_text(status.key))
        else:
            logger.info("[%s] reading: %s", names, safe_text(", ".join(status.origins) or status.key))
