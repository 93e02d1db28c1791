"""Two jails that find the same in the same log and close the same ports: one of them is too many."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from guardhooks.check.site import Site
from guardhooks.model import ConfigFinding, Jail


def jails_that_do_the_same(site: Site) -> Iterator[ConfigFinding]:
    """Each pair of which one finds nothing that the other does not find, with the same limits or weaker ones."""
    by_log: dict[str, list[Jail]] = {}
    for jail in site.jails.values():
        for source in jail.sources:
            by_log.setdefault(f"{source.kind}:{source.text}", []).append(jail)
    for log, jails in by_log.items():
        for one, other in combinations(jails, 2):
            if _same(one, other):
                yield ConfigFinding(
                    f"{one.name} and {other.name} find the same in {log.partition(':')[2]} and close the same ports",
                    why="each failure counts twice, each ban is made and mailed twice, and an unban needs both",
                    remedy="disable one of them",
                    key="enabled",
                    jails=(other.name, one.name),
                )


def _same(one: Jail, other: Jail) -> bool:
    if one.filter is None or other.filter is None or not one.filter.failregex or not other.filter.failregex:
        return False
    first, second = set(one.filter.failregex), set(other.filter.failregex)
    same_prefix = one.filter.prefregex == other.filter.prefregex
    return same_prefix and (first <= second or second <= first) and _closes(one) == _closes(other) != set()


def _closes(jail: Jail) -> set[tuple[str, str, str]]:
    return {(action.name, action.get("port"), action.get("protocol")) for action in jail.actions}
