"""Counts the faults of plugins, and decides when one is switched off for a jail, and when it gets another chance."""

from __future__ import annotations

import errno
import logging
import math
import os
import resource
import traceback
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final

from guardhooks.plugins.values import described
from guardhooks.status import PluginReport
from guardhooks.text import plural, safe_text

_LIMIT: Final = 5
_PERIOD: Final = 60.0
"""A plugin that fails `_LIMIT` times within `_PERIOD` seconds for one jail is switched off for that jail."""
_FIRST_PAUSE: Final = 60.0
"""Seconds until a plugin that was switched off is asked again; doubled each time that it fails at once."""
_LONGEST_PAUSE: Final = 3600.0
_FORGIVEN_AFTER: Final = 600.0
"""Seconds without a fault after which the next pause is the first again."""
_LOGGED_EVERY: Final = 60.0
"""Seconds in which the same fault is logged `_LIMIT` times at most."""
_LOGGED_KEPT: Final = 1000
"""Faults whose lines are counted."""

_HOST: Final = f"{Path(__file__).parents[1]}/"

logger = logging.getLogger("guardhooks.plugins")

_Key = tuple[str, str]
"""A plugin and a jail; empty for calls that concern no single jail."""


class _History:
    """What one plugin did wrong for one jail."""

    def __init__(self) -> None:
        self.recent: deque[float] = deque(maxlen=_LIMIT)
        self.last = -math.inf
        self.cause = ""
        self.place = ""
        self.times_off = 0
        self.retry_at = math.inf
        self.on_probation = False

    def is_too_often(self) -> bool:
        if self.on_probation and len(self.recent) == 1:
            return True
        return len(self.recent) == _LIMIT and self.recent[-1] - self.recent[0] <= _PERIOD


class Faults:
    """Fault counts per plugin and jail. May be called from any thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._histories: defaultdict[_Key, _History] = defaultdict(_History)
        self._logged: dict[tuple[str, str, str], tuple[float, int]] = {}
        self.total: Counter[_Key] = Counter()
        self.off: dict[_Key, str] = {}

    def record(self, plugin: str, hook: str, jail: str, error: BaseException, *, may_switch_off: bool = True) -> bool:
        """Log and count one fault; True when the plugin is switched off for this jail by it."""
        key = (plugin, jail)
        now = self._clock()
        history = self._histories[key]
        if now - history.last > _FORGIVEN_AFTER:
            history.times_off, history.on_probation = 0, False
        self.total[key] += 1
        cause = described(error)
        frames = _own_frames(error.__traceback__)
        self._log(key, hook, cause, frames, now)
        history.last, history.cause = now, f"{hook}: {cause}"
        history.place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        history.recent.append(now)
        if not may_switch_off or resource_exhaustion(error) or key in self.off or not history.is_too_often():
            return False
        self._switch_off(key, history, now)
        return True

    def _switch_off(self, key: _Key, history: _History, now: float) -> None:
        pause = min(_FIRST_PAUSE * 2**history.times_off, _LONGEST_PAUSE)
        history.times_off += 1
        history.retry_at = now + pause
        number = len(history.recent)
        history.recent.clear()
        self.off[key] = history.cause
        logger.error(
            "%splugin %s is switched off after %s; it is retried in %.0f s, or by a reload",
            _where(key[1]), key[0], plural(number, "fault"), pause,
        )  # fmt: skip

    def retry(self) -> bool:
        """Let those be asked again whose pause is over; True if there are any."""
        if not self.off:
            return False
        now = self._clock()
        due = [key for key in self.off if self._histories[key].retry_at <= now]
        for key in due:
            del self.off[key]
            self._histories[key].on_probation = True
            self._histories[key].retry_at = math.inf
            logger.warning("%splugin %s is retried; one more fault switches it off", _where(key[1]), key[0])
        return bool(due)

    def switched_off(self, jail: str) -> dict[str, str]:
        """Plugins that were switched off for this jail, with the last fault of each."""
        return {plugin: cause for (plugin, of_jail), cause in list(self.off.items()) if of_jail == jail}

    def reports(self) -> list[PluginReport]:
        """Every plugin that has failed, for each jail."""
        rows = []
        for (plugin, jail), number in sorted(self.total.items()):
            history = self._histories[plugin, jail]
            is_off = (plugin, jail) in self.off
            rows.append(
                PluginReport(
                    name=plugin,
                    state="off" if is_off else "faults",
                    jail=jail,
                    reason=history.cause,
                    place=safe_text(history.place),
                    faults=number,
                    last=history.last,
                    retry=history.retry_at if is_off else None,
                )
            )
        return rows

    def _log(self, key: _Key, hook: str, cause: str, frames: list[traceback.FrameSummary], now: float) -> None:
        """One line for a fault; of those that are the same, five a minute and how many more there were."""
        since, number = self._logged.pop((*key, cause), (now, 0))
        missed = 0
        if not 0 <= now - since < _LOGGED_EVERY:
            since, number, missed = now, 0, max(0, number - _LIMIT)
        self._logged[*key, cause] = (since, number + 1)
        if len(self._logged) > _LOGGED_KEPT:
            self._logged.pop(next(iter(self._logged)))
        if number >= _LIMIT:
            return
        again = f" ({missed} more of these before)" if missed else ""
        at = "".join(f"\n    at {safe_text(frame.filename)}:{frame.lineno} in {frame.name}" for frame in frames[-3:])
        logger.error("%splugin %s failed in %s: %s%s%s", _where(key[1]), key[0], hook, cause, again, at)


def _where(jail: str) -> str:
    return f"[{jail}] " if jail else ""


def resource_exhaustion(error: BaseException) -> str:
    """Which resource is exhausted and what helps, as one line; empty for any other error.

    A plugin that meets it is not at fault, and works again when it is over.
    """
    if isinstance(error, MemoryError):
        return "out of memory: free some, or raise the limit (MemoryMax=, ulimit -v)"
    if isinstance(error, RuntimeError) and error.args == ("can't start new thread",):  # CPython's own words
        return "no more threads can be started: raise the limit (TasksMax=, ulimit -u), or end what uses them up"
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.EMFILE, errno.ENFILE}:
        return f"too many open files: raise the limit (LimitNOFILE=, ulimit -n; now {_open_files_limit()})"
    return f"{os.strerror(number)}: free some" if number in {errno.ENOMEM, errno.ENOBUFS, errno.ENOSPC} else ""


def cause_of(error: BaseException) -> str:
    """Why something failed, as one line that is safe to show: the exhausted resource, else the error."""
    return safe_text(resource_exhaustion(error) or described(error))


def _open_files_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _own_frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    """The plugin's part of a traceback, most recent call last: the host's frames say nothing to its author."""
    return [frame for frame in traceback.extract_tb(trace) if not frame.filename.startswith(_HOST)]
