"""What the failregexes of all jails of one source need of a line: worked out once, kept by the cache."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from guardhooks_core.matchers.filterd.decoding import Decoder
from guardhooks_core.matchers.filterd.jail_matcher import Watch
from guardhooks_core.matchers.filterd.prefilter import Sought, sought
from guardhooks_core.matchers.filterd.regex import literals
from guardhooks_core.matchers.filterd.regex.literals import AllOf, Factor
from guardhooks_core.matchers.filterd.rules import Rule

Target: TypeAlias = tuple[int, int]
"""The number of a jail and the place of one of its failregexes."""

_ENDS_WITH_DIRECTIVE: Final = re.compile(
    r"(?:%(?:Ex)?[a-zA-Z]|\{DATE\}|L?EPOCH|TAI64N)\)*(?:\(\?:[^()]*%(?:Ex)?[a-zA-Z]\)\?)*\)*", re.IGNORECASE
)


def keeps_words(patterns: Sequence[str]) -> bool:
    """Whether a date that one of `patterns` finds can never stand between two characters of a word.

    Dates begin or end at a word boundary, unless the pattern switches that off or ends with something else.
    """
    return all(_keeps_words(pattern.strip()) for pattern in patterns)


def _keeps_words(pattern: str) -> bool:
    if "%" not in pattern and pattern.upper() in {"{NONE}", "{DEFAULT}", "{^LN-BEG}"}:
        return True
    if "()" in pattern.replace(r"\(", ""):
        return True  # the first plain group is empty: nothing is cut out
    if "**" in pattern or "{UNB}" in pattern.upper():
        return False
    cuts_all = not re.search(r"\((?!\?)", pattern.replace(r"\(", ""))
    if cuts_all and pattern.upper().startswith(("^", "{^LN-BEG}")):
        return True
    tail = max((match.end() for match in _ENDS_WITH_DIRECTIVE.finditer(pattern)), default=0)
    return tail == len(pattern)


@dataclass(slots=True)
class Layout:
    """What to look for, and who wants to know.

    `targets` stand beside `sought`. `always` holds the jails that look at every line, with the places of the
    failregexes that need it (None: all). `costly` says why, by jail.
    """

    sought: list[Sought] = field(default_factory=list)
    targets: list[list[Target]] = field(default_factory=list)
    always: dict[int, tuple[int, ...] | None] = field(default_factory=dict)
    costly: dict[str, list[str]] = field(default_factory=dict)


def plain_layout(watches: Sequence[tuple[Watch, Decoder]]) -> Layout:
    """Everybody looks at every line: the check of the prefilter."""
    return Layout(always=dict.fromkeys(range(len(watches))))


def lay_out(watches: Sequence[tuple[Watch, Decoder]]) -> Layout:
    """Work out what each failregex needs."""
    layout = Layout()
    wanted: dict[Factor, list[Target]] = {}
    for number, (watch, decoder) in enumerate(watches):
        if watch.rules.buffer is not None or not decoder.ascii_bytes:
            layout.always[number] = None
            why = "maxlines above 1" if watch.rules.buffer else f"the encoding {decoder.name}"
            layout.costly[watch.jail.name] = [f"{why} makes every line pay"]
            continue
        always = []
        for place, rule in enumerate(watch.rules.failregexes):
            factor = needed(watch, rule, decoder.name)
            if factor is None:
                always.append(place)
                layout.costly.setdefault(watch.jail.name, []).append(f"{rule.label} makes every line pay")
            else:
                wanted.setdefault(factor, []).append((number, place))
        if always:
            layout.always[number] = tuple(always)
    layout.sought = [sought(factor) for factor in wanted]
    layout.targets = list(wanted.values())
    return layout


def needed(watch: Watch, rule: Rule, encoding: str, *, behind_prefix: bool = True) -> Factor | None:
    """What a line must hold so that `rule` can match it; None if nothing is certain."""
    found = literals.required(rule.regex.expression, encoding)
    prefix = watch.rules.prefix
    if prefix is not None and behind_prefix:
        around = literals.around_group(prefix.regex.expression, "content", encoding)
        if around:
            found = [*around[0], *found, *around[1]]
        else:
            found = max(found, literals.required(prefix.regex.expression, encoding), key=_weight)
    kept = literals.heaviest(found)
    patterns = watch.jail.filter.datepattern if watch.jail.filter else ()
    if not keeps_words(patterns):
        return literals.one_may_miss(kept)
    return AllOf(kept) if kept else None


def _weight(found: Sequence[Factor]) -> int:
    return sum(factor.weight for factor in found)
