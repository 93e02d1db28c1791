"""What a test must know of a server to run it and to fail at it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.e2e.range import ATTACKER, SERVER

TALK: Final = (sys.executable, str(Path(__file__).with_name("lines.py")), SERVER[4])
"""`*TALK, PORT, LINE…`: a client that says these lines, each after an answer. `--tls` before the port: over TLS."""
CURL: Final = ("curl", "--silent", "--max-time", "8", "--output", "/dev/null")


@dataclass(frozen=True)
class Server:
    """A server of Debian's, with a configuration that departs from Debian's only where the test needs it.

    `command` runs it in the foreground as root, in a shell, on a machine whose /etc, /var, /usr and /run are its own;
    `files` are written there before, `prepare` runs between. `attempts` are commands on the attacker's host; all of
    them, repeated `rounds` times, must get the attacker banned by the jail `jail` at its stock `logpath` and `port`.
    `program` is looked for, to skip the test where it is not installed.
    """

    jail: str
    program: str
    port: int
    command: str
    attempts: tuple[tuple[str, ...], ...]
    files: Mapping[str, str] = field(default_factory=dict)
    prepare: str = ""
    rounds: int = 3


def url(scheme: str, path: str = "/", *, login: str = "", port: int | None = None) -> str:
    """A URL of the server; `login` is `user:password`."""
    host = SERVER[4] if port is None else f"{SERVER[4]}:{port}"
    return f"{scheme}://{login + '@' if login else ''}{host}{path}"


__all__ = ["ATTACKER", "CURL", "SERVER", "TALK", "Server", "url"]
