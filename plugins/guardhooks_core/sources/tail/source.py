"""The `LogSource` of log files: wakes on events, reads in worker threads, adapts block sizes to the consumer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Final, ParamSpec, TypeVar

from guardhooks import Chunk, SourceStatus, StartAt, safe_text
from guardhooks_core.sources.tail.collector import Collector, Options
from guardhooks_core.sources.tail.reader import BLOCK, LINE_LIMIT
from guardhooks_core.sources.tail.threads import folder_of, threads_of
from guardhooks_core.sources.tail.watch import SHARED, Watcher

P = ParamSpec("P")
T = TypeVar("T")

LEAST: Final = BLOCK // 4
"""Bytes that are read at a time at least."""
_LONG: Final = 0.1
"""Seconds that a block may take: everything else in the daemon waits this long, with the rest of it in memory."""
_SHORT: Final = _LONG / 4
_HANGS: Final = 10.0
"""Seconds after which a file system that has not answered counts as hanging."""


class FileSource:
    """Reads the files of one normalised path or glob.

    `tail` starts at the end of files without a saved position; `polling` does not use events. For other `options` see
    `Options`. `clock` stamps chunks and measures how long rotated files stay open.
    """

    def __init__(
        self,
        pattern: str,
        *,
        tail: bool = False,
        polling: bool = False,
        options: Options | None = None,
        clock: Callable[[], float] = time.time,
        watcher: Watcher = SHARED,
    ) -> None:
        self._pattern = pattern
        self._options = options or Options(tail=tail, polling=polling)
        self._clock = clock
        self._watcher = watcher
        words = ["tail" if self._options.tail else "head"]
        if self._options.polling:
            words.append("polling")
        if self._options.line_limit != LINE_LIMIT:
            words.append(f"limit={self._options.line_limit}")
        self._key = f"file:{pattern} {' '.join(words)}"
        self._collector: Collector | None = None
        self._woken = asyncio.Event()
        self._closed = False
        self._threads = threads_of(folder_of(pattern))
        self._asked_at: float | None = None

    @property
    def key(self) -> str:
        """Equal for equal paths or globs with the same position word, polling choice and line limit."""
        return self._key

    async def chunks(self, start: StartAt) -> AsyncIterator[Chunk]:
        """Whole lines from `start` on as they come, until `close`; as many at a time as are processed quickly."""
        await self._release()
        collector = Collector(
            self._key,
            self._pattern,
            self._options,
            watcher=self._watcher,
            clock=self._clock,
            wake=self._waker(asyncio.get_running_loop()),
        )
        self._collector = collector
        try:
            await self._in_thread(collector.start, start)
            swept, pace = self._now(), Pace()
            while not self._closed:
                self._woken.clear()
                sweep = self._now() - swept >= collector.interval
                if sweep:
                    swept = self._now()
                for chunk in await self._in_thread(collector.collect, sweep=sweep, size=pace.size):
                    yielded = self._now()
                    yield chunk
                    pace.processed(len(chunk.data), self._now() - yielded)
                    if self._closed:
                        return
                if not collector.busy:
                    await self._rest(swept + collector.interval - self._now())
        finally:
            await asyncio.shield(self._in_thread(collector.close))

    def status(self) -> SourceStatus:
        """The state of the source, and the files that it reads."""
        collector = self._collector
        if self._asked_at is not None and (waiting := self._now() - self._asked_at) > _HANGS:
            return SourceStatus(
                self._key, "failed", f"no answer from the file system for {waiting:.0f} s", label=self._pattern
            )
        if collector is None or not collector.started or self._closed:
            return self._status("waiting", "closed" if self._closed else "not started")
        followers = list(collector.followers.values())
        origins = tuple(follower.path for follower in followers if follower.readers)
        failures = [f"{safe_text(path)}: {why}" for path, why in collector.failures.items()]
        polling = f"polling: {collector.polling.reason}" if collector.polling.reason else ""
        detail = "; ".join([*failures, *([polling] if polling else [])])
        if failures:
            return self._status("failed", detail, origins)
        if not any(follower.current for follower in followers):
            missing = collector.absent or f"no file {safe_text(self._pattern)} yet"
            nothing = f"{safe_text(self._pattern)} is gone" if origins else missing
            return self._status("waiting", "; ".join(filter(None, (nothing, detail))), origins)
        if not all(follower.live for follower in followers):
            return self._status("catching up", detail, origins)
        return self._status("polling" if polling else "reading", detail, origins)

    def _status(self, state: str, detail: str, origins: tuple[str, ...] = ()) -> SourceStatus:
        status = SourceStatus(self._key, state, detail, origins, label=self._pattern)
        if not origins or self._collector is None:
            return status
        current = [one.current for one in list(self._collector.followers.values()) if one.current is not None]
        position = f"byte {current[0].position}" if len(current) == 1 else ""
        return replace(status, position=position, unread=self._collector.unread)

    async def close(self) -> None:
        """End `chunks` and release watches and descriptors; waits for a running read."""
        self._closed = True
        self._woken.set()
        await self._release()

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._asked_at = self._now()
        try:
            return await asyncio.wrap_future(self._threads.submit(function, *args, **kwargs))
        finally:
            self._asked_at = None

    async def _release(self) -> None:
        if self._collector is not None:
            await self._in_thread(self._collector.close)

    def _waker(self, loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
        def wake() -> None:
            if not self._woken.is_set():
                with contextlib.suppress(RuntimeError):  # The loop was closed meanwhile.
                    loop.call_soon_threadsafe(self._woken.set)

        return wake

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._woken.wait()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


class Pace:
    """Adapts `size`, the bytes to read at most. A log without attacks is read in large blocks, which is faster."""

    def __init__(self) -> None:
        self.size = LEAST

    def processed(self, length: int, seconds: float) -> None:
        """Record how long a block took. A small fast block does not justify a larger one."""
        if seconds > _LONG:
            self.size = max(LEAST, min(self.size, length) // 2)
        elif seconds < _SHORT and length > self.size // 2:
            self.size = min(BLOCK, 2 * self.size)
