"""Finds and counts failures with a native core, for jails that it can serve exactly; others are left to the next."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from guardhooks import GuardView, Jail, LineMatcher, MakeWindows, PerGuard, hookimpl

if TYPE_CHECKING:
    from guardhooks_native.stored import NativeCache

logger = logging.getLogger("guardhooks.native")

_CHOICE = "GUARDHOOKS_NATIVE"
_NOTE = Path(__file__).with_name("_build.txt")
_REMEDY = "install Rust (cargo) and reinstall guardhooks for the native one"


def missing() -> str:
    """Why there is no native core here; empty if there is one."""
    if os.environ.get(_CHOICE) == "off":
        return f"switched off by {_CHOICE}=off"
    try:
        from guardhooks_native import _core  # noqa: F401 -- tried
    except ImportError as error:
        try:
            return _NOTE.read_text("utf-8").strip() or str(error)
        except OSError:
            return "it was not built"
    return ""


class Native:
    """The plugin. Says once why it serves nobody."""

    def __init__(self) -> None:
        self._told = False
        self._caches: PerGuard[NativeCache] = PerGuard()

    @hookimpl
    def on_start(self, guard: GuardView) -> None:
        """Keep translated regexes in the guard's state folder."""
        file = guard.ledger_file
        if file is None or missing():
            return
        from guardhooks_native.stored import NativeCache

        self._caches.start(guard, lambda: NativeCache.beside(file))

    @hookimpl
    def on_stop(self, guard: GuardView) -> None:
        """Remove the entries that no source of this guard has used."""
        if cache := self._caches.stop(guard):
            cache.sweep()

    @hookimpl
    def failure_windows(self, budget: int) -> MakeWindows | None:
        """Failure windows in the core's memory."""
        if missing():
            return None
        from guardhooks_native.windows import make_windows

        return make_windows(budget)

    @hookimpl
    def line_matcher(self, jails: Sequence[Jail]) -> LineMatcher | None:
        """A matcher for the jails with a filter that the core can serve."""
        if not any(jail.filter for jail in jails):
            return None
        if why := missing():
            if not self._told:
                logger.info("lines are matched in Python, without the native core: %s; %s", why, _REMEDY)
            self._told = True
            return None
        from guardhooks_native.matcher import NativeMatcher

        return NativeMatcher(jails, cache=self._caches.of(jails[0]))


_plugin = Native()
on_start = _plugin.on_start
on_stop = _plugin.on_stop
failure_windows = _plugin.failure_windows
line_matcher = _plugin.line_matcher
