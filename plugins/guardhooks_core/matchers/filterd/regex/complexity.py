r"""How the cost of matching a regex grows with the length of the text, told from its parse tree.

The answer is an upper estimate for a backtracking engine: `degree` n means at most about length**n steps. A repeat
whose end is certain (`\S+` before a blank) adds nothing but its own length; one that may give back characters
(`.*` before anything) multiplies. An uncertain choice inside an endless repeat is exponential.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from guardhooks_core.matchers.filterd.regex import charsets
from guardhooks_core.matchers.filterd.regex.parsing import parsed

EXPONENTIAL: Final = 99
_MANY: Final = 16
"""A repeat of at most so many rounds is a constant factor; any longer one counts as endless."""
_REPEATS: Final = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})


@dataclass(frozen=True, slots=True)
class Growth:
    """Degree of the polynomial, or EXPONENTIAL. `factor` estimates the constant before it."""

    degree: int
    factor: int = 1


def growth(expression: str, flags: int = 0) -> Growth:
    """The growth of searching `expression`, which must compile."""
    tree = parsed(expression, flags)
    found = _Walk(tree.state.flags).sequence(list(tree), charsets.EVERYTHING, nullable_after=True, looped=False)
    if found.degree >= EXPONENTIAL:
        return Growth(EXPONENTIAL)
    anchored = bool(found.leading_anchor)
    degree = found.degree + (1 if found.linear else 0) + (0 if anchored else 1)
    return Growth(degree, min(found.factor, 10_000))


@dataclass(slots=True)
class _Cost:
    """Cost of a part. `first` are the characters it can start with, `nullable` whether it can match nothing."""

    first: int
    nullable: bool
    degree: int = 0
    linear: bool = False
    uncertain: bool = False
    factor: int = 1
    leading_anchor: bool = False


class _Walk:
    def __init__(self, flags: int) -> None:
        self._flags = flags

    def sequence(self, items: list[Any], after: int, *, nullable_after: bool, looped: bool) -> _Cost:
        """The cost of items in a row, before something that can start with `after`."""
        total = _Cost(after, nullable=True)
        follow, open_end = after, nullable_after
        first_seen, reaches_start = 0, True
        costs: list[_Cost] = []
        for operation, argument in reversed(items):
            cost = self._item(str(operation), argument, follow, looped=looped)
            follow = cost.first | (follow if cost.nullable else 0)
            open_end = open_end and cost.nullable
            costs.append(cost)
        for cost in reversed(costs):
            first_seen |= cost.first if reaches_start else 0
            reaches_start = reaches_start and cost.nullable
            total.degree = min(EXPONENTIAL, total.degree + cost.degree)
            total.linear |= cost.linear
            total.uncertain |= cost.uncertain
            total.factor *= cost.factor
        total.first = first_seen
        total.nullable = reaches_start
        total.leading_anchor = bool(costs) and _first_solid(items, costs)
        return total

    def _item(self, operation: str, argument: charsets.Argument, follow: int, *, looped: bool) -> _Cost:
        mask = charsets.of_item(operation, argument, self._flags)
        if mask is not None:
            return _Cost(mask, nullable=False)
        if operation in _REPEATS:
            return self._repeat(operation, argument, follow, looped=looped)
        if operation == "SUBPATTERN":
            _, added, removed, body = argument
            return self._scoped(list(body), added, removed, follow, looped=looped)
        if operation == "ATOMIC_GROUP":
            return self._scoped(list(argument), 0, 0, follow, looped=looped)
        if operation == "BRANCH":
            return self._branch([list(branch) for branch in argument[1]], follow, looped=looped)
        if operation == "GROUPREF_EXISTS":
            _, yes, no = argument
            branches = [list(yes), list(no) if no else []]
            return self._branch(branches, follow, looped=looped, exclusive=True)
        if operation in {"ASSERT", "ASSERT_NOT"}:
            inner = self.sequence(list(argument[1]), charsets.EVERYTHING, nullable_after=True, looped=looped)
            inner.first, inner.nullable, inner.leading_anchor = 0, True, False
            return inner
        if operation == "GROUPREF":
            return _Cost(charsets.EVERYTHING, nullable=True, linear=True, uncertain=True)
        return _Cost(0, nullable=True, leading_anchor=operation == "AT" and "BEGINNING" in str(argument))

    def _scoped(self, body: list[Any], added: int, removed: int, follow: int, *, looped: bool) -> _Cost:
        outer = self._flags
        self._flags = (outer | added) & ~removed
        cost = self.sequence(body, follow, nullable_after=True, looped=looped)
        self._flags = outer
        return cost

    def _branch(self, branches: list[list[Any]], follow: int, *, looped: bool, exclusive: bool = False) -> _Cost:
        costs = [self.sequence(branch, follow, nullable_after=True, looped=looped) for branch in branches]
        total = _Cost(0, nullable=False, leading_anchor=all(cost.leading_anchor for cost in costs))
        for cost in costs:
            reach = cost.first | (follow if cost.nullable else 0)
            if total.first & reach and not exclusive:
                total.uncertain = True
                total.factor = min(total.factor + 1, _MANY)
            total.first |= reach
            total.degree = max(total.degree, cost.degree)
            total.linear |= cost.linear
            total.uncertain |= cost.uncertain
            total.nullable |= cost.nullable
        total.factor *= max(cost.factor for cost in costs)
        return total

    def _repeat(self, operation: str, argument: charsets.Argument, follow: int, *, looped: bool) -> _Cost:
        low, high, body = argument
        endless = int(high) > _MANY
        start = self.sequence(list(body), follow, nullable_after=True, looped=True).first
        inner = self.sequence(list(body), follow | start, nullable_after=True, looped=looped or endless)
        inner.leading_anchor = inner.leading_anchor and low > 0
        ambiguous = bool(inner.first & follow) and operation != "POSSESSIVE_REPEAT" and low != high
        nullable_body, inner.nullable = inner.nullable, inner.nullable or low == 0
        if endless:
            if inner.uncertain or inner.degree or nullable_body:
                inner.degree = EXPONENTIAL
            inner.linear = True
            inner.degree = min(EXPONENTIAL, inner.degree + (1 if ambiguous else 0))
        elif inner.uncertain or ambiguous or inner.degree:
            rounds = int(high) - (int(low) if int(high) == int(low) else 0)
            inner.degree *= max(1, min(rounds, 4))
            inner.factor *= max(1, min(int(high), _MANY))
        inner.uncertain = inner.uncertain or ambiguous
        return inner


def _first_solid(items: list[Any], costs: list[_Cost]) -> bool:
    """Whether the sequence begins with `^` (assertions and other anchors may stand before it)."""
    for (operation, _), cost in zip(items, reversed(costs), strict=True):
        if cost.leading_anchor:
            return True
        if str(operation) not in {"AT", "ASSERT", "ASSERT_NOT"}:
            return False
    return False
