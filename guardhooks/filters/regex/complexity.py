r"""The complexity of matching a regex with a backtracking engine, estimated from its parse tree.

The estimate is an upper bound: degree n means at most about length**n steps. A repeat whose end is certain (`\S+`
before a blank) adds only its own length; one that may give back characters (`.*` before anything) multiplies. An
ambiguous choice inside an unbounded repeat is exponential.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from guardhooks.filters.regex import charsets
from guardhooks.filters.regex.parsing import REPEATS, parsed

EXPONENTIAL: Final = 99
_MANY: Final = 16
"""A repeat of at most this many rounds costs a constant; a longer one counts as unbounded."""


def complexity(expression: str, flags: int = 0) -> int:
    """The degree of the polynomial that bounds a search for `expression`, which must compile; or EXPONENTIAL."""
    tree = parsed(expression, flags)
    found = _Walk(tree.state.flags).sequence(list(tree), charsets.EVERYTHING)
    if found.degree >= EXPONENTIAL:
        return EXPONENTIAL
    return found.degree + (1 if found.linear else 0) + (0 if found.leading_anchor else 1)


@dataclass(slots=True)
class _Cost:
    """The cost of a part. `first` is the set of characters it can start with; `nullable`: it can match nothing."""

    first: int
    nullable: bool
    degree: int = 0
    linear: bool = False
    uncertain: bool = False
    leading_anchor: bool = False


class _Walk:
    """Walks a parse tree, with the flags in force at each part."""

    def __init__(self, flags: int) -> None:
        self._flags = flags

    def sequence(self, items: list[Any], after: int) -> _Cost:
        """The cost of consecutive items, followed by something that can start with `after`."""
        total = _Cost(after, nullable=True)
        follow = after
        first_seen, reaches_start = 0, True
        costs: list[_Cost] = []
        for operation, argument in reversed(items):
            cost = self._item(str(operation), argument, follow)
            follow = cost.first | (follow if cost.nullable else 0)
            costs.append(cost)
        for cost in reversed(costs):
            first_seen |= cost.first if reaches_start else 0
            reaches_start = reaches_start and cost.nullable
            total.degree = min(EXPONENTIAL, total.degree + cost.degree)
            total.linear |= cost.linear
            total.uncertain |= cost.uncertain
        total.first = first_seen
        total.nullable = reaches_start
        total.leading_anchor = bool(costs) and _starts_anchored(items, costs)
        return total

    def _item(self, operation: str, argument: charsets.Argument, follow: int) -> _Cost:
        mask = charsets.of_item(operation, argument, self._flags)
        if mask is not None:
            return _Cost(mask, nullable=False)
        if operation in REPEATS:
            return self._repeat(operation, argument, follow)
        if operation == "SUBPATTERN":
            _, added, removed, body = argument
            return self._scoped(list(body), added, removed, follow)
        if operation == "ATOMIC_GROUP":
            return self._scoped(list(argument), 0, 0, follow)
        if operation == "BRANCH":
            return self._branch([list(branch) for branch in argument[1]], follow)
        if operation == "GROUPREF_EXISTS":
            _, yes, no = argument
            branches = [list(yes), list(no) if no else []]
            return self._branch(branches, follow, exclusive=True)
        if operation in {"ASSERT", "ASSERT_NOT"}:
            inner = self.sequence(list(argument[1]), charsets.EVERYTHING)
            inner.first, inner.nullable, inner.leading_anchor = 0, True, False
            return inner
        if operation == "GROUPREF":
            return _Cost(charsets.EVERYTHING, nullable=True, linear=True, uncertain=True)
        return _Cost(0, nullable=True, leading_anchor=operation == "AT" and "BEGINNING" in str(argument))

    def _scoped(self, body: list[Any], added: int, removed: int, follow: int) -> _Cost:
        outer = self._flags
        self._flags = (outer | added) & ~removed
        cost = self.sequence(body, follow)
        self._flags = outer
        return cost

    def _branch(self, branches: list[list[Any]], follow: int, *, exclusive: bool = False) -> _Cost:
        costs = [self.sequence(branch, follow) for branch in branches]
        total = _Cost(0, nullable=False, leading_anchor=all(cost.leading_anchor for cost in costs))
        for cost in costs:
            reach = cost.first | (follow if cost.nullable else 0)
            if total.first & reach and not exclusive:
                total.uncertain = True
            total.first |= reach
            total.degree = max(total.degree, cost.degree)
            total.linear |= cost.linear
            total.uncertain |= cost.uncertain
            total.nullable |= cost.nullable
        return total

    def _repeat(self, operation: str, argument: charsets.Argument, follow: int) -> _Cost:
        low, high, body = argument
        unbounded = int(high) > _MANY
        start = self.sequence(list(body), follow).first
        inner = self.sequence(list(body), follow | start)
        inner.leading_anchor = inner.leading_anchor and low > 0
        ambiguous = bool(inner.first & follow) and operation != "POSSESSIVE_REPEAT" and low != high
        nullable_body, inner.nullable = inner.nullable, inner.nullable or low == 0
        if unbounded:
            if inner.uncertain or inner.degree or nullable_body:
                inner.degree = EXPONENTIAL
            inner.linear = True
            inner.degree = min(EXPONENTIAL, inner.degree + (1 if ambiguous else 0))
        elif low != high:
            inner.degree *= max(1, min(int(high), 4))
        inner.uncertain = inner.uncertain or ambiguous
        return inner


def _starts_anchored(items: list[Any], costs: list[_Cost]) -> bool:
    """Whether the sequence begins with `^` (assertions and other anchors may precede it)."""
    for (operation, _), cost in zip(items, reversed(costs), strict=True):
        if cost.leading_anchor:
            return True
        if str(operation) not in {"AT", "ASSERT", "ASSERT_NOT"}:
            return False
    return False
