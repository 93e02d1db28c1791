"""Writes the ledger and reports, in the log and in `status`, when it cannot be written."""

from __future__ import annotations

import logging

from guardhooks.errors import StateError
from guardhooks.ledger import Ledger
from guardhooks.text import safe_text

logger = logging.getLogger("guardhooks.actions")


class LedgerWriter:
    """`problem` is what keeps the state from being written at the moment; empty if nothing does."""

    def __init__(self, ledger: Ledger) -> None:
        self.problem = ""
        self._ledger = ledger
        self._notes_logged = 0

    async def write(self) -> None:
        """Write what changed. Where that fails it is logged and the next call retries it."""
        try:
            await self._ledger.flush()
        except StateError as error:
            self.log(f"{error}; retrying; nothing is lost while guardhooks runs")
        else:
            self.log("")

    def log(self, problem: str) -> None:
        """Log a problem when it begins and when it is over (`problem` is empty), and new notes of the ledger."""
        problem = safe_text(problem)
        if problem and not self.problem:
            logger.error("%s", problem)
        elif self.problem and not problem:
            logger.warning("the ledger can be written again")
        self.problem = problem
        notes = self._ledger.notes
        for note in notes[self._notes_logged :]:
            logger.error("%s", safe_text(note))
        self._notes_logged = len(notes)
