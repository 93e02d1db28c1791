"""The `LogSource` of the journal: runs a `journalctl` that follows it, and restarts it from the last entry."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Final

from guardhooks import Chunk, SourceStatus, StartAt, safe_text
from guardhooks_core.sources.journal.position import ORIGIN, ReadPosition
from guardhooks_core.sources.journal.selection import Selection
from guardhooks_core.sources.journal.session import Options, Session

_NOT_ALLOWED: Final = "insufficient permissions"

logger = logging.getLogger("guardhooks.journal")


class JournalSource:
    """Reads the entries of one selection.

    `tail` starts with new entries if no position is saved. `clock` stamps chunks.
    """

    def __init__(
        self,
        selection: Selection,
        *,
        tail: bool = False,
        options: Options | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._selection, self._tail, self._clock = selection, tail, clock
        self._options = options or Options()
        self._key = selection.key + (" tail" if tail else "")
        self._session: Session | None = None
        self._closed = asyncio.Event()
        self._fault = ""
        self._restarts = 0

    @property
    def key(self) -> str:
        """Equal for equal journals and matches."""
        return self._key

    async def chunks(self, start: StartAt) -> AsyncIterator[Chunk]:
        """Entries as lines with their times, until `close`. Each call begins from `start`."""
        if self._tail and ORIGIN not in start.positions:
            start = replace(start, since=self._clock())
        position = ReadPosition.at(start)
        if not self._selection.matches:
            logger.info("%s: no journalmatch is set, so all entries are read", safe_text(self._key))
        failures = 0
        while not self._closed.is_set():
            session = self._session = Session(self._key, self._selection, position, self._options, self._clock)
            before = position.newest
            try:
                async with contextlib.aclosing(session.chunks()) as chunks:
                    async for chunk in chunks:
                        self._fault = ""
                        yield chunk
                        if self._closed.is_set():
                            return
                fault = session.ended
            except OSError as error:
                fault = f"{self._options.command} cannot be run ({error.strerror})"
            if self._closed.is_set():
                return
            if fault:
                failures = 1 if position.newest > before else failures + 1
                await self._failed(fault, failures, position)

    def status(self) -> SourceStatus:
        """The state of the source, with the reason if it does not read."""
        session = self._session
        if session is None or self._closed.is_set():
            return self._status("waiting", "closed" if self._closed.is_set() else "not started")
        if self._fault and not session.started:
            return self._status("failed", self._fault)
        if self._selection.files and not session.files:
            return self._status("waiting", f"no file {safe_text(', '.join(self._selection.files))} yet")
        times = f"{self._restarts} time{'s' * (self._restarts != 1)}"
        notes = [f"journalctl was restarted {times}"] if self._restarts else []
        if not session.caught_up:
            return self._status("catching up", "; ".join(notes), (ORIGIN,))
        if session.empty:
            notes.insert(0, "no entry matches yet")
        return self._status("reading", "; ".join(notes), (ORIGIN,))

    def _status(self, state: str, detail: str, origins: tuple[str, ...] = ()) -> SourceStatus:
        return SourceStatus(self._key, state, detail, origins, label=self._selection.label)

    async def close(self) -> None:
        """End `chunks` and journalctl; undelivered entries are read the next time."""
        self._closed.set()
        if self._session is not None:
            await self._session.stop()

    async def _failed(self, fault: str, failures: int, position: ReadPosition) -> None:
        """Log the fault and wait before the next start."""
        if position.cursor and "cursor" in fault.lower():
            position.drop_cursor()
        pause = self._options.retry[min(failures, len(self._options.retry)) - 1]
        message = f"{fault.rstrip('.')}; {_remedy(fault)}retrying"
        if message != self._fault:
            logger.warning("%s: %s", safe_text(self._key), message)
        self._fault = message
        self._restarts += 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._closed.wait()


def _remedy(fault: str) -> str:
    if "cannot be run" in fault:
        return "install systemd, or let the jail read a file with logpath and `backend = auto`; "
    if _NOT_ALLOWED in fault:
        return "run as root or as a member of the group systemd-journal; "
    return ""
