"""What goes over the control socket: one JSON object a line, a request up, an answer down.

::

    {"command": "status", "arguments": {"jail": "sshd"}}
    {"ok": true, "result": …}
    {"ok": false, "error": "one line", "kind": "unknown-jail"}

Kinds of error: `usage` (the request is wrong), `unknown-jail`, `refused` (not allowed, or not now), `config` (the
new configuration cannot be used), `failed`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, TypeAlias

from guardhooks.errors import GuardhooksError, StateError

Kind: TypeAlias = Literal["usage", "unknown-jail", "refused", "config", "failed"]

REQUEST_LIMIT: Final = 1 << 20
"""Longest request in bytes."""
TIMEOUT: Final = 60.0
"""Seconds that a request may take before the client is answered that it still runs."""
RELOAD_TIMEOUT: Final = 600.0
"""The same for a reload: thousands of filters may be compiled."""
_PATH_LIMIT: Final = 107
"""Longest path in a Linux socket address, in bytes."""


class RequestError(GuardhooksError):
    """A request that the daemon did not carry out; `kind` is one of the protocol's kinds of error."""

    def __init__(self, message: str, kind: Kind = "failed") -> None:
        super().__init__(message)
        self.kind = kind


class NoDaemonError(StateError):
    """No daemon answers at the control socket."""


def read_request(line: bytes) -> tuple[str, Mapping[str, object]]:
    """Command and arguments of a request.

    :raises RequestError: saying what is wrong with it.
    """
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestError("the request is not a JSON object on one line", "usage") from error
    if not isinstance(request, dict):
        raise RequestError("the request is not a JSON object", "usage")
    command, arguments = request.pop("command", None), request.pop("arguments", {})
    if request:
        raise RequestError(f"the request has unknown fields: {', '.join(sorted(request))[:200]}", "usage")
    if not isinstance(command, str) or not isinstance(arguments, dict):
        raise RequestError('the request needs a "command" (text) and may have "arguments" (an object)', "usage")
    return command, arguments


def encode(message: Mapping[str, object]) -> bytes:
    """A message as one line."""
    return json.dumps(message, allow_nan=False, separators=(",", ":")).encode() + b"\n"


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """An address to bind or connect to for `path`, also where the path is too long for one."""
    if len(os.fsencode(path)) <= _PATH_LIMIT:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
