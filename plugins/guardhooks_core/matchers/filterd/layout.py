"""Which literals the failregexes of all jails of one source require in a line: computed once, stored by the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from guardhooks.filters import Decoder, JailMatcher, RequiredLiteral, required_literal
from guardhooks_core.matchers.filterd.prefilter import SearchPattern, search_pattern

Target: TypeAlias = tuple[int, int]
"""The number of a jail and the index of one of its failregexes."""


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
