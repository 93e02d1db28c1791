"""Whether the terminal in which the daemon was started has been closed: SIGHUP means that, too, and not only reload."""

from __future__ import annotations

import os
import signal
from typing import Final

_TERMINAL: Final = "/dev/tty"
"""The controlling terminal of whoever opens it (tty(4))."""


class Terminal:
    """The controlling terminal of this process as it was when this object was made, if it had any.

    `hangup_ignored` says that whoever started it wants it to survive the terminal, as nohup(1) does.
    """

    def __init__(self) -> None:
        self._was_there = _is_there()
        self.hangup_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

    def has_closed(self) -> bool:
        """Whether it has gone since the last call: the kernel takes it from its processes before it sends SIGHUP."""
        was_there, self._was_there = self._was_there, self._was_there and _is_there()
        return was_there and not self._was_there


def _is_there() -> bool:
    try:
        os.close(os.open(_TERMINAL, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
