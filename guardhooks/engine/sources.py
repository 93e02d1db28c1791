"""Which sources are read for which jails: one reader for each source, shared by all jails that name it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from guardhooks.engine.pipeline import Pipeline
from guardhooks.engine.supervisor import Supervisor
from guardhooks.errors import ConfigError, PluginError
from guardhooks.model import Jail, Problem, SourceSpec
from guardhooks.plugins import Plugins
from guardhooks.plugins.faults import cause_of
from guardhooks.text import safe_text
from guardhooks.workers import LogSource, SourceStatus

_RESTART_AFTER: Final = (1.0, 5.0, 30.0)
"""Seconds until a source whose plugin failed is opened again, by how often it has failed in a row."""

logger = logging.getLogger("guardhooks.source")


@dataclass(slots=True)
class Reader:
    """One source, the jails that read it, and the task that does."""

    source: LogSource
    spec: SourceSpec
    jails: tuple[Jail, ...]
    plugins: Plugins
    pipeline: Pipeline
    problems: dict[str, list[Problem]] = field(default_factory=dict)
    failed: str = ""
    closing: bool = False
    task: asyncio.Task[None] | None = None

    def status(self) -> SourceStatus:
        """The source's own word, unless it has failed."""
        if self.failed:
            return SourceStatus(self.source.key, "failed", self.failed)
        return self.source.status()

    async def run(self) -> None:
        """Read until closed; a source or matcher that fails is opened again from the position it had reached."""
        tries = 0
        while not self.closing:
            try:
                await self._read()
            except Exception as error:  # noqa: BLE001 -- the plugin boundary: source and matcher are plugins' objects
                self.failed = cause_of(error)
                logger.error("source %s failed, is opened again: %s", safe_text(self.source.key), self.failed)
            else:
                return
            with contextlib.suppress(Exception):
                await self.source.close()
            await asyncio.sleep(_RESTART_AFTER[min(tries, len(_RESTART_AFTER) - 1)])
            tries += 1
            with contextlib.suppress(ConfigError):
                self.source = self.plugins.log_source(self.jails[0], self.spec)
                self.failed = ""

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        matchers = await loop.run_in_executor(
            self.pipeline.executor, self.plugins.line_matcher, self.source, self.jails
        )
        jails = {jail.name: jail for jail in self.jails}
        self.problems = {
            name: [_placed(problem, jails.get(name)) for problem in found]
            for matcher in matchers
            for name, found in matcher.problems.items()
        }
        served = {name for matcher in matchers for name in matcher.jails}
        for jail in self.jails:
            if jail.name not in served:
                unmatched = Problem(
                    "no plugin finds failures in its lines", section=jail.name, key="filter", fatal=True
                )
                self.problems.setdefault(jail.name, []).append(unmatched)
        for name, problems in self.problems.items():
            for problem in problems:
                logger.error("[%s] %s", name, safe_text(str(problem).removeprefix(f"[{name}] ")))
        if matchers:
            served_jails = {name: jail for name, jail in jails.items() if name in served}
            await self.pipeline.follow(self.source, served_jails, matchers)

    async def close(self) -> None:
        """End the reading; what was read is counted, what was not stays for the next time."""
        self.closing = True
        try:
            await self.source.close()
        except Exception as error:  # noqa: BLE001 -- the plugin boundary
            logger.error("source %s: closing failed: %s", safe_text(self.source.key), safe_text(str(error)))
        if self.task is not None:
            done, _ = await asyncio.wait({self.task}, timeout=10)
            if not done:
                self.task.cancel()


def _placed(problem: Problem, jail: Jail | None) -> Problem:
    """A matcher's problem with a part of the filter, which knows no files, at the place where that part is written."""
    if problem.file or jail is None or jail.filter is None or problem.key not in jail.filter.places:
        return problem
    file, line = jail.filter.places[problem.key]
    return replace(problem, file=file, line=line)


