"""The flow: lines → failures → ignored or counted → decisions → bans. It reads top to bottom in that order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from time import localtime, strftime
from typing import Final, TypeAlias

from guardhooks.engine.configuration import LiveConfiguration
from guardhooks.engine.resolver import Resolver
from guardhooks.errors import StateError
from guardhooks.ledger import Ledger
from guardhooks.model import Ban, Chunk, Failure, Ignore, Jail, Position
from guardhooks.net.addresses import widen
from guardhooks.plugins.calls import Provided
from guardhooks.text import safe_text
from guardhooks.workers import LineMatcher, LogSource, StartAt

_LOGGED_ONE_BY_ONE: Final = 10
"""Up to this number, each failure of a chunk is logged; more are summed up, for logging costs more than a ban."""
_LOOKUPS_UNDER_WAY: Final = 1000
_BACKLOG: Final = 10_000
"""Changes of the ledger beyond which reading waits for the disk, so that a storm does not fill the memory."""

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

    async def follow(self, source: LogSource, jails: Sequence[Jail], matchers: Matchers, delivered: Delivered) -> None:
        """Read a source to its end, for the given jails; `matchers` gives those to use for the next chunk.

        `delivered` is told of each chunk and what was found in it.
        """
        lookups: set[asyncio.Task[None]] = set()
        async for chunk in source.chunks(self._start_at(source, jails, matchers)):
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
            failures += await loop.run_in_executor(self.executor, self.configuration.plugins.feed, matcher, chunk)
        delivered(chunk, failures)
        named = [failure for failure in failures if failure.resolve]
        for failure in named if len(lookups) < _LOOKUPS_UNDER_WAY else ():
            lookups.add(task := loop.create_task(self._look_up(failure)))
            task.add_done_callback(lookups.discard)
        await self.process([failure for failure in failures if not failure.resolve], chunk.position)

    def _start_at(self, source: LogSource, jails: Sequence[Jail], matchers: Matchers) -> StartAt:
        def time_of(line: bytes) -> float | None:
            times = (matcher.worker.time_of(line) for matcher in matchers())
            return next((time for time in times if time is not None), None)

        since = self.clock() - max(jail.findtime for jail in jails)
        return StartAt(self.ledger.positions(source.key), since, time_of)

    async def _look_up(self, failure: Failure) -> None:
        """A failure with a host name counts against every address of that name. Nothing waits for it."""
        found = await self.resolver.addresses(failure.resolve)
        await self.process([replace(failure, id=address, address=address, resolve="") for address in found])

    async def process(self, failures: Sequence[Failure], position: Position | None = None) -> list[Ban]:
        """Ignore or count these failures and enforce what is decided; the lines up to `position` are then done."""
        kept = await self._kept(failures)
        if kept:
            self._log_found(kept)
        # Nothing is awaited from here on: whenever the ledger is written, it holds all of a chunk or nothing of it.
        now, jails = self.clock(), self.configuration.jails
        bans: list[Ban] = []
        for failure in kept:
            if (jail := jails.get(failure.jail)) is not None:
                bans += self._count(jail, failure, now)
        if position is not None:
            self.ledger.advance(position)
        return bans

    async def _kept(self, failures: Sequence[Failure]) -> list[Failure]:
        """The failures that no plugin ignores, without helper lines and those of jails that a reload removed."""
        kept = []
        configuration = self.configuration.now
        for failure in failures:
            jail = configuration.jails.get(failure.jail)
            if failure.nofail or jail is None:
                continue
            answer = configuration.plugins.on_failure(jail, failure)
            if answer is not None and not isinstance(answer, Ignore):
                answer = await answer
                configuration = self.configuration.now
            if answer is None:
                kept.append(failure)
            else:
                logger.info("[%s] Ignore %s by %s", jail.name, safe_text(failure.id), safe_text(answer.reason))
        return kept

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
        if not logger.isEnabledFor(logging.INFO):
            return
        if len(failures) <= _LOGGED_ONE_BY_ONE:
            for failure in failures:
                when = strftime("%Y-%m-%d %H:%M:%S", localtime(failure.time))
                logger.info("[%s] Found %s - %s", failure.jail, safe_text(failure.id), when)
            return
        for jail, number in Counter(failure.jail for failure in failures).items():
            ids = len({failure.id for failure in failures if failure.jail == jail})
            logger.info("[%s] Found %d failures of %d ids", jail, number, ids)
