"""Regexes from configuration, compiled and parsed without Python's warnings about questionable syntax."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import Any, TypeAlias

Tree: TypeAlias = Any
"""A parse tree; the parser's types are private."""


def compiled(expression: str, flags: int = 0) -> re.Pattern[str]:
    """:raises re.error: if `expression` is no regex."""
    with warnings.catch_warnings(action="ignore"):
        return re.compile(expression, flags)


@lru_cache(maxsize=64)
def parsed(expression: str, flags: int = 0) -> Tree:
    """The parse tree of a regex that compiles."""
    with warnings.catch_warnings(action="ignore"):
        return re._parser.parse(expression, flags)  # type: ignore[attr-defined]  # noqa: SLF001 -- there is no public one
