"""Regexes from configuration, compiled and parsed without Python's warnings about questionable syntax."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import Any, Final, TypeAlias

Tree: TypeAlias = Any
"""A parse tree; the parser's types are private."""

# What the parser leaves to the compiler: whether a look-behind is of one length (obvious for one character), and the
# depth of what is nested.
_LOOK_BEHIND: Final = re.compile(r"\(\?<[=!](?![\w:]\))")
_MANY_GROUPS: Final = 100


def compiled(expression: str, flags: int = 0) -> re.Pattern[str]:
    """:raises re.error: if `expression` is no regex."""
    with warnings.catch_warnings(action="ignore"):
        return re.compile(expression, flags)


@lru_cache(maxsize=64)
def parsed(expression: str, flags: int = 0) -> Tree:
    """The parse tree of a regex that compiles."""
    with warnings.catch_warnings(action="ignore"):
        return re._parser.parse(expression, flags)  # type: ignore[attr-defined]  # noqa: SLF001 -- there is no public one


def checked(expression: str, flags: int = 0) -> tuple[str, ...]:
    """The names of the groups of `expression`, which is sure to compile, though it seldom is compiled here.

    :raises re.error: if `expression` is no regex.
    """
    tree = parsed(expression, flags)
    if _LOOK_BEHIND.search(expression) or expression.count("(") > _MANY_GROUPS:
        compiled(expression, flags)
    return tuple(tree.state.groupdict)
