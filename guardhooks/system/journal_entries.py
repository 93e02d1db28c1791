"""When the systemd journal last had an entry that a jail would read."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Final

_TIME_LIMIT: Final = 5.0
"""Seconds that journalctl may take."""


def newest_entry(matches: Sequence[str]) -> float | None:
    """The time of the newest entry of these matches (lines of `journalmatch`), in seconds since the epoch.

    None if there is none, or if it cannot be found out. Runs `journalctl`.
    """
    words = [word for match in matches for word in ("+", *match.split())][1:]
    if any(word.startswith("-") for word in words):
        return None
    command = ["journalctl", "-q", "--no-pager", "-n", "1", "-o", "json", "--output-fields=_PID", *words]
    try:
        run = subprocess.run(command, capture_output=True, timeout=_TIME_LIMIT, check=True, stdin=subprocess.DEVNULL)
        return int(json.loads(run.stdout)["__REALTIME_TIMESTAMP"]) / 1e6
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError):
        return None
