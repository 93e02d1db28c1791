"""The queue between bans and a server that may be slow or down: bounded, in order, with retries and back-off."""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from typing import Final

from guardhooks_core.actions.webhook.http_post import Delivery, DeliveryResult, deliver
from guardhooks_core.actions.webhook.parameters import Parameters
from guardhooks_core.actions.webhook.payload import Event, body

logger = logging.getLogger("guardhooks.webhook")

PAUSES: Final = (1.0, 60.0)
"""Seconds before the first retry, and at most before any retry."""
_DRAIN_TIME: Final = 15.0
"""Seconds that waiting events get in `close`."""


class DeliveryQueue:
    """Sends the events of one action. If too many wait, the oldest are dropped and counted.

    :param pauses: see `PAUSES`.
    """

    def __init__(self, parameters: Parameters, pauses: tuple[float, float] = PAUSES) -> None:
        self.parameters = parameters
        self.sent = self.dropped = 0
        self._pauses = pauses
        self._waiting: deque[Event] = deque()
        self._in_flight = 0
        self._failures = 0
        self._reason = ""
        self._closing = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, events: Sequence[Event]) -> None:
        """Queue events. Never waits."""
        if not events:
            return
        with self._changed:
            self._waiting.extend(events)
            excess = max(0, len(self._waiting) - self.parameters.queue)
            for _ in range(excess):
                self._waiting.popleft()
            self.count_dropped(excess, "the queue is full")
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._work, name="webhook", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self) -> list[Event]:
        """Send what waits, once, and stop; returns what could not be sent."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(_DRAIN_TIME)
        with self._changed:
            left = list(self._waiting)
            self._waiting.clear()
            return left

    def count_dropped(self, number: int, why: str) -> None:
        """Count events that will never be sent; the first time, and while closing, log them."""
        if number:
            if not self.dropped or self._closing:
                cause = f"{why}: {self._reason}" if self._reason else why
                logger.error("webhook %s: events are dropped, %s", self.parameters.origin, cause)
            self.dropped += number

    @property
    def note(self) -> str:
        """The note for `status`."""
        waiting = len(self._waiting) + self._in_flight
        return f"{self.parameters.origin}: {self.sent} sent, {waiting} waiting, {self.dropped} dropped"

    @property
    def warning(self) -> str:
        """The problem to look into; empty if there is none."""
        return f"{self.parameters.origin} does not accept events: {self._reason}" if self._reason else ""

    def _work(self) -> None:
        while events := self._next():
            delivery = uuid.uuid4().hex
            message = body(events, delivery)
            while not self._is_settled(deliver(self.parameters, message, delivery), events):
                pass

    def _next(self) -> list[Event]:
        """Wait for the next batch; empty when there will be no more."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            gives_up = self._closing and self._failures
            number = 0 if gives_up else min(self.parameters.batch, len(self._waiting))
            events = [self._waiting.popleft() for _ in range(number)]
            self._in_flight = len(events)
            return events

    def _is_settled(self, delivery: Delivery, events: Sequence[Event]) -> bool:
        """Count the outcome of a batch. If it is to be retried, wait until then and return False."""
        with self._changed:
            self._log(delivery)
            if delivery.result is DeliveryResult.SENT:
                self.sent += len(events)
            elif delivery.result is DeliveryResult.REFUSED:
                self.count_dropped(len(events), "the server refuses them permanently")
            elif self._closing:
                self._waiting.extendleft(reversed(events))
            else:
                self._pause(delivery.pause)
                return False
            self._in_flight = 0
            return True

    def _log(self, delivery: Delivery) -> None:
        origin = self.parameters.origin
        if delivery.result is DeliveryResult.SENT and self._reason:
            logger.warning("webhook %s works again", origin)
        elif delivery.result is DeliveryResult.RETRY and delivery.reason != self._reason:
            logger.error("webhook %s failed, retrying: %s", origin, delivery.reason)
        self._reason = delivery.reason
        self._failures = self._failures + 1 if delivery.result is DeliveryResult.RETRY else 0

    def _pause(self, asked: float) -> None:
        """Wait before the next attempt: twice as long each time, with jitter so that servers do not retry together."""
        first, most = self._pauses
        longest = min(most, first * 2.0 ** min(self._failures - 1, 10))
        until = time.monotonic() + max(asked, longest * random.uniform(0.5, 1.0))  # noqa: S311 -- not a secret
        while not self._closing and (left := until - time.monotonic()) > 0:
            self._changed.wait(left)
