"""Changes the rules of many sets at a time: a hundred jails that start do not call iptables hundreds of times."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from guardhooks import ActionError
from guardhooks_core.actions.firewall.iptables import Rule
from guardhooks_core.actions.ipset import rules
from guardhooks_core.actions.ipset.rules import Changes


@dataclass(slots=True, eq=False)
class _Request:
    """The rules wanted for a set, and the `answer`: what was changed, or why that failed."""

    version: int
    set_name: str
    wanted: Sequence[Rule]
    answer: Future[Changes] = field(default_factory=Future)


class RuleBatcher:
    """Makes one call of iptables at a time; requests that wait meanwhile are done together by the next one.

    :param own_work: a context that is entered around each change, by one thread at a time.
    """

    def __init__(self, own_work: Callable[[], AbstractContextManager[None]]) -> None:
        self._own_work = own_work
        self._turn = threading.Lock()
        self._waiting: list[_Request] = []
        self._waiting_lock = threading.Lock()

    def reconcile(self, version: int, set_name: str, wanted: Sequence[Rule]) -> Changes:
        """Make exactly the wanted rules exist for this set; what was changed. New ones come first.

        :raises ActionError: when the tool is missing or refuses.
        """
        request = _Request(version, set_name, wanted)
        with self._waiting_lock:
            self._waiting.append(request)
        with self._turn:
            if not request.answer.done():
                self._run(self._batch(request))
        return request.answer.result()

    def _batch(self, request: _Request) -> list[_Request]:
        """The request with those that wait for the same tool, one for each set; takes these off the waiting list."""
        batch = {request.set_name: request}
        with self._waiting_lock:
            for other in self._waiting:
                if other.version == request.version:
                    batch.setdefault(other.set_name, other)
            self._waiting = [other for other in self._waiting if other not in batch.values()]
        return list(batch.values())

    def _run(self, batch: Sequence[_Request]) -> None:
        try:
            with self._own_work():
                counts = rules.reconcile(batch[0].version, {one.set_name: one.wanted for one in batch})
        except ActionError as error:
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
            else:  # which one is at fault shows when each runs alone
                for one in batch:
                    self._run([one])
        else:
            for one in batch:
                one.answer.set_result(counts[one.set_name])
