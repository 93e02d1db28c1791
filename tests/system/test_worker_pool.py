"""Threads that hang use up neither the pool of others nor the end of the process."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import Future

import pytest

from guardhooks import Bulkhead, WorkerPool
from guardhooks.system.worker_pool import thread_names
from tests.kit.waiting import PATIENCE, wait_for


def test_what_a_call_returns_or_raises_comes_back() -> None:
    pool = WorkerPool("p", most=2)
    assert [pool.submit(divmod, 7, number).result(PATIENCE) for number in (2, 3)] == [(3, 1), (2, 1)]
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 1, 0).result(PATIENCE)
    with pytest.raises(SystemExit):
        pool.submit(sys.exit, 1).result(PATIENCE)
    assert pool.submit(len, "abc").result(PATIENCE) == 3


def test_no_more_threads_work_than_it_may_have_and_all_jobs_are_done() -> None:
    pool, busy, seen, lock = WorkerPool("p", ready=0, most=3), set[int](), list[int](), threading.Lock()

    def work() -> None:
        with lock:
            busy.add(threading.get_ident())
            seen.append(len(busy))

    for future in [pool.submit(work) for _ in range(100)]:
        future.result(PATIENCE)
    assert len(seen) == 100
    assert max(seen) <= 3


def test_a_call_that_hangs_is_given_up_and_later_ones_are_made() -> None:
    pool, hanging = WorkerPool("p", most=1), threading.Event()
    stuck = pool.submit(hanging.wait)
    with pytest.raises(TimeoutError):
        stuck.result(0.01)
    hanging.set()
    assert stuck.result(PATIENCE)
    assert pool.submit(len, "abc").result(PATIENCE) == 3


def test_a_bulkhead_that_hangs_leaves_the_pool_to_others() -> None:
    released = threading.Event()
    pool = WorkerPool("p", most=4)
    hanging, healthy = Bulkhead(pool, 2), Bulkhead(pool, 2)
    stuck = [hanging.submit(released.wait) for _ in range(10)]
    assert healthy.submit(len, "abc").result(PATIENCE) == 3
    released.set()
    assert all(future.result(PATIENCE) for future in stuck)


def test_what_is_cancelled_before_its_turn_is_not_called() -> None:
    released, called = threading.Event(), list[int]()
    share = Bulkhead(WorkerPool("p", most=4), 1)
    first = share.submit(released.wait)
    second: Future[None] = share.submit(called.append, 2)
    third = share.submit(called.append, 3)
    assert second.cancel()
    released.set()
    third.result(PATIENCE)
    assert first.result(PATIENCE)
    assert called == [3]


def test_a_closed_pool_takes_nothing_and_cancels_what_waits() -> None:
    started, released = threading.Event(), threading.Event()
    pool = WorkerPool("p", ready=1, most=1)
    first = pool.submit(lambda: started.set() or released.wait())
    assert started.wait(PATIENCE)
    second = pool.submit(len, "abc")
    pool.shutdown(cancel_futures=True)
    assert second.cancelled()
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(len, "abc")
    released.set()
    assert first.result(PATIENCE)


def test_a_call_that_hangs_does_not_keep_the_process() -> None:
    code = "import threading, guardhooks; guardhooks.WorkerPool('p').submit(threading.Event().wait); print('over')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "over\n"


def test_where_no_thread_can_be_started_those_that_are_there_do_the_work() -> None:
    code = (
        "import _thread, guardhooks\n"
        "pool = guardhooks.WorkerPool('p', ready=1, most=64)\n"
        'def refuse(*_, **__): raise RuntimeError("can\'t start new thread")\n'
        "_thread.start_new_thread = refuse\n"
        "print([f.result(20) for f in [pool.submit(len, 'a' * n) for n in range(5)]])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[0, 1, 2, 3, 4]\n"


def test_the_threads_that_are_to_be_ready_run_when_the_pool_is_made() -> None:
    pool = WorkerPool("ready", ready=4, most=4)
    assert list(thread_names().values()).count("ready") == 4
    meeting = threading.Barrier(4, timeout=PATIENCE)
    for future in [pool.submit(meeting.wait) for _ in range(4)]:
        future.result(PATIENCE)
    pool.shutdown()
    wait_for(lambda: "ready" not in thread_names().values(), "the threads end")
