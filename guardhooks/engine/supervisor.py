"""Background tasks whose death by a bug must be noticed: the first one that dies ends the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Supervisor:
    """Starts tasks; `crashed` raises when one of them ends with an exception."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._crash: asyncio.Future[None] | None = None

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start a task; it is kept alive until it ends."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def crashed(self) -> None:
        """Wait until a task dies. Raises its exception."""
        await self._future()

    async def wait_for(self, name: str) -> None:
        """Wait for all tasks of this name to end."""
        await asyncio.gather(*(task for task in self._tasks if task.get_name() == name), return_exceptions=True)

    def _future(self) -> asyncio.Future[None]:
        if self._crash is None:
            self._crash = asyncio.get_running_loop().create_future()
        return self._crash

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        crash = self._future()
        if not crash.done():
            crash.set_exception(error)
            crash.exception()  # retrieved: an embedding server may not be waiting
            task.get_loop().call_exception_handler({"message": f"task {task.get_name()} died", "exception": error})
