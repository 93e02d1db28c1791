"""A reader of a source that remembers what it was given, and can be closed and opened again at its positions."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guardhooks import Chunk, Position, StartAt
from guardhooks_core.tail.collector import Options
from guardhooks_core.tail.source import FileSource
from guardhooks_core.tail.watch import SHARED, Watcher

_DESCRIPTORS = Path("/proc/self/fd")


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def undated(line: bytes) -> float | None:
    return None


class Tail:
    """Reads `pattern`; `chunks`, `data` (by origin) and `positions` hold what came, over all restarts."""

    def __init__(self, pattern: Path | str, watcher: Watcher = SHARED, **options: object) -> None:
        self.pattern = str(pattern)
        self.options = Options(**{"sweep": 0.2, "poll": 0.02, **options})  # type: ignore[arg-type]
        self.watcher = watcher
        self.clock = Clock()
        self.chunks: list[Chunk] = []
        self.data: dict[str, bytes] = {}
        self.positions: dict[str, Position] = {}
        self.since = 0.0
        self.time_of: Callable[[bytes], float | None] = undated
        self._arrived = asyncio.Event()

    @property
    def text(self) -> bytes:
        return b"".join(chunk.data for chunk in self.chunks)

    async def __aenter__(self) -> Tail:
        self.source = FileSource(self.pattern, options=self.options, clock=self.clock, watcher=self.watcher)
        start = StartAt(dict(self.positions), self.since, self.time_of)
        self._task = asyncio.create_task(self._consume(start))
        await self.until(
            lambda: self.source.status().state != "catching up" and self.source.status().detail != "not started"
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.source.close()
        await self._task

    async def _consume(self, start: StartAt) -> None:
        async for chunk in self.source.chunks(start):
            self.chunks.append(chunk)
            self.data[chunk.origin] = self.data.get(chunk.origin, b"") + chunk.data
            if chunk.position is not None:
                self.positions[chunk.origin] = chunk.position
            self._arrived.set()

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

    async def more_than(self, count: int) -> None:
        """Wait until more than so many chunks have come."""
        await self.until(lambda: len(self.chunks) > count)

    async def has(self, text: bytes) -> None:
        """Wait until exactly this has come."""
        await self.until(lambda: len(self.text) >= len(text))
        assert self.text == text


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run coroutine tests."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture
def tail() -> type[Tail]:
    return Tail


@pytest.fixture(autouse=True)
def nothing_is_left_open() -> Iterator[None]:
    before = len(list(_DESCRIPTORS.iterdir()))
    yield
    assert not [thread for thread in threading.enumerate() if type(thread).__module__.startswith("watchdog")]
    assert len(list(_DESCRIPTORS.iterdir())) <= before


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "auth.log"
