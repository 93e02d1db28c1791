"""The worker threads of one guard: matching, actions and the doctor each have their own; none uses up another's."""

from __future__ import annotations

from typing import Final

from guardhooks.system.worker_pool import Bulkhead, WorkerPool

_MATCHING: Final = 64
"""Threads at most. Each source has one call at a time, and most wait for the processor, not for each other."""
_ACTING: Final = 64
_OF_ONE_ACTION: Final = 8
"""Threads that the actions of one name have, in all jails together: if they hang, other actions go on."""
_EXAMINING: Final = 16


class Pools:
    """See the module. `matching` and `doctor` are executors."""

    def __init__(self) -> None:
        self.matching = WorkerPool("matching", ready=2, most=_MATCHING)
        self.doctor = WorkerPool("doctor", ready=1, most=_EXAMINING)
        self._acting = WorkerPool("actions", ready=2, most=_ACTING)
        self._actions: dict[str, Bulkhead] = {}

    def of_action(self, name: str) -> Bulkhead:
        """The executor for all actions of this name."""
        return self._actions.setdefault(name, Bulkhead(self._acting, _OF_ONE_ACTION))

    def close(self) -> None:
        """Take no more calls; what hangs is left behind."""
        for pool in (self.matching, self.doctor, self._acting):
            pool.shutdown(cancel_futures=True)
