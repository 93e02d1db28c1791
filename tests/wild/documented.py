"""Differences that the tests allow: each is named by what docs/differences.md says of it, and must stand there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PAGE: Final = Path(__file__).parents[2] / "docs" / "differences.md"


def documented(words: str) -> bool:
    """Whether the page of differences has these words; a test that relies on a difference says so with them.

    :raises AssertionError: if the page no longer says so.
    """
    assert words in _PAGE.read_text(), f"docs/differences.md does not say {words!r}"
    return True
