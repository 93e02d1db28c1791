"""What the noun hooks return: workers that read sources and find failures, and what passes between us and them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from guardhooks.findings import FailureLines
from guardhooks.model import Chunk, Failure, Jail, Position, Problem
from guardhooks.status import SourceStatus as SourceStatus


@dataclass(frozen=True, slots=True)
class StartAt:
    """Where a source begins: at the saved position of each origin, else at what was written after `since`.

    `time_of` gives the time of a line, None where it has no date; sources bisect big files with it. It is pure enough
    to be called from any thread, on any line, in any order.
    """

    positions: Mapping[str, Position]
    since: float
    time_of: Callable[[bytes], float | None]


@dataclass(frozen=True, slots=True)
class LineTrace:
    """What a matcher did with one line, for testers (`guardhooks test`).

    `text` is the decoded line, `time` its time (None: undated), `date` the text that was taken as its date and
    `datepattern` the pattern that found it. `ignoreregex` is the index of the ignoreregex that dropped it, else -1.
    `failures` holds the result of every regex that matched, helper lines (`nofail`) included. `steps` tells in order
    what happened, one sentence each.
    """

    text: str
    time: float | None = None
    date: str = ""
    datepattern: str = ""
    ignoreregex: int = -1
    failures: tuple[Failure, ...] = ()
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MissedLines:
    """`count` lines in a row that nothing matches; `datepattern` found a date in each (empty: none has a date)."""

    count: int
    datepattern: str = ""


@runtime_checkable
class LogSource(Protocol):
    """Reads one spec for all jails that name it. Sources with an equal `key` are shared."""

    @property
    def key(self) -> str: ...

    def chunks(self, start: StartAt) -> AsyncIterator[Chunk]:
        """Whole lines as they come, until `close`. Must not block the event loop."""
        ...

    def status(self) -> SourceStatus: ...

    async def close(self) -> None:
        """Stop and release everything; `chunks` ends."""
        ...


@runtime_checkable
class LineMatcher(Protocol):
    """Finds failures in the lines of one source, for several jails."""

    @property
    def jails(self) -> Sequence[str]:
        """Names of the jails it serves; for the others of the call the next plugin is asked."""
        ...

    @property
    def problems(self) -> Mapping[str, Sequence[Problem]]:
        """What could not be compiled, by jail name; those jails run degraded."""
        ...

    def feed(self, chunk: Chunk) -> Iterable[Failure]:
        """The failures in these lines, in order. Called in a worker thread, never twice at a time."""
        ...

    def time_of(self, line: bytes) -> float | None:
        """The time written in the line, None where there is none. Does not change the matcher's state."""
        ...

    def trace(self, chunk: Chunk, *, every: bool = True) -> Iterable[LineTrace]:
        """One `LineTrace` for each line, in order, for the first of `jails`: as `feed`, but age rules are off.

        With `every`, all regexes of the filter are tried on each line; else the first that matches decides.
        """
        ...


@runtime_checkable
class SelectiveMatcher(LineMatcher, Protocol):
    """A matcher that can also say why it leaves jails to the next plugin. Only if you like."""

    @property
    def unserved(self) -> Mapping[str, str]:
        """By jail name, the reason in a few words; `guardhooks plugins` shows it."""
        ...


@runtime_checkable
class SurveyingMatcher(LineMatcher, Protocol):
    """A matcher that can also tell testers the outcome of a whole log fast. Optional: `trace` is enough."""

    @property
    def unfiltered(self) -> Mapping[str, Sequence[str]]:
        """By jail name, why some of its regexes are tried on every line without a prefilter, one sentence each."""
        ...

    def survey(self, chunk: Chunk, *, every: bool = True) -> Iterable[LineTrace | MissedLines]:
        """As `trace`, and leading to the same, with any lines that nothing matches summed up. `steps` may be empty."""
        ...


class WindowChanges(Protocol):
    """What changed in the failure windows of one jail; does not change itself. `segments` may be called in any thread.

    `whole`: these are all windows of the jail, and what is on disk is to be deleted first.
    """

    @property
    def whole(self) -> bool: ...

    def segments(self) -> Iterator[bytes]:
        """What is to be appended on disk; see `guardhooks/ledger/segments.py`."""
        ...


class FailureWindows(Protocol):
    """The failure windows of one jail, by id, in memory. `guardhooks/ledger/windows.py` says what they are, exactly.

    Times are epoch seconds. Any other implementation must give the same answers and write the same bytes.
    """

    @property
    def findtime(self) -> float:
        """Seconds; that of the jail when a failure was last counted."""
        ...

    def __len__(self) -> int:
        """How many ids have a window."""
        ...

    def count(  # noqa: PLR0917 -- the columns and what they are counted against
        self,
        jail: Jail,
        ids: Sequence[str],
        times: Sequence[float],
        lines: FailureLines,
        clock: Callable[[], float],
        known: Sequence[Container[str]] = (),
        *,
        start: int = 0,
        limit: int = 0,
    ) -> tuple[int, tuple[float, ...] | None]:
        """Count failures from place `start` on, up to the first of an id that is `known` or has failed `limit` times.

        :return: the place behind it and the `times` of its `Record`; the number of failures and None if there is none.
        """
        ...

    def failures(self, id: str) -> int:
        """How many failures of an id have been counted."""
        ...

    def matches(self, id: str) -> tuple[str, ...]:
        """The log lines kept of an id's failures."""
        ...

    def times(self, id: str) -> tuple[float, ...]:
        """When the latest failures of an id were, oldest first."""
        ...

    def forget(self, id: str) -> None:
        """Drop a window, if there is one."""
        ...

    def clear(self) -> None:
        """Drop all windows."""
        ...

    def expire(self, now: float) -> None:
        """Drop the windows that are over at `now`, or lie in the future since the clock was set back."""
        ...

    @property
    def is_dirty(self) -> bool:
        """Whether `take` would return anything."""
        ...

    def take(self) -> WindowChanges | None:
        """What is to be written; from now on it counts as written.

        Before the next call comes `mark_written` or `put_back` with the last answer, if anything is written at all.
        """
        ...

    def mark_all_changed(self) -> None:
        """Nothing of it is on disk any more."""
        ...

    def mark_written(self, changes: WindowChanges) -> None:
        """They have been written."""
        ...

    def put_back(self, changes: WindowChanges) -> None:
        """They were not written after all."""
        ...

    def restore(self, id: str, packed: bytes | None) -> None:
        """Load a window from disk; called in the order in which they were written, with None for one that is gone.

        :raises ValueError: it makes no sense.
        """
        ...

    def restored(self, size: int) -> None:
        """So many bytes on disk have been loaded."""
        ...


MakeWindows: TypeAlias = Callable[[float], FailureWindows]
"""Makes the empty failure windows of one more jail with this findtime."""
