"""What `guardhooks check` is told about a filter that lets a client's text choose whom it blames."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import guardhooks
from guardhooks import Chunk, ConfigFinding, Failure, Jail, safe_text
from guardhooks_core.matchers.filterd.attacks import ATTACKER, VICTIM, attacks, templates
from guardhooks_core.matchers.filterd.matcher import FilterMatcher

_PACKAGED: Final = Path(guardhooks.__file__).parent / "config"
_ANY_AGE: Final = 3.2e9
"""Seconds: the lines are of any year, and count."""
_LATER: Final = 3.2e8
"""Seconds from now at which the lines are read, so that none of them is dated in the future."""


def steered(jail: Jail) -> Iterator[ConfigFinding]:
    """At most one finding, with a line: what its server writes about one client bans another.

    A packaged filter is not tried, and one of a service that we know nothing of cannot be.
    """
    if jail.filter is None:
        return
    file, line = jail.filter.places.get("failregex", ("", 0))
    if Path(file).resolve().is_relative_to(_PACKAGED.resolve()):
        return
    failure = _first_misled(jail, templates(_PACKAGED / "attacks.json").get(jail.filter.name, []))
    if failure is not None:
        yield ConfigFinding(
            f"text of a client can choose whom filter {jail.filter.name} blames: this line is about {ATTACKER}, "
            f"and bans {failure.id}: {safe_text(failure.matches[-1], 300)}",
            why="anyone can have others banned, you and your customers included",
            remedy=_remedy(jail.filter.name),
            key="filter",
            file=file,
            line=line,
        )


def _first_misled(jail: Jail, lines: list[str]) -> Failure | None:
    matcher = FilterMatcher([replace(jail, findtime=_ANY_AGE, usedns="no", maxmatches=1)])
    for template in lines:
        data = b"".join(line + b"\n" for line in attacks(template))
        for failure in matcher.feed(Chunk(data, "check", time.time() + _LATER, live=False)):
            if failure.id == VICTIM and not failure.nofail:
                return failure
    return None


def _remedy(name: str) -> str:
    packaged = _PACKAGED / "filter.d" / f"{name}.conf"
    return f"put {packaged} in its place: it is tried with such lines" if packaged.exists() else "anchor its regexes"
