"""Cuts connections again, in a thread: when a ban is in force everywhere, and after retransmissions."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from guardhooks import ActionSpec, Ban, GuardhooksError, safe_text

logger = logging.getLogger("guardhooks.conntrack")

ROUNDS: Final = (0.0, 1.0, 5.0)
"""Seconds after a ban at which its connections are cut: retransmissions of the server open them again."""


class DelayedCuts:
    """Cuts together what is due at the same time; the thread lives as long as something is scheduled."""

    def __init__(self, cut: Callable[[ActionSpec, Sequence[Ban]], int], rounds: Sequence[float] = ROUNDS) -> None:
        self._cut, self._rounds = cut, rounds
        self._changed = threading.Condition()
        self._due: list[tuple[float, ActionSpec, Ban]] = []
        self._closing = False
        self._thread: threading.Thread | None = None

    def add(self, action: ActionSpec, ban: Ban) -> None:
        """Schedule cuts of the ban's connections for each round."""
        now = time.monotonic()
        with self._changed:
            self._due += [(now + pause, action, ban) for pause in self._rounds]
            if self._thread is None:
                self._closing = False
                self._thread = threading.Thread(target=self._work, name="conntrack", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Do what is due now, drop what is due later, and end the thread."""
        with self._changed:
            thread, self._closing = self._thread, True
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while ready := self._wait():
            for action, bans in _by_action(ready):
                try:
                    self._cut(action, bans)
                except (GuardhooksError, OSError) as error:
                    logger.error("[%s] action %s: %s", bans[0].jail, action.actname, safe_text(str(error)))

    def _wait(self) -> list[tuple[ActionSpec, Ban]]:
        """What has become due; empty when nothing is scheduled."""
        with self._changed:
            while self._due:
                now = time.monotonic()
                ready = [(action, ban) for due, action, ban in self._due if due <= now]
                self._due = [] if self._closing else [each for each in self._due if each[0] > now]
                if ready:
                    return ready
                if not self._due:
                    break
                self._changed.wait(min(due for due, _, _ in self._due) - now)
            self._thread = None
            return []


def _by_action(ready: Sequence[tuple[ActionSpec, Ban]]) -> list[tuple[ActionSpec, list[Ban]]]:
    groups: dict[str, tuple[ActionSpec, list[Ban]]] = {}
    for action, ban in ready:
        groups.setdefault(f"{ban.jail} {action.actname}", (action, []))[1].append(ban)
    return list(groups.values())
