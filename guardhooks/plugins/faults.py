"""Counts the faults of plugins, and decides when one is switched off for a jail."""

from __future__ import annotations

import errno
import logging
import os
import resource
import traceback
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final

from guardhooks.text import safe_text

_LIMIT: Final = 5
_PERIOD: Final = 60.0
"""A plugin that fails `_LIMIT` times within `_PERIOD` seconds for one jail is switched off for that jail."""

_HOST: Final = f"{Path(__file__).parents[1]}/"

logger = logging.getLogger("guardhooks.plugins")


class Faults:
    """Fault counts per plugin and jail; `jail` is empty for calls that concern no single jail."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._recent: defaultdict[tuple[str, str], deque[float]] = defaultdict(lambda: deque(maxlen=_LIMIT))
        self.total: Counter[tuple[str, str]] = Counter()
        self.off: dict[tuple[str, str], str] = {}

    def record(self, plugin: str, hook: str, jail: str, error: BaseException, *, may_switch_off: bool = True) -> bool:
        """Log and count one fault; True when the plugin is switched off for this jail by it."""
        key = (plugin, jail)
        self.total[key] += 1
        cause = safe_text(f"{type(error).__name__}: {error}")
        where = f"[{jail}] " if jail else ""
        logger.error("%splugin %s failed in %s: %s%s", where, plugin, hook, cause, _own_frames(error.__traceback__))
        recent = self._recent[key]
        recent.append(self._clock())
        if not may_switch_off or resource_exhaustion(error) or len(recent) < _LIMIT or recent[-1] - recent[0] > _PERIOD:
            return False
        self.off[key] = f"{hook}: {cause}"
        logger.error("%splugin %s is switched off after %d faults; reload to try it again", where, plugin, len(recent))
        return True

    def switched_off(self, jail: str) -> dict[str, str]:
        """Plugins that were switched off for this jail, with the last fault of each."""
        return {plugin: cause for (plugin, of_jail), cause in self.off.items() if of_jail == jail}


def resource_exhaustion(error: BaseException) -> str:
    """Which resource is exhausted and what helps, as one line; empty for any other error.

    A plugin that meets it is not at fault, and works again when it is over.
    """
    if isinstance(error, MemoryError):
        return "out of memory: free some, or raise the limit (MemoryMax=, ulimit -v)"
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.EMFILE, errno.ENFILE}:
        return f"too many open files: raise the limit (LimitNOFILE=, ulimit -n; now {_open_files_limit()})"
    return f"{os.strerror(number)}: free some" if number in {errno.ENOMEM, errno.ENOBUFS, errno.ENOSPC} else ""


def cause_of(error: BaseException) -> str:
    """Why something failed, as one line that is safe to show: the exhausted resource, else the error."""
    return safe_text(resource_exhaustion(error) or f"{type(error).__name__}: {error}")


def _open_files_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _own_frames(trace: TracebackType | None) -> str:
    """The plugin's part of a traceback, most recent call last: the host's frames say nothing to its author."""
    frames = traceback.extract_tb(trace)
    own = [frame for frame in frames if not frame.filename.startswith(_HOST)]
    return "".join(f"\n    at {safe_text(frame.filename)}:{frame.lineno} in {frame.name}" for frame in own[-3:])
