"""The flow: lines → failures → ignored or counted → decisions → bans. It reads top to bottom in that order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from guardhooks.engine.configuration import LiveConfiguration
from guardhooks.engine.kept import Kept, Screening, log_found
from guardhooks.engine.questions import Questions
from guardhooks.engine.resolver import Resolver
from guardhooks.errors import StateError
from guardhooks.ledger import Ledger
from guardhooks.model import Ban, Chunk, Failure, Ignore, Jail, Position
from guardhooks.net.addresses import widen
from guardhooks.plugins.calls import Provided
from guardhooks.plugins.found import Found
from guardhooks.text import safe_text
from guardhooks.workers import LineMatcher, LogSource, StartAt

_LOOKUPS_UNDER_WAY: Final = 1000
_BACKLOG: Final = 10_000
"""Changes of the ledger beyond which reading waits for the disk, so that a storm does not fill the memory."""

_MATCHING_TIME: Final = 30.0
"""Seconds after which a matcher that has not finished a chunk is reported."""

Delivered: TypeAlias = Callable[[Chunk, Sequence[str]], None]
Matchers: TypeAlias = Callable[[], Sequence[Provided[LineMatcher]]]


@dataclass(slots=True)
class Pipeline:
    """Takes every failure from where it was found to the bans that follow from it.

    `apply` enforces a decided ban, `seen_again` reports that a banned id failed once more, `narrow_to_address` gives
    the single address instead of a prefix that would hit this machine or somebody who is ignored.
    """

    configuration: LiveConfiguration
    ledger: Ledger
    resolver: Resolver
    clock: Callable[[], float]
    executor: Executor
    apply: Callable[[Ban], Ban | None]
    seen_again: Callable[[Jail, Ban, Failure], None]
    narrow_to_address: Callable[[Jail, str, str], str]
    questions: Questions = field(init=False)

    def __post_init__(self) -> None:
        self.questions = Questions(self._answered)

    async def follow(
        self, source: Provided[LogSource], jails: Sequence[Jail], matchers: Matchers, delivered: Delivered
    ) -> None:
        """Read a source to its end, for the given jails; `matchers` gives those to use for the next chunk.

        `delivered` is told of each chunk and the jail of each failure found in it.
        """
        lookups: set[asyncio.Task[None]] = set()
        start = self._start_at(source, jails, matchers)
        chunks = self.configuration.plugins.workers.chunks(source, jails[0].name, start)
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                await self._process_chunk(chunk, matchers(), lookups, delivered)
                del chunk  # with its failures it takes megabytes, and the next one may come tomorrow
                if self.ledger.backlog > _BACKLOG:
                    with contextlib.suppress(StateError):  # the ledger's writer reports it; reading must go on
                        await self.ledger.flush()

    async def _process_chunk(
        self,
        chunk: Chunk,
        matchers: Sequence[Provided[LineMatcher]],
        lookups: set[asyncio.Task[None]],
        delivered: Delivered,
    ) -> None:
        loop = asyncio.get_running_loop()
        found = [await self._feed(matcher, chunk) for matcher in matchers]
        delivered(chunk, [jail for each in found for jail in each.jails])
        for failure in _to_look_up(found) if len(lookups) < _LOOKUPS_UNDER_WAY else ():
            lookups.add(task := loop.create_task(self._look_up(failure)))
            task.add_done_callback(lookups.discard)
        self._take(found, chunk.position)

    async def _feed(self, matcher: Provided[LineMatcher], chunk: Chunk) -> Found:
        """What a matcher finds. One that takes very long is told, and waited for: it holds up its own source alone."""
        plugins = self.configuration.plugins
        found = asyncio.get_running_loop().run_in_executor(self.executor, plugins.feed, matcher, chunk)
        done, _ = await asyncio.wait({found}, timeout=_MATCHING_TIME)
        if not done:
            for jail in matcher.jails:
                what = f"no answer for {_MATCHING_TIME:.0f} s; {safe_text(chunk.origin)} is not read meanwhile"
                plugins.hangs(matcher.plugin, "line_matcher", jail, what)
        return await found

    def _start_at(self, source: Provided[LogSource], jails: Sequence[Jail], matchers: Matchers) -> StartAt:
        def time_of(line: bytes) -> float | None:
            return self.configuration.plugins.workers.time_of(matchers(), line)

        since = self.clock() - max(jail.findtime for jail in jails)
        return StartAt(self.ledger.positions(source.key), since, time_of)

    async def _look_up(self, failure: Failure) -> None:
        """A failure with a host name counts against every address of that name. Nothing waits for it."""
        found = await self.resolver.addresses(failure.resolve)
        await self.process([replace(failure, id=address, address=address, resolve="") for address in found])

    async def process(self, failures: Sequence[Failure]) -> list[Ban]:
        """Ignore or count these failures and enforce what is decided, when plugins have said what they have to say."""
        screening = Screening(Found(failures))
        for row, jail, failure, answer in screening.answers(self.configuration):
            said = answer if answer is None or isinstance(answer, Ignore) else await answer
            screening.settle(row, jail, failure, said)
        return self._decide([screening.kept()])

    def _take(self, batches: Sequence[Found], position: Position | None) -> None:
        """As `process`, but nothing waits for a slow plugin; the lines up to `position` are then done."""
        kept = []
        for found in batches:
            screening = Screening(found)
            for row, jail, failure, answer in screening.answers(self.configuration):
                if answer is None or isinstance(answer, Ignore):
                    screening.settle(row, jail, failure, answer)
                elif self.questions.ask(jail, failure, answer):
                    screening.dropped.add(row)
                else:
                    screening.settle(row, jail, failure, None)
            kept.append(screening.kept())
        # Nothing is awaited here: whenever the ledger is written, it holds all of a chunk or nothing of it.
        self._decide(kept)
        if position is not None:
            self.ledger.advance(position)

    def _answered(self, jail: Jail, failure: Failure, answer: Ignore | None) -> None:
        screening = Screening(Found([failure]))
        screening.settle(0, jail, failure, answer)
        self._decide([screening.kept()])

    def _decide(self, kept: Sequence[Kept]) -> list[Ban]:
        log_found(kept)
        now, jails = self.clock(), self.configuration.jails
        bans: list[Ban] = []
        for each in kept:
            for name, rows in each.runs():
                if (jail := jails.get(name)) is not None:
                    bans += self._count(jail, each, rows, now)
        return bans

    def _count(self, jail: Jail, kept: Kept, rows: Sequence[int], now: float) -> list[Ban]:
        """Count these rows of one jail, in order; only of those that somebody must look at a `Failure` is made."""
        plugins, found = self.configuration.plugins, kept.found
        ids = self._counted_ids(jail, found, rows)
        times = [time if (time := found.times[row]) < now else now for row in rows]
        records = self.ledger.record_failures(
            jail,
            ids,
            times,
            found.lines(rows),
            first_time_offenders=plugins.wants_first_time_offenders(jail),
        )
        bans: list[Ban] = []
        for place, record in records:
            failure = kept.failure(rows[place])
            if failure is None:
                continue
            if record.active is not None:
                self.seen_again(jail, record.active, failure)
            if ids[place] != failure.id or times[place] != failure.time:
                failure = replace(failure, id=ids[place], time=times[place])
            decided = plugins.decide_ban(jail, failure, record)
            bans += [ban for each in decided if (ban := self.apply(each)) is not None]
        return bans

    def _counted_ids(self, jail: Jail, found: Found, rows: Sequence[int]) -> Sequence[str]:
        """The ids under which failures count: an address may stand for its prefix."""
        ids = found.ids if len(rows) == len(found) else [found.ids[row] for row in rows]
        if jail.ipv4prefix >= 32 and not any(":" in id for id in ids):
            return ids
        return [self._counted_id(jail, found.ids[row], found.addresses[row]) for row in rows]

    def _counted_id(self, jail: Jail, id: str, address: str) -> str:
        """The id under which a failure counts: an address may stand for its prefix, unless that would hit ourselves."""
        if not address or address != id:
            return id
        prefix = widen(address, jail.ipv4prefix, jail.ipv6prefix)
        return address if prefix == address else self.narrow_to_address(jail, prefix, address)


def _to_look_up(batches: Sequence[Found]) -> Iterator[Failure]:
    """The failures with a host name."""
    for found in batches:
        for row in found.unresolved:
            if (failure := found.failure(row)) is not None:
                yield failure
