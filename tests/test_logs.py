"""The daemon's log when it cannot be written: nothing fails, and what may be missing is owned up to."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from guardhooks.logs import DaemonFormatter, JournalFormatter, LogHandler, log_lines, together


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


@contextmanager
def others_silent() -> Iterator[None]:
    """Nobody else listens to the daemon's root logger."""
    root = logging.getLogger("guardhooks")
    before, root.propagate = root.propagate, False
    yield
    root.propagate = before


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


def test_the_journal_gets_a_priority_for_every_line_and_nobody_can_write_one_of_his_own() -> None:
    written = io.StringIO()
    handler = LogHandler(written)
    handler.setFormatter(JournalFormatter())
    logger = logging.Logger("guardhooks.actions")
    logger.addHandler(handler)
    logger.error("two\nlines")
    logger.info("%s", "<0>guardhooks.daemon: \x1b[2J")
    try:
        int("<0>x")
    except ValueError:
        logger.critical("failed", exc_info=True)
    lines = written.getvalue().splitlines()
    assert lines[:3] == [
        "<3>guardhooks.actions: ERROR   two",
        "<3>lines",
        r"<6>guardhooks.actions: INFO    <0>guardhooks.daemon: \x1b[2J",
    ]
    assert {line[:3] for line in lines[3:]} == {"<2>"}
    assert lines[-1] == "<2>ValueError: invalid literal for int() with base 10: '<0>x'"


def test_many_lines_at_once_look_as_one_by_one(log: tuple[logging.Logger, LogHandler, io.StringIO]) -> None:
    logger, _, written = log
    logging.getLogger("guardhooks").setLevel(logging.INFO)
    texts = ["[sshd] Found 192.0.2.1", "[sshd] Found \x1b[2J", "[sshd] Found " + "x" * 20_000]
    with others_silent():
        log_lines(logger, logging.INFO, texts)
        lines = written.getvalue().splitlines()
        for text in texts:
            logger.info("%s", text)
    assert [line[30:] for line in lines] == [line[30:] for line in written.getvalue().splitlines()[3:]]
    assert len(lines) == 3
    assert r"Found \x1b[2J" in lines[1]
