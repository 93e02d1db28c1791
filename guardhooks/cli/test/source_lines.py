"""LOG of `guardhooks test` that is no file: the journal, or what another source plugin reads, up to the present."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Final

from guardhooks.cli.test.log import Block, LogLines
from guardhooks.errors import GuardhooksError
from guardhooks.filters import CompiledFilters
from guardhooks.model import Chunk, Jail, SourceSpec
from guardhooks.plugins import Plugins
from guardhooks.workers import LogSource, StartAt

_JOURNAL: Final = re.compile(r"systemd-journal(\[.*\])?", re.DOTALL)
_CONTAINERS: Final = re.compile(r"\S+-json\.log|\S*/var/(?:log/(?:containers|pods)|lib/docker/containers)/\S+")
"""Logs of container runtimes, whose lines the source plugin unwraps."""
_PAUSE: Final = 0.1
"""Seconds between two looks whether a source that sends nothing has caught up."""


def spec_of(text: str, jail: Jail) -> SourceSpec | None:
    """What a source plugin is asked to read for LOG; None for a file or a line.

    `systemd-journal[OPTIONS]` is the journal, by the filter's `journalmatch`; the options are those of
    `backend = systemd[…]`. `WORD://…` is whatever a plugin makes of it. Containers' logs are read as the daemon does.
    """
    if journal := _JOURNAL.fullmatch(text):
        matches = jail.filter.journalmatch if jail.filter is not None else ()
        return SourceSpec("\n".join(matches), kind="journal", backend=f"systemd{journal[1] or ''}")
    if _CONTAINERS.fullmatch(text) and Path(text).is_file():
        return SourceSpec(str(Path(text).absolute()))
    return SourceSpec(text) if re.fullmatch(r"[a-z][a-z0-9+.-]*://\S*", text) else None


def read_source(plugins: Plugins, jail: Jail, spec: SourceSpec, origin: str) -> LogLines:
    """The lines that a source holds now.

    :raises ConfigError: when no plugin reads it, or it cannot be right.
    """
    dates = CompiledFilters([jail], clock=time.time)
    return LogLines(origin, _blocks(plugins.log_source(jail, spec).worker, dates.time_of))


def _blocks(source: LogSource, time_of: Callable[[bytes], float | None]) -> Iterator[Block]:
    with asyncio.Runner() as runner:
        chunks = _until_now(source, time_of)
        try:
            while (chunk := runner.run(anext(chunks, None))) is not None:
                yield chunk.data, chunk.times
        finally:
            runner.run(chunks.aclose())


async def _until_now(source: LogSource, time_of: Callable[[bytes], float | None]) -> AsyncGenerator[Chunk]:
    """Chunks until the source has caught up.

    :raises GuardhooksError: when it cannot be read.
    """
    chunks = source.chunks(StartAt({}, 0.0, time_of))
    pending: asyncio.Future[Chunk | None] = asyncio.ensure_future(anext(chunks, None))
    try:
        while True:
            done, _ = await asyncio.wait([pending], timeout=_PAUSE)
            status = source.status()
            if done:
                if (chunk := pending.result()) is None:
                    return
                yield chunk
                pending = asyncio.ensure_future(anext(chunks, None))
            elif status.state == "failed":
                raise GuardhooksError(f"{status.key} cannot be read: {status.detail}")
            elif status.state in {"reading", "polling"}:
                return
    finally:
        await source.close()
        pending.cancel()
        await asyncio.gather(pending, return_exceptions=True)
