"""What is said in the log about sources, and what is not."""

from __future__ import annotations

import logging

import pytest

from guardhooks.engine.sources import SourceStateLogger
from guardhooks.workers import SourceStatus

WAITING = SourceStatus("file:/a", "waiting", "no file /a yet")
READING = SourceStatus("file:/a", "reading", origins=("/a",))
FAILED = SourceStatus("file:/a", "failed", "/a: Permission denied")
OTHER = SourceStatus("file:/b", "reading", origins=("/b",))


class Told:
    """The log, and a clock that goes on by two seconds with each look."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "guardhooks.source")
        self._caplog, self._news, self._now = caplog, SourceStateLogger(), 1000.0

    def after(self, *looks: SourceStatus, beside: SourceStatus | None = None) -> list[tuple[str, str]]:
        """What was logged about the jail `j` while its source showed these states."""
        self._caplog.clear()
        for status in looks:
            self._now += 2
            self._news.look([(each, ["j"]) for each in (status, beside) if each], self._now)
        return [(record.levelname, record.getMessage()) for record in self._caplog.records]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(logging.getLogger("guardhooks"), "propagate", True)  # a daemon in this process stops it
    return Told(caplog)


def test_a_source_that_is_read_needs_no_word(told: Told) -> None:
    assert told.after(READING, READING, READING) == []


def test_waiting_is_told_once_and_so_is_its_end(told: Told) -> None:
    assert told.after(WAITING, WAITING, WAITING) == [("WARNING", "[j] waiting: no file /a yet")]
    assert told.after(READING, READING, READING) == [("INFO", "[j] reading: /a")]


def test_what_holds_for_a_moment_only_makes_no_noise(told: Told) -> None:
    assert told.after(READING, WAITING, READING, FAILED, READING) == []


def test_a_jail_that_has_another_log_to_read_may_wait_quietly(told: Told) -> None:
    assert told.after(WAITING, WAITING, beside=OTHER) == [("INFO", "[j] waiting: no file /a yet")]


def test_what_cannot_be_read_is_an_error(told: Told) -> None:
    assert told.after(FAILED, FAILED) == [("ERROR", "[j] log cannot be read: /a: Permission denied")]
