"""The command line of `guardhooks run`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`config` and `state` name folders, None for the defaults. `loglevel` overrides the configuration's."""

    config: Path | None = None
    state: Path | None = None
    observe: bool = False
    loglevel: str | None = None
    trace_hooks: bool = False
