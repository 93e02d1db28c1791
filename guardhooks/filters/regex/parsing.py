"""The parse trees of configured regexes: whether they compile, and which groups a match always has.

Python's warnings about questionable syntax are silenced: the regexes come from the configuration, not from code.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, TypeAlias

Tree: TypeAlias = Any
"""A parse tree; the parser's types are private."""

REPEATS: Final = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})
"""The names of the parser's operations that repeat a part."""

# The parser leaves two checks to the compiler: that a look-behind has a fixed width (obvious for one character), and
# how deep groups are nested.
_LOOK_BEHIND: Final = re.compile(r"\(\?<[=!](?![\w:]\))")
_MANY_GROUPS: Final = 100


def compiled(expression: str, flags: int = 0) -> re.Pattern[str]:
    """:raises re.error: if `expression` is not a valid regex."""
    with warnings.catch_warnings(action="ignore"):
        return re.compile(expression, flags)


@lru_cache(maxsize=64)
def parsed(expression: str, flags: int = 0) -> Tree:
    """The parse tree of a regex that compiles."""
    with warnings.catch_warnings(action="ignore"):
        return re._parser.parse(expression, flags)  # type: ignore[attr-defined]  # noqa: SLF001 -- there is no public one


def checked(expression: str, flags: int = 0) -> tuple[str, ...]:
    """Check that `expression` compiles, usually by parsing alone, and return the names of its groups.

    :raises re.error: if `expression` is not a valid regex.
    """
    tree = parsed(expression, flags)
    if _LOOK_BEHIND.search(expression) or expression.count("(") > _MANY_GROUPS:
        compiled(expression, flags)
    return tuple(tree.state.groupdict)


def always_captures(expression: str, names: Iterable[str], *, text: bool = True) -> bool:
    """Whether every match of `expression` captures one of the groups `names`; with `text`, a non-empty string."""
    tree = parsed(expression)
    wanted = {number for name, number in tree.state.groupdict.items() if name in names}
    return bool(wanted) and _captures(tree, wanted, text=text)


def _captures(tree: Tree, wanted: set[int], *, text: bool) -> bool:
    return any(_item_captures(str(operation), argument, wanted, text=text) for operation, argument in tree)


def _item_captures(operation: str, argument: Tree, wanted: set[int], *, text: bool) -> bool:
    if operation == "SUBPATTERN":
        number, inner = argument[0], argument[3]
        return (number in wanted and (not text or inner.getwidth()[0] > 0)) or _captures(inner, wanted, text=text)
    if operation == "BRANCH":
        return all(_captures(branch, wanted, text=text) for branch in argument[1])
    if operation == "ATOMIC_GROUP":
        return _captures(argument, wanted, text=text)
    # A group inside a repeat keeps what the last round captured; there is a last round if at least one is required.
    return operation in REPEATS and argument[0] > 0 and _captures(argument[2], wanted, text=text)
