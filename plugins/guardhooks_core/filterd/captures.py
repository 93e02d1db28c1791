"""Which named groups a regex fills in every match."""

from __future__ import annotations

from collections.abc import Iterable

from .regexes import Tree, parsed

_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})


def always_captures(expression: str, names: Iterable[str], *, text: bool = True) -> bool:
    """Whether any match of `expression` has one of the groups `names`; with `text`, it then holds some characters."""
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
    # A group in a repeat keeps what the last round captured, which is some round if there must be one.
    return operation in _REPEATS and argument[0] > 0 and _captures(argument[2], wanted, text=text)
