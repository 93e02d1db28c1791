"""A reader of a source that remembers what it was given, and can be closed and opened again at its positions."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guardhooks import Chunk, StartAt
from guardhooks_core.sources.tail.collector import Options
from guardhooks_core.sources.tail.source import FileSource
from guardhooks_core.sources.tail.watch import SHARED, Watcher
from tests.core.sources.following import Following
from tests.kit.clock import Clock

_DESCRIPTORS = Path("/proc/self/fd")


def undated(line: bytes) -> float | None:
    return None


class Tail(Following):
    """Reads `pattern`; `chunks`, `data` (by origin) and `positions` hold what came, over all restarts."""

    def __init__(self, pattern: Path | str, watcher: Watcher = SHARED, **options: object) -> None:
        super().__init__()
        self.pattern = str(pattern)
        self.options = Options(**{"sweep": 0.2, "poll": 0.02, **options})  # type: ignore[arg-type]
        self.watcher = watcher
        self.clock = Clock()
        self.data: dict[str, bytes] = {}
        self.since = 0.0
        self.time_of: Callable[[bytes], float | None] = undated

    @property
    def text(self) -> bytes:
        return b"".join(chunk.data for chunk in self.chunks)

    async def __aenter__(self) -> Tail:
        self.source = FileSource(self.pattern, options=self.options, clock=self.clock, watcher=self.watcher)
        self.follow(StartAt(dict(self.positions), self.since, self.time_of))
        await self.until(
            lambda: self.source.status().state != "catching up" and self.source.status().detail != "not started"
        )
        return self

    def take(self, chunk: Chunk) -> None:
        super().take(chunk)
        self.data[chunk.origin] = self.data.get(chunk.origin, b"") + chunk.data

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
