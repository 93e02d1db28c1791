"""The daemon's own log: to stderr, in the layout that tools know from fail2ban, safe to show on a terminal."""

from __future__ import annotations

import logging
import sys
from typing import Final, TextIO

from guardhooks.text import safe_text

NOTICE: Final = 25
LEVELS: Final = {"CRITICAL": 50, "ERROR": 40, "WARNING": 30, "NOTICE": NOTICE, "INFO": 20, "DEBUG": 10}
_FORMAT: Final = "%(asctime)s,%(msecs)03d %(name)-24s[%(process)d]: %(levelname)-7s %(message)s"


class SafeFormatter(logging.Formatter):
    """Escapes whatever is not printable in every line: part of what is logged was written by attackers."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(safe_text(line, 10_000) for line in super().format(record).split("\n"))


def set_up(level: str, stream: TextIO = sys.stderr) -> None:
    """Log to `stream` from `level` on, one of `LEVELS`; calling it again changes the level."""
    logging.addLevelName(NOTICE, "NOTICE")
    root = logging.getLogger("guardhooks")
    root.setLevel(LEVELS[level])
    if not root.handlers:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(SafeFormatter(_FORMAT, datefmt="%Y-%m-%d %H:%M:%S"))
        root.addHandler(handler)
        root.propagate = False
