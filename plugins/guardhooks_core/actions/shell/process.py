"""Runs scripts: each in its own session, limited in time and output, killed together with its children."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import BinaryIO, Final

from guardhooks import ShellScript, safe_text

logger = logging.getLogger("guardhooks.shell")

_SLOTS: Final = 32
"""Scripts that may run at the same time."""
_SLOT_TIME: Final = 2.0
"""Seconds after which a running script frees its slot and lane, so that slow scripts do not delay others."""
_GRACE: Final = 0.2
"""Seconds between SIGTERM and SIGKILL, and for output after the end of the script."""
_OUTPUT: Final = 8192
"""Bytes of output that are kept: the last ones."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a script ended: its exit status (negative: killed by that signal; None: not started) and last output."""

    status: int | None
    output: str = ""
    timed_out: float = 0.0

    @property
    def ok(self) -> bool:
        """Exit status 0, in time."""
        return self.status == 0 and not self.timed_out

    def __str__(self) -> str:
        output = f": {safe_text(self.output.strip(), 400)}" if self.output.strip() else ""
        if self.timed_out:
            return f"killed after {self.timed_out:g} s{output}"
        if self.status is None:
            return f"could not be run{output}"
        if self.status < 0:
            return f"killed by signal {-self.status}{output}"
        hint = " (command not found)" if self.status == 127 else ""
        return f"exit status {self.status}{hint}{output}"


class _Output(asyncio.Protocol):
    """The last bytes that a script writes."""

    def __init__(self) -> None:
        self._blocks: deque[bytes] = deque()
        self._size = 0
        self.complete = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._blocks.append(data[-_OUTPUT:])
        self._size += len(self._blocks[-1])
        while self._size - len(self._blocks[0]) >= _OUTPUT:
            self._size -= len(self._blocks.popleft())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self.complete.set()

    @property
    def text(self) -> str:
        return b"".join(self._blocks)[-_OUTPUT:].decode(errors="replace")


class Runner:
    """Runs scripts for all actions: within a lane one at a time, different lanes in parallel."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(_SLOTS)
        self._lanes: dict[str, asyncio.Lock] = {}

    async def run(self, script: ShellScript, limit: float, lane: str) -> Result:
        """Run a script to its end, at most `limit` seconds; never raises for what the script does.

        :param lane: scripts of one lane never run at the same time. It is their action file: jails share what it writes
            to, and few scripts expect to run twice in parallel.
        """
        async with AsyncExitStack() as turn:
            await turn.enter_async_context(self._lanes.setdefault(lane, asyncio.Lock()))
            await turn.enter_async_context(self._slots)
            task = asyncio.ensure_future(_run(script, limit))
            try:
                await asyncio.wait({task}, timeout=_SLOT_TIME)
            except asyncio.CancelledError:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                raise
        return await task


async def _run(script: ShellScript, limit: float) -> Result:
    output = _Output()
    try:
        reading, writing = os.pipe()
    except OSError as error:  # Too many open files.
        return Result(None, str(error))
    with os.fdopen(writing, "wb", 0) as ours:
        source = os.fdopen(reading, "rb", 0)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: output, source)
        try:
            return await _watched(script, limit, ours, output)
        except (OSError, ValueError) as error:
            return Result(None, str(error))
        finally:
            transport.close()
            await output.complete.wait()  # The pipe is closed one iteration of the loop later.


async def _watched(script: ShellScript, limit: float, ours: BinaryIO, output: _Output) -> Result:
    process = await _started(script, ours)
    timed_out = 0.0
    try:
        async with asyncio.timeout(limit):
            await process.wait()
    except TimeoutError:
        timed_out = limit
        await _kill(process)
    except asyncio.CancelledError:
        await _end(process)
        raise
    else:
        # A background child may keep the pipe open indefinitely.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(output.complete.wait(), _GRACE)
    return Result(process.returncode, output.text, timed_out)


async def _started(script: ShellScript, output: BinaryIO) -> asyncio.subprocess.Process:
    """Start the script and close our end of its `output`.

    A cancelled start is completed first: asyncio would kill only the shell and leave its children running.
    """
    starting = asyncio.ensure_future(_start(script, output.fileno()))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError, ValueError):
            await _end(await starting)
        raise
    finally:
        output.close()


async def _start(script: ShellScript, output: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *script.argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=script.environment,
        cwd="/",
        start_new_session=True,
        umask=0o077,
    )  # fmt: skip


async def _kill(process: asyncio.subprocess.Process) -> None:
    _signal(process, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _GRACE)
    await _end(process)  # Whatever is left of the process group, even if the shell has ended.


async def _end(process: asyncio.subprocess.Process) -> None:
    _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
