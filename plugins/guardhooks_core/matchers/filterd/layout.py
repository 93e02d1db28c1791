"""Which literals the failregexes of all jails of one source require in a line: computed once, stored by the cache."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from guardhooks_core.matchers.filterd.decoding import Decoder
from guardhooks_core.matchers.filterd.jail_matcher import JailMatcher
from guardhooks_core.matchers.filterd.prefilter import SearchPattern, search_pattern
from guardhooks_core.matchers.filterd.regex import literals
from guardhooks_core.matchers.filterd.regex.literals import AllOf, RequiredLiteral
from guardhooks_core.matchers.filterd.rules import Rule

Target: TypeAlias = tuple[int, int]
"""The number of a jail and the index of one of its failregexes."""

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


@dataclass(slots=True)
class Layout:
    """What the prefilter searches for, and which failregexes each hit belongs to.

    `targets` has an item for each of `patterns`. `always` maps the jails that read every line to the indexes of the
    failregexes that need it (None: all). `unfiltered` gives the reasons, by jail name.
    """

    patterns: list[SearchPattern] = field(default_factory=list)
    targets: list[list[Target]] = field(default_factory=list)
    always: dict[int, tuple[int, ...] | None] = field(default_factory=dict)
    unfiltered: dict[str, list[str]] = field(default_factory=dict)


def plain_layout(jail_matchers: Sequence[tuple[JailMatcher, Decoder]]) -> Layout:
    """Every jail reads every line: the reference that the prefilter is tested against."""
    return Layout(always=dict.fromkeys(range(len(jail_matchers))))


def lay_out(jail_matchers: Sequence[tuple[JailMatcher, Decoder]]) -> Layout:
    """Find the literal that each failregex requires."""
    layout = Layout()
    targets: dict[RequiredLiteral, list[Target]] = {}
    for number, (jail_matcher, decoder) in enumerate(jail_matchers):
        reasons = layout.unfiltered.setdefault(jail_matcher.jail.name, [])
        if jail_matcher.rules.buffer is not None or not decoder.ascii_bytes:
            layout.always[number] = None
            why = "maxlines above 1" if jail_matcher.rules.buffer else f"the encoding {decoder.name}"
            reasons.append(f"{why}: every line is matched in full")
            continue
        always = []
        for index, rule in enumerate(jail_matcher.rules.failregexes):
            literal = required_literal(jail_matcher, rule, decoder.name)
            if literal is None:
                always.append(index)
                reasons.append(
                    f"{rule.label} requires no word that the prefilter could search for: it is tried on every line"
                )
            else:
                targets.setdefault(literal, []).append((number, index))
        if always:
            layout.always[number] = tuple(always)
    layout.unfiltered = {name: reasons for name, reasons in layout.unfiltered.items() if reasons}
    layout.patterns = [search_pattern(literal) for literal in targets]
    layout.targets = list(targets.values())
    return layout


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
