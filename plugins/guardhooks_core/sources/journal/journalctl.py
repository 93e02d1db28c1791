"""One run of `journalctl`, without a shell: its output, read at the consumer's pace, and its last error message."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from typing import Final

from guardhooks import safe_text

READ: Final = 64 << 10
"""Bytes read at a time. journalctl blocks while its pipe and a buffer of twice this size are full."""
_ERROR_LENGTH: Final = 500
"""Bytes of its error output that are kept: the last ones."""


class JournalCtl:
    """A running `journalctl`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._errors = b""
        self._listener = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, command: str, arguments: Sequence[str]) -> JournalCtl:
        """Run it.

        :raises OSError: if it is not installed.
        """
        process = await asyncio.create_subprocess_exec(
            command,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=READ,
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,  # Ctrl-C at our terminal must reach only us.
        )
        return cls(process)

    async def read(self, patience: float) -> bytes | None:
        """The next output; None if none came within `patience` seconds, empty at the end."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(patience):
                data = await self._process.stdout.read(READ)
                if not data:
                    await self._process.wait()
                return data
        except TimeoutError:
            return None

    async def stop(self) -> str:
        """Stop it, if it still runs; returns its last error message."""
        if self._process.returncode is None:
            # Not Process.kill, which would reap a process that has just ended before asyncio does.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)  # It has nothing to save, and may be stopped (SIGSTOP).
        try:
            status = await self._process.wait()
            await self._listener
        finally:
            self._listener.cancel()
        lines = self._errors.decode(errors="replace").strip().splitlines()
        return safe_text(lines[-1]) if lines else f"journalctl ended with status {status}"

    async def _listen(self) -> None:
        """Read its errors; it would block if their pipe were full."""
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(4096):
            self._errors = (self._errors + data)[-_ERROR_LENGTH:]
