"""What a line must contain so that a failregex can match it, prefregex and date taken into account."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from guardhooks.filters.jail_matcher import JailMatcher
from guardhooks.filters.regex import literals
from guardhooks.filters.regex.literals import AllOf, RequiredLiteral
from guardhooks.filters.rules import Rule

_ENDS_WITH_DIRECTIVE: Final = re.compile(
    r"(?:%(?:Ex)?[a-zA-Z]|\{DATE\}|L?EPOCH|TAI64N)\)*(?:\(\?:[^()]*%(?:Ex)?[a-zA-Z]\)\?)*\)*", re.IGNORECASE
)


def keeps_words(patterns: Sequence[str]) -> bool:
    """Whether a date found by one of `patterns` never splits a word.

    Dates begin or end at a word boundary, unless the pattern switches that off or ends with something else.
    """
    return all(_keeps_words(pattern.strip()) for pattern in patterns)


def _keeps_words(pattern: str) -> bool:
    if "%" not in pattern and pattern.upper() in {"{NONE}", "{DEFAULT}", "{^LN-BEG}"}:
        return True
    if "()" in pattern.replace(r"\(", ""):
        return True  # The first plain group is empty: nothing is cut out.
    if "**" in pattern or "{UNB}" in pattern.upper():
        return False
    cuts_all = not re.search(r"\((?!\?)", pattern.replace(r"\(", ""))
    if cuts_all and pattern.upper().startswith(("^", "{^LN-BEG}")):
        return True
    tail = max((match.end() for match in _ENDS_WITH_DIRECTIVE.finditer(pattern)), default=0)
    return tail == len(pattern)


def required_literal(
    jail_matcher: JailMatcher, rule: Rule, encoding: str, *, behind_prefix: bool = True
) -> RequiredLiteral | None:
    """What a line must contain so that `rule` can match it; None if nothing is certain."""
    found = literals.required_literals(rule.regex.expression, encoding)
    prefix = jail_matcher.rules.prefix
    if prefix is not None and behind_prefix:
        around = literals.around_group(prefix.regex.expression, "content", encoding)
        if around:
            found = [*around[0], *found, *around[1]]
        else:
            found = max(found, literals.required_literals(prefix.regex.expression, encoding), key=_weight)
    chosen = literals.heaviest(found)
    patterns = jail_matcher.jail.filter.datepattern if jail_matcher.jail.filter else ()
    if not keeps_words(patterns):
        return literals.one_may_miss(chosen)
    return AllOf(chosen) if chosen else None


def _weight(found: Sequence[RequiredLiteral]) -> int:
    return sum(literal.weight for literal in found)
