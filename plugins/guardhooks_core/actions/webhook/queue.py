"""The queue between bans and a server that may be slow, or away: bounded, in order, tried again with back-off."""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from typing import Final

from guardhooks_core.actions.webhook.http_post import Delivery, Fate, deliver
from guardhooks_core.actions.webhook.parameters import Parameters
from guardhooks_core.actions.webhook.payload import Event, body

logger = logging.getLogger("guardhooks.webhook")

PAUSES: Final = (1.0, 60.0)
"""Seconds before the second try, and at most before any."""
_LAST_CALL: Final = 15.0
"""Seconds that `close` gives to what still waits."""


class Courier:
    """Sends the events of one action. The oldest are dropped when too many wait; all are counted.

    :param pauses: see `PAUSES`.
    """

    def __init__(self, parameters: Parameters, pauses: tuple[float, float] = PAUSES) -> None:
        self.parameters = parameters
        self.sent = self.dropped = 0
        self._pauses = pauses
        self._waiting: deque[Event] = deque()
        self._under_way = 0
        self._failures = 0
        self._reason = ""
        self._closing = False
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, events: Sequence[Event]) -> None:
        """Have events sent soon. Never waits."""
        if not events:
            return
        with self._news:
            self._waiting.extend(events)
            excess = max(0, len(self._waiting) - self.parameters.queue)
            for _ in range(excess):
                self._waiting.popleft()
            self.count_dropped(excess, "too many wait")
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._work, name="webhook", daemon=True)
                self._thread.start()
            self._news.notify_all()

    def close(self) -> list[Event]:
        """Send what waits, once, and end; what could not be sent."""
        with self._news:
            self._closing = True
            self._news.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(_LAST_CALL)
        with self._news:
            left = list(self._waiting)
            self._waiting.clear()
            return left

    def count_dropped(self, number: int, why: str) -> None:
        """So many events will never be sent."""
        if number:
            if not self.dropped or self._closing:
                logger.error("webhook %s: events are dropped, %s %s", self.parameters.origin, why, self._reason)
            self.dropped += number

    @property
    def note(self) -> str:
        """What `status` says."""
        waiting = len(self._waiting) + self._under_way
        return f"{self.parameters.origin}: {self.sent} sent, {waiting} waiting, {self.dropped} dropped"

    @property
    def warning(self) -> str:
        """What somebody should look at; empty while all is well."""
        return f"{self.parameters.origin} does not take events: {self._reason}" if self._reason else ""

    def _work(self) -> None:
        while events := self._next():
            delivery = uuid.uuid4().hex
            message = body(events, delivery)
            while not self._is_settled(deliver(self.parameters, message, delivery), events):
                pass

    def _next(self) -> list[Event]:
        """The next batch; nothing when there will be no more."""
        with self._news:
            while not self._waiting and not self._closing:
                self._news.wait()
            gives_up = self._closing and self._failures
            number = 0 if gives_up else min(self.parameters.batch, len(self._waiting))
            events = [self._waiting.popleft() for _ in range(number)]
            self._under_way = len(events)
            return events

    def _is_settled(self, delivery: Delivery, events: Sequence[Event]) -> bool:
        """Count what has become of a batch; if it is to be tried again, return when it is time."""
        with self._news:
            self._tell(delivery)
            if delivery.fate is Fate.SENT:
                self.sent += len(events)
            elif delivery.fate is Fate.REFUSED:
                self.count_dropped(len(events), "refused for good:")
            elif self._closing:
                self._waiting.extendleft(reversed(events))
            else:
                self._pause(delivery.pause)
                return False
            self._under_way = 0
            return True

    def _tell(self, delivery: Delivery) -> None:
        origin = self.parameters.origin
        if delivery.fate is Fate.SENT and self._reason:
            logger.warning("webhook %s works again", origin)
        elif delivery.fate is Fate.LATER and delivery.reason != self._reason:
            logger.error("webhook %s failed, is tried again: %s", origin, delivery.reason)
        self._reason = delivery.reason
        self._failures = self._failures + 1 if delivery.fate is Fate.LATER else 0

    def _pause(self, asked: float) -> None:
        """Wait before the next try: twice as long each time, and never two servers in step."""
        first, most = self._pauses
        longest = min(most, first * 2.0 ** min(self._failures - 1, 10))
        until = time.monotonic() + max(asked, longest * random.uniform(0.5, 1.0))  # noqa: S311 -- no secret
        while not self._closing and (left := until - time.monotonic()) > 0:
            self._news.wait(left)
