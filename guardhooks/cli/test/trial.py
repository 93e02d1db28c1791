"""Runs the lines of a log through the matcher of one jail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from guardhooks.cli.test.log import LogLines
from guardhooks.cli.test.progress import Progress
from guardhooks.cli.test.subject import Subject
from guardhooks.errors import ConfigError
from guardhooks.model import Chunk, Jail, Problem
from guardhooks.plugins import Plugins
from guardhooks.workers import LineMatcher, LineTrace, MissedLines, SourceStatus, StartAt, SurveyingMatcher

Outcome: TypeAlias = LineTrace | MissedLines


@dataclass(frozen=True, slots=True)
class _TestedLog:
    """The source as the matcher sees it; the lines come in by `trace`."""

    key: str

    async def chunks(self, start: StartAt) -> AsyncIterator[Chunk]:  # noqa: ARG002 -- the protocol names it
        return
        yield  # an empty generator

    def status(self) -> SourceStatus:
        return SourceStatus(self.key, "reading")

    async def close(self) -> None:
        return


class Trial:
    """One run: `jail` against `lines`, at the time `now`. `problems` are the parts of the filter that are left out."""

    def __init__(self, subject: Subject, lines: LogLines, plugins: Plugins, now: float) -> None:
        """:raises ConfigError: when nothing of the filter can be used."""
        self.made_from = subject.made_from
        self.jail: Jail = replace(subject.jail, logencoding="utf-8") if lines.recoded else subject.jail
        self.lines = lines
        self._now = now
        self._journal = subject.journal
        self.plugins = plugins
        self.progress = Progress(lines.extent)
        self._matcher = self._match()
        self.problems: list[Problem] = [*self.jail.problems, *self._matcher.problems.get(self.jail.name, ())]
        # Asked once: to see whether it is one means to ask for all its properties.
        self._surveyor = self._matcher if isinstance(self._matcher, SurveyingMatcher) else None
        self.unfiltered: Sequence[str] = self._surveyor.unfiltered.get(self.jail.name, ()) if self._surveyor else ()

    def _match(self) -> LineMatcher:
        matchers = self.plugins.line_matcher(_TestedLog(self.lines.origin), [self.jail])
        matcher = next((each.worker for each in matchers if self.jail.name in each.jails), None)
        if matcher is None:
            raise ConfigError(f"no plugin matches lines for {self.made_from}; see `guardhooks plugins`")
        found = matcher.problems.get(self.jail.name, ())
        if any(problem.fatal for problem in found):
            causes = [problem for problem in found if not problem.fatal] or found
            raise ConfigError("; ".join(map(str, causes)))
        return matcher

    def blocks(self, *, every: bool) -> Iterator[list[LineTrace]]:
        """What happened to each line, in order, in bounded portions as the lines come."""
        for chunk in self._chunks():
            yield list(self._matcher.trace(chunk, every=every))

    def surveys(self, *, every: bool, in_full: Callable[[], bool] = lambda: False) -> Iterator[list[Outcome]]:
        """As `blocks`, with missed lines summed up where the matcher can do so and `in_full` does not say otherwise."""
        for chunk in self._chunks():
            if self._surveyor is None or in_full():
                yield list(self._matcher.trace(chunk, every=every))
            else:
                yield list(self._surveyor.survey(chunk, every=every))

    def _chunks(self) -> Iterator[Chunk]:
        try:
            for data, times in self.lines.blocks:
                if self._journal:
                    times = (self._now,) * data.count(b"\n")  # noqa: PLW2901 -- told by the user
                yield Chunk(data, self.lines.origin, self._now, times=times)
                self.progress.advance(data.count(b"\n"))
        finally:
            self.progress.clear()

    def traces(self, *, every: bool) -> Iterator[tuple[int, LineTrace]]:
        """Line numbers from 1 and what happened to each line."""
        number = 0
        for block in self.blocks(every=every):
            for trace in block:
                number += 1
                yield number, trace
