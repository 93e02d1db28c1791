"""Cutting again, in a thread: when a ban is in force everywhere, and when retransmissions have come and gone."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from guardhooks import ActionSpec, Ban, GuardhooksError, safe_text

logger = logging.getLogger("guardhooks.conntrack")

ROUNDS: Final = (0.0, 1.0, 5.0)
"""Seconds after a ban at which its connections are cut: what the server sends once more has opened them again."""


class Afterwards:
    """All bans that are due at a time are cut together; the thread lives as long as something is due."""

    def __init__(self, cut: Callable[[ActionSpec, Sequence[Ban]], int], rounds: Sequence[float] = ROUNDS) -> None:
        self._cut, self._rounds = cut, rounds
        self._news = threading.Condition()
        self._due: list[tuple[float, ActionSpec, Ban]] = []
        self._closing = False
        self._thread: threading.Thread | None = None

    def add(self, action: ActionSpec, ban: Ban) -> None:
        """Have the ban's connections cut at once and at each round."""
        now = time.monotonic()
        with self._news:
            self._due += [(now + pause, action, ban) for pause in self._rounds]
            if self._thread is None:
                self._closing = False
                self._thread = threading.Thread(target=self._work, name="conntrack", daemon=True)
                self._thread.start()
            self._news.notify()

    def close(self) -> None:
        """Do what is due by now, leave out what is due later, and end the thread."""
        with self._news:
            thread, self._closing = self._thread, True
            self._news.notify()
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
        """What has become due; nothing when there is no more."""
        with self._news:
            while self._due:
                now = time.monotonic()
                ready = [(action, ban) for due, action, ban in self._due if due <= now]
                self._due = [] if self._closing else [each for each in self._due if each[0] > now]
                if ready:
                    return ready
                if not self._due:
                    break
                self._news.wait(min(due for due, _, _ in self._due) - now)
            self._thread = None
            return []


def _by_action(ready: Sequence[tuple[ActionSpec, Ban]]) -> list[tuple[ActionSpec, list[Ban]]]:
    groups: dict[str, tuple[ActionSpec, list[Ban]]] = {}
    for action, ban in ready:
        groups.setdefault(f"{ban.jail} {action.actname}", (action, []))[1].append(ban)
    return list(groups.values())
