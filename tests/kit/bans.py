"""Bans of which a test names only what matters to it."""

from __future__ import annotations

from typing import Any

from guardhooks import Ban


def ban(id: str = "192.0.2.1", jail: str = "sshd", start: float = 1000.0, length: float = 600.0, **more: Any) -> Ban:  # noqa: ANN401 -- Ban's own
    """A ban; `more` are further fields of `Ban`."""
    return Ban(id, jail, start, length, **more)
