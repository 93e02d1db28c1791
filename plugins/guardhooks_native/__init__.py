"""Finds and counts failures with a native core, for jails that it can serve exactly; others are left to the next."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from guardhooks import Jail, LineMatcher, MakeWindows, hookimpl

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

        return NativeMatcher(jails)


_plugin = Native()
failure_windows = _plugin.failure_windows
line_matcher = _plugin.line_matcher