class Sources:
    """All readers. `sync` brings them in line with a set of jails."""

    def __init__(self, plugins: Plugins, pipeline: Pipeline, supervisor: Supervisor) -> None:
        self.plugins, self.pipeline = plugins, pipeline
        self._supervisor = supervisor
        self._readers: dict[str, Reader] = {}
        self._problems: dict[str, list[Problem]] = {}

    async def sync(self, jails: Iterable[Jail]) -> None:
        """Read for exactly these jails: go on where nothing changed, else open again from the saved position."""
        self._problems = {}
        wanted = self._wanted(jails)
        for key, reader in list(self._readers.items()):
            if key not in wanted or reader.jails != tuple(jail for jail, _, _ in wanted[key]):
                await self._readers.pop(key).close()
        for key, readings in wanted.items():
            if key not in self._readers:
                self._open(key, readings)

    def _wanted(self, jails: Iterable[Jail]) -> dict[str, list[tuple[Jail, SourceSpec, LogSource]]]:
        wanted: defaultdict[str, list[tuple[Jail, SourceSpec, LogSource]]] = defaultdict(list)
        for jail in jails:
            for spec in jail.sources:
                try:
                    source = self.plugins.log_source(jail, spec)
                except (ConfigError, PluginError) as error:
                    logger.error("%s", safe_text(str(error)))
                    self._problems.setdefault(jail.name, []).append(Problem(safe_text(str(error)), fatal=True))
                    continue
                if jail not in [known for known, _, _ in wanted[source.key]]:
                    wanted[source.key].append((jail, spec, source))
        return wanted

    def _open(self, key: str, readings: Sequence[tuple[Jail, SourceSpec, LogSource]]) -> None:
        _, spec, source = readings[0]
        reader = Reader(source, spec, tuple(jail for jail, _, _ in readings), self.plugins, self.pipeline)
        self._readers[key] = reader
        reader.task = self._supervisor.spawn(reader.run(), f"source {key}")

    def statuses(self, jail: str) -> list[SourceStatus]:
        """State of each source that a jail reads."""
        return [reader.status() for reader in self._readers.values() if any(j.name == jail for j in reader.jails)]

    def states(self) -> list[tuple[SourceStatus, list[str]]]:
        """State of every source, with the names of the jails that read it."""
        return [(reader.status(), [jail.name for jail in reader.jails]) for reader in self._readers.values()]

    def problems(self, jail: str) -> list[Problem]:
        """What keeps a jail from being read whole."""
        found = [problem for reader in self._readers.values() for problem in reader.problems.get(jail, [])]
        return self._problems.get(jail, []) + found

    async def close(self) -> None:
        """Close all readers."""
        await asyncio.gather(*(reader.close() for reader in self._readers.values()))
        self._readers.clear()


_EVERY: Final = 1.0
"""Seconds between two looks. Only what holds at two looks in a row is told: a rotation makes no noise."""
_JAILS_NAMED: Final = 5


class SourceStateLogger:
    """Remembers what was told of each source."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, str]] = {}
        self._logged: dict[str, tuple[str, str]] = {}
        self._next = 0.0

    def look(self, sources: Iterable[tuple[SourceStatus, Sequence[str]]], now: float) -> None:
        """Log what is new since it was last told; does nothing within a second of the last look.

        :param sources: states, and the names of the jails that read each.
        :param now: epoch seconds.
        """
        if self._next - _EVERY <= now < self._next:
            return
        self._next = now + _EVERY
        seen: dict[str, tuple[str, str]] = {}
        sources = list(sources)
        served = {jail for status, jails in sources if status.state not in {"waiting", "failed"} for jail in jails}
        for status, jails in sources:
            found = (status.state, status.detail)
            if status.state not in {"waiting", "failed"}:
                found = ("read", "")
            if found == self._seen.get(status.key) != self._logged.get(status.key, ("read", "")):
                self._log(status, jails, in_vain=not served.issuperset(jails))
                self._logged[status.key] = found
            seen[status.key] = found
        self._seen = seen
        self._logged = {key: logged for key, logged in self._logged.items() if key in seen}

    @staticmethod
    def _log(status: SourceStatus, jails: Sequence[str], *, in_vain: bool) -> None:
        """`in_vain`: one of these jails has nothing else to read. Many name the log of every distribution."""
        more = ", …" if len(jails) > _JAILS_NAMED else ""
        names, detail = ", ".join(jails[:_JAILS_NAMED]) + more, safe_text(status.detail)
        if status.state == "failed":
            logger.error("[%s] log cannot be read: %s", names, detail or safe_text(status.key))
        elif status.state == "waiting":
            level = logging.WARNING if in_vain else logging.INFO
            logger.log(level, "[%s] waiting: %s", names, detail or safe_text(status.key))
        else:
            logger.info("[%s] is read now: %s", names, safe_text(", ".join(status.origins) or status.key))
