"""Reads one source for the jails that name it: opens it again after a fault, and gets its matchers from the plugins."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from guardhooks.engine.configuration import LiveConfiguration
from guardhooks.engine.pipeline import Pipeline
from guardhooks.engine.source_health import SourceHealth
from guardhooks.errors import GuardhooksError, PluginError
from guardhooks.model import Jail, Problem, SourceSpec
from guardhooks.plugins.calls import Asked, Provided
from guardhooks.plugins.faults import cause_of
from guardhooks.plugins.worker_calls import WorkerCalls
from guardhooks.text import safe_text
from guardhooks.workers import LineMatcher, LogSource, SourceStatus

_RESTART_AFTER: Final = (1.0, 5.0, 30.0)
"""Seconds until a source whose plugin failed is opened again, by how often it has failed in a row."""
_CLOSING_TIME: Final = 3.0
"""Seconds that a source has to close, and then to end; one that hangs must not keep the daemon from stopping."""

logger = logging.getLogger("guardhooks.source")


class Reader:
    """One source, the jails that read it, and the task that does."""

    def __init__(
        self,
        source: Provided[LogSource],
        spec: SourceSpec,
        jails: tuple[Jail, ...],
        configuration: LiveConfiguration,
        pipeline: Pipeline,
    ) -> None:
        self.source, self.jails = source, jails
        self.problems: dict[str, list[Problem]] = {}
        self.health = SourceHealth()
        self.task: asyncio.Task[None] | None = None
        self._spec = spec
        self._configuration, self._pipeline = configuration, pipeline
        self._matchers: Sequence[Provided[LineMatcher]] = ()
        self._asked: Asked = ()
        self._matching = asyncio.Lock()
        self._failed = ""
        self._label = ""
        self._closing = False

    def status(self, jail: str = "") -> SourceStatus:
        """The source's status, with what it delivered for one jail or (empty) for all."""
        return self.health.fill(self._status(), jail, self._time_of)

    def missing(self) -> tuple[SourceStatus, float]:
        """Its status, and for how many seconds it has had nothing to read."""
        status = self._status()
        return status, self.health.missing(status, self._pipeline.clock())

    def _time_of(self, line: bytes) -> float | None:
        return self._workers.time_of(self._matchers, line)

    @property
    def _workers(self) -> WorkerCalls:
        return self._configuration.plugins.workers

    def _status(self) -> SourceStatus:
        """The source's own status, unless it has failed."""
        failed = self._failed
        if not failed:
            try:
                status = self._workers.status(self.source, self.jails[0].name)
            except PluginError as error:
                failed = str(error)
            else:
                self._label = status.label
                return status
        return SourceStatus(self.source.key, "failed", failed, label=self._label)

    async def run(self) -> None:
        """Read until closed; a source or matcher that fails is opened again from the position it had reached."""
        tries = 0
        while not self._closing:
            try:
                await self._read()
                if self._closing or not self._matchers:
                    return
                raise PluginError("it ended by itself")  # noqa: TRY301 -- as a source that fails
            except Exception as error:  # noqa: BLE001 -- the plugin boundary: source and matcher are plugins' objects
                self._failed = cause_of(error)
                logger.error("source %s failed, retrying: %s", safe_text(self.source.key), self._failed)
            await self._workers.close(self.source, self.jails[0].name, _CLOSING_TIME)
            await asyncio.sleep(_RESTART_AFTER[min(tries, len(_RESTART_AFTER) - 1)])
            tries += 1
            with contextlib.suppress(GuardhooksError):
                self.source = self._configuration.plugins.log_source(self.jails[0], self._spec)
                self._failed = ""

    async def _read(self) -> None:
        self._matchers = await self._find_matchers()
        if self._matchers:
            await self._pipeline.follow(self.source, self.jails, lambda: self._matchers, self.health.delivered)

    async def update_matchers(self, jails: tuple[Jail, ...]) -> bool:
        """After a reload: get matchers for the jails as they are now from the plugins that are asked now.

        Those that there are stay if jails and plugins are the same as before.

        Reading goes on meanwhile. False where the source must be opened again instead: it has failed, or other jails
        than before are served.
        """
        if self._failed:
            return False
        is_same = self.jails == jails
        self.jails = jails
        if is_same and self._asked == self._configuration.plugins.asked_for_matchers(jails):
            return True
        try:
            matchers = await self._find_matchers()
        except (GuardhooksError, OSError, MemoryError):  # opening it again retries, and reports the cause
            return False
        if not self._matchers or _served(matchers) != _served(self._matchers):
            return False
        self._matchers = matchers
        return True

    async def _find_matchers(self) -> list[Provided[LineMatcher]]:
        async with self._matching:  # a reload may come while the first matchers are still being compiled
            plugins = self._configuration.plugins
            self._asked = plugins.asked_for_matchers(self.jails)
            matchers = await asyncio.get_running_loop().run_in_executor(
                self._pipeline.executor, plugins.line_matcher, self.source.worker, self.jails
            )
            self._set_problems(matchers)
            return matchers

    def _set_problems(self, matchers: Sequence[Provided[LineMatcher]]) -> None:
        jails = {jail.name: jail for jail in self.jails}
        self.problems = {
            name: [_placed(problem, jails.get(name)) for problem in found]
            for matcher in matchers
            for name, found in matcher.problems.items()
        }
        for name in jails.keys() - _served(matchers):
            unmatched = Problem("no plugin finds failures in its lines", section=name, key="filter", fatal=True)
            self.problems.setdefault(name, []).append(unmatched)
        for name, problems in self.problems.items():
            for problem in problems:
                logger.error("[%s] %s", name, safe_text(str(problem).removeprefix(f"[{name}] ")))

    async def close(self) -> None:
        """End the reading; what was read is counted, what was not stays for the next time."""
        self._closing = True
        if why := await self._workers.close(self.source, self.jails[0].name, _CLOSING_TIME):
            logger.error("source %s: closing failed: %s", safe_text(self.source.key), why)
        if self.task is not None:
            done, _ = await asyncio.wait({self.task}, timeout=_CLOSING_TIME)
            if not done:
                self.task.cancel()


def _served(matchers: Sequence[Provided[LineMatcher]]) -> set[str]:
    """The names of the jails that these matchers serve."""
    return {name for matcher in matchers for name in matcher.jails}


def _placed(problem: Problem, jail: Jail | None) -> Problem:
    """A matcher's problem with a part of the filter, which knows no files, at the place where that part is written."""
    if problem.file or jail is None or jail.filter is None or problem.key not in jail.filter.places:
        return problem
    file, line = jail.filter.places[problem.key]
    return replace(problem, file=file, line=line)
