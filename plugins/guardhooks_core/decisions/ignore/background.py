"""Values that are slow to read (names, own addresses): read in threads; the old value serves until then."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from functools import cache
from typing import Final, Generic, TypeVar

from guardhooks import WorkerPool, safe_text

logger = logging.getLogger("guardhooks.ignore")
_RETRY: Final = 60.0
"""Seconds after which a failed reading is retried."""

Value = TypeVar("Value")


@cache
def _pool() -> WorkerPool:
    """The threads of all guards: a command that reads nothing starts none."""
    return WorkerPool("ignore", ready=1, most=4)


class Background(Generic[Value]):
    """A value that `read` returns in a worker thread, refreshed on use if it is older than `age` seconds.

    `value` never blocks. If `read` raises OSError, the old value stays in use; `what` names it in the log.
    """

    __slots__ = ("_age", "_clock", "_due", "_job", "_read", "what", "_value")  # noqa: RUF023

    def __init__(
        self, what: str, read: Callable[[], Value], empty: Value, *, age: float, clock: Callable[[], float]
    ) -> None:
        self.what = what
        self._read = read
        self._value = empty
        self._age = age
        self._clock = clock
        self._due = clock() + age
        self._job: Future[None] = _pool().submit(self._refresh)

    @property
    def value(self) -> Value:
        """The current value."""
        if (
            not self._due - self._age <= self._clock() < self._due and self._job.done()
        ):  # Too old, or the clock was set back.
            self._job = _pool().submit(self._refresh)
        return self._value

    def _refresh(self) -> None:
        try:
            self._value = self._read()
        except (OSError, UnicodeError) as error:
            logger.warning("%s: %s; the previous value stays in use", safe_text(self.what), error)
            self._due = self._clock() + min(self._age, _RETRY)
        else:
            self._due = self._clock() + self._age

    @staticmethod
    def settle(values: Iterable[Background[Value]], seconds: float) -> None:
        """Wait for running readings, at most this many seconds."""
        wait([value._job for value in values], timeout=seconds)  # noqa: SLF001 -- its own
