"""Unwraps what container runtimes put around each line: Docker's driver `json-file`, and Kubernetes' runtimes (CRI).

Docker writes a JSON object with `log` (the line), `stream` and `time`, and labels if asked to
(https://docs.docker.com/engine/logging/drivers/json-file/), the others `TIME stdout F LINE`
(https://kubernetes.io/docs/concepts/cluster-administration/logging/). Filters get the line; one without a date of its
own gets the runtime's in front. A line that is wrapped otherwise stays as it is. Runtimes cut lines of more than 16 KiB
into parts; each part is a line here.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final, cast

from guardhooks import Chunk, LogSource, SourceStatus, StartAt

_PLACES: Final = re.compile(r"-json\.log$|/var/(?:log/(?:containers|pods)|lib/docker/containers)/")
_CRI: Final = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S{1,20}) std(?:out|err) [FP] ?", re.ASCII)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.:Z+\-]{1,20}", re.ASCII)


def is_container_log(pattern: str) -> bool:
    """Whether a path or glob names logs that container runtimes write."""
    return _PLACES.search(pattern) is not None


def unwrap(line: bytes) -> tuple[bytes, bytes]:
    """The line that the container wrote and the runtime's time; the line itself and no time if it is not wrapped."""
    if line.startswith(b'{"log":"'):
        return _docker(line)
    if found := _CRI.match(line):
        return line[found.end() :], found[1]
    return line, b""


def _docker(line: bytes) -> tuple[bytes, bytes]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return line, b""
    text, time = entry.get("log"), entry.get("time", "")
    if not isinstance(text, str) or not isinstance(time, str) or not entry.keys() >= {"stream", "time"}:
        return line, b""
    # A carriage return or newline inside would begin a line that the program did not write.
    whole = text.removesuffix("\n").removesuffix("\r").replace("\n", " ").encode("utf-8", "replace")
    return whole, time.encode() if _TIME.fullmatch(time) else b""


class ContainerSource:
    """A source of container logs, whose lines pass as the containers wrote them."""

    def __init__(self, wrapped: LogSource) -> None:
        self._wrapped = wrapped

    @property
    def key(self) -> str:
        """The key of the files."""
        return self._wrapped.key

    async def chunks(self, start: StartAt) -> AsyncIterator[Chunk]:
        """The chunks of the files, unwrapped in worker threads."""

        def time_of(line: bytes) -> float | None:
            return start.time_of(_dated(line, start.time_of))

        inner = cast("Any", self._wrapped.chunks(replace(start, time_of=time_of)))
        async with aclosing(inner) as chunks:
            async for chunk in chunks:
                data = await asyncio.to_thread(_unwrapped, chunk.data, start.time_of)
                yield replace(chunk, data=data)

    def status(self) -> SourceStatus:
        """That of the files."""
        return self._wrapped.status()

    async def close(self) -> None:
        """End `chunks` and release the files."""
        await self._wrapped.close()


def _unwrapped(data: bytes, time_of: Callable[[bytes], float | None]) -> bytes:
    return b"".join(_dated(line, time_of) + b"\n" for line in data.removesuffix(b"\n").split(b"\n"))


def _dated(line: bytes, time_of: Callable[[bytes], float | None]) -> bytes:
    text, time = unwrap(line)
    return time + b" " + text if time and time_of(text) is None else text
