"""What a diagnosis finds, one sentence at a time: crosses the wall between plugins and `guardhooks doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """What a finding means for the person who reads it."""

    GOOD = "good"
    """As it should be."""
    NOTE = "note"
    """Worth knowing; nothing is wrong."""
    BAD = "bad"
    """Something is wrong, and somebody should do something about it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `diagnose` found: a sentence without its full stop, and what to do about it.

    `keeps_out` is the last word about an address: True if this keeps its packets out, False if they get through, None
    where the finding does not decide that. The words of others in `text` must have gone through `safe_text`.
    """

    text: str
    level: Level = Level.NOTE
    remedy: str = ""
    keeps_out: bool | None = None
