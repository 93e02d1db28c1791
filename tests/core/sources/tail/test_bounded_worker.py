"""Calls that may never return."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from guardhooks_core.sources.tail.bounded_worker import BoundedWorker


def test_a_call_that_hangs_is_given_up_and_results_and_errors_come_back() -> None:
    worker, hanging = BoundedWorker(), threading.Event()
    assert worker.call(lambda: 7, 10.0) == 7
    with pytest.raises(FileNotFoundError):
        worker.call(Path("/nowhere/at/all").read_text, 10.0)
    with pytest.raises(TimeoutError):
        worker.call(hanging.wait, 0.01)
    hanging.set()
    assert worker.call(lambda: 8, 10.0) == 8
    worker.end()
