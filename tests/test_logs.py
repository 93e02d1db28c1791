"""The daemon's log when it cannot be written: nothing fails, and what may be missing is owned up to."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from guardhooks.logs import DaemonFormatter, LogHandler, together


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, LogHandler, io.StringIO]]:
    """A logger below the daemon's root, its handler, and the text that the handler has written."""
    written = io.StringIO()
    handler = LogHandler(written)
    handler.setFormatter(DaemonFormatter())
    root = logging.getLogger("guardhooks")
    root.addHandler(handler)
    yield logging.getLogger("guardhooks.actions"), handler, written
    root.removeHandler(handler)


def test_lines_on_a_full_disk_are_counted_and_told_when_there_is_room(
    log: tuple[logging.Logger, LogHandler, io.StringIO],
) -> None:
    logger, handler, written = log
    with suppress(OSError), Path("/dev/full").open("w", buffering=1) as handler.stream:
        logger.error("one")
        with together():
            logger.error("two")
            logger.error("three")
    handler.stream = written
    logger.error("four")
    assert "3 lines of this log may be missing above: [Errno 28] No space left on device\n" in written.getvalue()
    logger.error("five")
    assert written.getvalue().count("may be missing") == 1
    assert [line.split()[-1] for line in written.getvalue().splitlines()[1:]] == ["four", "five"]


def test_a_reader_that_went_away(log: tuple[logging.Logger, LogHandler, io.StringIO]) -> None:
    logger, handler, written = log
    reading, writing = os.pipe()
    os.close(reading)
    with suppress(BrokenPipeError), os.fdopen(writing, "w", buffering=1) as handler.stream, together():
        logger.error("into the void")
    handler.stream = written
    logger.error("back")
    assert "1 line of this log may be missing above: [Errno 32] Broken pipe" in written.getvalue()
