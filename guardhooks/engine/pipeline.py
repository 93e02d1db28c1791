"""The flow: lines → failures → ignored or counted → decisions → bans. It reads top to bottom in that order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from time import localtime, strftime
from typing import Final, TypeAlias

from guardhooks.engine.configuration import LiveConfiguration
from guardhooks.engine.questions import Questions
from guardhooks.engine.resolver import Resolver
from guardhooks.errors import StateError
from guardhooks.ledger import Ledger
from guardhooks.logs import log_lines
from guardhooks.model import Ban, Chunk, Failure, Ignore, Jail, Position
from guardhooks.net.addresses import widen
from guardhooks.plugins.calls import Provided
from guardhooks.text import safe_text
from guardhooks.workers import LineMatcher, LogSource, StartAt

_LOOKUPS_UNDER_WAY: Final = 1000
_BACKLOG: Final = 10_000
"""Changes of the ledger beyond which reading waits for the disk, so that a storm does not fill the memory."""

_MATCHING_TIME: Final = 30.0
"""Seconds after which a matcher that has not finished a chunk is reported."""

Delivered: TypeAlias = Callable[[Chunk, Sequence[Failure]], None]
Matchers: TypeAlias = Callable[[], Sequence[Provided[LineMatcher]]]

logger = logging.getLogger("guardhooks.filter")


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

        `delivered` is told of each chunk and what was found in it.
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
        failures: list[Failure] = []
        for matcher in matchers:
            failures += await self._feed(matcher, chunk)
        delivered(chunk, failures)
        named = [failure for failure in failures if failure.resolve]
        for failure in named if len(lookups) < _LOOKUPS_UNDER_WAY else ():
            lookups.add(task := loop.create_task(self._look_up(failure)))
            task.add_done_callback(lookups.discard)
        self._take([failure for failure in failures if not failure.resolve], chunk.position)

    async def _feed(self, matcher: Provided[LineMatcher], chunk: Chunk) -> list[Failure]:
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
        kept = []
        for jail, failure, answer in self._asked(failures):
            said = answer if answer is None or isinstance(answer, Ignore) else await answer
            if said is None:
                kept.append(failure)
            else:
                _log_ignored(jail, failure, said)
        return self._decide(kept)

    def _take(self, failures: Sequence[Failure], position: Position | None) -> None:
        """As `process`, but nothing waits for a slow plugin; the lines up to `position` are then done."""
        kept = []
        for jail, failure, answer in self._asked(failures):
            if answer is None:
                kept.append(failure)
            elif isinstance(answer, Ignore):
                _log_ignored(jail, failure, answer)
            elif not self.questions.ask(jail, failure, answer):
                kept.append(failure)
        # Nothing is awaited here: whenever the ledger is written, it holds all of a chunk or nothing of it.
        self._decide(kept)
        if position is not None:
            self.ledger.advance(position)

    def _answered(self, jail: Jail, failure: Failure, answer: Ignore | None) -> None:
        if answer is None:
            self._decide([failure])
        else:
            _log_ignored(jail, failure, answer)

    def _asked(
        self, failures: Sequence[Failure]
    ) -> Iterator[tuple[Jail, Failure, Ignore | Awaitable[Ignore | None] | None]]:
        """What plugins say of each failure, without helper lines and those of jails that a reload removed."""
        for failure in failures:
            configuration = self.configuration.now
            jail = configuration.jails.get(failure.jail)
            if not failure.nofail and jail is not None:
                yield jail, failure, configuration.plugins.on_failure(jail, failure)

    def _decide(self, kept: Sequence[Failure]) -> list[Ban]:
        if kept:
            self._log_found(kept)
        now, jails = self.clock(), self.configuration.jails
        bans: list[Ban] = []
        for failure in kept:
            if (jail := jails.get(failure.jail)) is not None:
                bans += self._count(jail, failure, now)
        return bans

    def _count(self, jail: Jail, failure: Failure, now: float) -> Sequence[Ban]:
        id = self._counted_id(jail, failure)
        time = min(failure.time, now)
        plugins = self.configuration.plugins
        first_time_offenders = plugins.wants_first_time_offenders(jail)
        record = self.ledger.record_failure(jail, id, time, failure.matches, first_time_offenders=first_time_offenders)
        if record is None:
            return ()
        if record.active is not None:
            self.seen_again(jail, record.active, failure)
        if id != failure.id or time != failure.time:
            failure = replace(failure, id=id, time=time)
        decided = plugins.decide_ban(jail, failure, record)
        return [ban for each in decided if (ban := self.apply(each)) is not None]

    def _counted_id(self, jail: Jail, failure: Failure) -> str:
        """The id under which a failure counts: an address may stand for its prefix, unless that would hit ourselves."""
        address = failure.address
        if not address or address != failure.id:
            return failure.id
        prefix = widen(address, jail.ipv4prefix, jail.ipv6prefix)
        return address if prefix == address else self.narrow_to_address(jail, prefix, address)

    def _log_found(self, failures: Sequence[Failure]) -> None:
        if logger.isEnabledFor(logging.INFO):
            log_lines(logger, logging.INFO, _found_lines(failures))


def _log_ignored(jail: Jail, failure: Failure, answer: Ignore) -> None:
    logger.info("[%s] Ignore %s by %s", jail.name, safe_text(failure.id), safe_text(answer.reason))


def _found_lines(failures: Sequence[Failure]) -> Iterator[str]:
    """`[sshd] Found 192.0.2.1 - 2026-11-28 21:57:38` of each failure."""
    second, when = -1, ""
    for failure in failures:
        if second != int(failure.time):
            second = int(failure.time)
            when = strftime("%Y-%m-%d %H:%M:%S", localtime(second))
        yield f"[{failure.jail}] Found {safe_text(failure.id)} - {when}"
