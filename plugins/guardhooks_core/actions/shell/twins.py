"""Bans of several jails that are one thing outside: `ufw` in two jails, one list at a provider that knows no jails.

Two bans are twins when their `actionunban` is the same command. Such a command runs only for the last of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from guardhooks import ShellScript


class Twins:
    """Knows which of the running actions hold a ban with the same effect.

    :param lifting: for an id, the rendered `actionunban` of every action that holds a ban of it, by action.
    """

    def __init__(self, lifting: Callable[[str], Iterable[tuple[object, ShellScript]]]) -> None:
        self._lifting = lifting
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def has_twin(self, action: object, id: str, script: ShellScript) -> bool:
        """Whether another action holds a ban of this id that the script would lift."""
        return any(other is not action and its == script for other, its in self._lifting(id))

    @asynccontextmanager
    async def turn(self, id: str) -> AsyncIterator[None]:
        """One command for an id at a time, so that no ban is made while a twin is being lifted."""
        lock = self._locks.get(id)
        if lock is None:
            lock = self._locks[id] = asyncio.Lock()
        async with lock:
            yield
