"""A log whose reader has stopped holds nobody up, and loses nothing that it has room for."""

from __future__ import annotations

import io
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

import pytest

from guardhooks.log_stream import PatientStream
from tests.kit.waiting import PATIENCE

LINE = "a line of the log\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """The reading end, and the writing end as stderr is."""
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    yield reading, stream
    os.close(reading)
    with suppress(OSError):  # nobody reads what is left
        stream.close()


def test_what_there_is_room_for_is_written_at_once(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    PatientStream(stream).write(LINE)
    assert os.read(reading, 1000).decode() == LINE


def test_a_reader_that_comes_late_gets_everything_in_order(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    patient = PatientStream(stream)
    lines = [f"{number} {LINE}" for number in range(20_000)]  # several times what fits into a pipe
    for line in lines:
        patient.write(line)
    wanted, got = len("".join(lines)), bytearray()
    while len(got) < wanted:
        got += os.read(reading, 65536)
    assert got.decode() == "".join(lines)
    assert patient.wait(PATIENCE)


def test_nobody_waits_for_a_reader_that_never_comes_and_what_is_lost_is_said(pipe: tuple[int, TextIO]) -> None:
    _, stream = pipe
    patient = PatientStream(stream)
    with pytest.raises(BlockingIOError, match="stopped reading"):
        deque((patient.write(LINE * 100) for _ in range(10_000)), maxlen=0)
    assert not patient.wait(0)


def test_a_reader_that_goes_away_ends_the_waiting(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    patient = PatientStream(stream)
    for _ in range(10_000):
        patient.write(LINE)
    os.dup2(os.open(os.devnull, os.O_RDONLY), reading)
    assert patient.wait(PATIENCE)


def test_several_threads_may_write(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    patient = PatientStream(stream)
    threads = [threading.Thread(target=lambda: [patient.write(LINE) for _ in range(2000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    got = b""
    while len(got) < 8000 * len(LINE):
        got += os.read(reading, 65536)
    for thread in threads:
        thread.join(PATIENCE)
    assert got.decode() == LINE * 8000


def test_a_stream_that_is_no_file_is_written_as_it_is() -> None:
    stream = io.StringIO()
    PatientStream(stream).write(LINE * 1000)
    assert stream.getvalue() == LINE * 1000
