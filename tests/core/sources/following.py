"""Following a source: what it gave and the positions it reached, over all restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from guardhooks import Chunk, LogSource, Position, StartAt


class Following:
    """Consumes a source in a task; an asynchronous context manager that closes it."""

    source: LogSource

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.positions: dict[str, Position] = {}
        self._arrived = asyncio.Event()

    def follow(self, start: StartAt) -> None:
        """Begin to consume `source`."""
        self._task = asyncio.create_task(self._consume(start))

    async def __aexit__(self, *_: object) -> None:
        await self.source.close()
        await self._task

    async def _consume(self, start: StartAt) -> None:
        async for chunk in self.source.chunks(start):
            self.take(chunk)
            self._arrived.set()

    def take(self, chunk: Chunk) -> None:
        """Remember a chunk."""
        self.chunks.append(chunk)
        if chunk.position is not None:
            self.positions[chunk.origin] = chunk.position

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait until `done`; it is asked at every chunk, and at times for what no chunk announces."""
        while not done():
            self._arrived.clear()
            if self._task.done():
                self._task.result()
            try:
                async with asyncio.timeout(0.01):
                    await self._arrived.wait()
            except TimeoutError:
                continue
