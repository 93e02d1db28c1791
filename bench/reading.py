"""What a daemon spends on a log: CPU of the whole process, from the first byte to the last offender's ban."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from daemons import Daemon
from kernel import Ipset, Sets, wait_for
from logs import SENTINEL

_QUIET = 0.5
_NOTHING = 0.03
"""A daemon that uses fewer CPU seconds than this in `_QUIET` seconds does nothing."""
_WARM_UP = 300
"""Lines of the log that are read before, so that what is done once for each regex is not counted."""
_GIVE_UP = 900.0


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds, and peak resident MB."""

    cpu: float
    memory: float


def read(kind: type[Daemon], origins: Sequence[Path], *, jails: Sequence[str] = ("sshd",), maxretry: int = 6) -> Cost:
    """Append each of `origins`, which end with the sentinel's failures, to a log that a running daemon reads."""
    with TemporaryDirectory() as folder:
        logs = [Path(folder) / f"{number}.log" for number in range(len(origins))]
        for log in logs:
            log.touch()
        daemon = kind(Path(folder), logs[0], others=logs[1:], jails=jails, maxretry=maxretry)
        try:
            daemon.start()
            daemon.wait_ready()
            settle(daemon)
            for log, origin in zip(logs, origins, strict=True):
                _copy(origin, log, _WARM_UP)
            settle(daemon)
            before = daemon.cpu()
            for log, origin in zip(logs, origins, strict=True):
                _copy(origin, log)
            sets = Sets()
            wait_for(lambda: sets.holds(SENTINEL), limit=_GIVE_UP, pause=0.1)
            settle(daemon)
            return Cost(daemon.cpu() - before, daemon.peak_memory())
        finally:
            daemon.kill()
            Ipset().clear()


def settle(daemon: Daemon) -> float:
    """Wait until it has nothing to do; its CPU seconds until then."""
    used = daemon.cpu()
    while True:
        time.sleep(_QUIET)
        now = daemon.cpu()
        if now - used < _NOTHING:
            return now
        used = now


def _copy(origin: Path, log: Path, lines: int = 0) -> None:
    """Append `origin`, or the head of it, to `log`."""
    with origin.open("rb") as source, log.open("ab") as target:
        if lines:
            target.writelines(line for _, line in zip(range(lines), source, strict=False))
        else:
            shutil.copyfileobj(source, target, 1 << 20)
