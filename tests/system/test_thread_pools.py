"""Pools whose threads exist before they are needed."""

from __future__ import annotations

import threading

from guardhooks.system.threads import ready_pool


def test_a_ready_pool_starts_no_thread_later() -> None:
    pool = ready_pool(4, "ready")
    try:
        there = {thread.name for thread in threading.enumerate() if thread.name.startswith("ready")}
        assert len(there) == 4
        meeting = threading.Barrier(4, timeout=10.0)
        for job in [pool.submit(meeting.wait) for _ in range(4)]:
            job.result()
        assert {thread.name for thread in threading.enumerate() if thread.name.startswith("ready")} == there
    finally:
        pool.shutdown()
