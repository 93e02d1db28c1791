"""Which plugin a thread is in, read from its stack: nothing is noted when a plugin is called, so it costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Final

from guardhooks.plugins import calls
from guardhooks.plugins.calls import CALLERS
from guardhooks.text import safe_text


@dataclass(frozen=True, slots=True)
class Blocker:
    """The call of a plugin that a thread is in; `place` is where in the plugin's code, `frame` belongs to the call."""

    plugin: str
    hook: str
    jail: str
    place: str
    frame: FrameType

    def __str__(self) -> str:
        jail = f" for jail [{self.jail}]" if self.jail else ""
        return safe_text(f"plugin {self.plugin} in {self.hook}{jail} ({self.place})")


_CALLS_FILE: Final = calls.__file__
"""Where arguments are picked for an implementation, between the host and the plugin."""


def blocker(frame: FrameType | None, files: Mapping[str, str]) -> Blocker | None:
    """The innermost call of a plugin on a stack, else a task or callback of its own; None if there is neither.

    :param files: the names of the plugins by the files of their modules.
    """
    inside: FrameType | None = None
    own: Blocker | None = None
    while frame is not None:
        file = frame.f_code.co_filename
        if frame.f_code in CALLERS:
            return None if inside is None else _named(frame, inside)
        if file != _CALLS_FILE:
            inside = frame
        if own is None and file in files:
            own = Blocker(files[file], "a task of its own", "", _place(frame), frame)
        frame = frame.f_back
    return own


def _named(frame: FrameType, inner: FrameType) -> Blocker:
    known = frame.f_locals
    if "implementation" not in known:
        return Blocker(known["plugin"], known["hook"], known["jail"], _place(inner), frame)
    call = known.get("call")
    hook, jail = (call.hook, call.jail) if call is not None else ("on_failure", known["jail"].name)
    return Blocker(known["implementation"].plugin, hook, jail, _place(inner), frame)


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
