"""Every filter of the trees finds the same in lines made from its own regexes as under Debian's fail2ban."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from guardhooks import Chunk, FilterSpec, Jail
from guardhooks.settings import load_filter
from guardhooks_core.matchers.filterd.matcher import FilterMatcher
from tests.compat.upstream import MISSING
from tests.wild.lines import lines_of
from tests.wild.trees import files, laid_out

pytestmark = [
    pytest.mark.skipif(MISSING and "CI" not in os.environ, reason="Debian's fail2ban is not installed"),
    pytest.mark.timeout(240),
]

_PYTHON: Final = "/usr/bin/python3"
_CENTURY: Final = 3.2e9
_COMMONS: Final = frozenset({"role-common"})
"""Files that others include, and that are no filters themselves."""
FILTERS: Final = [f"{file.parts[-3]}/{file.stem}" for file in files("filter.d") if file.stem not in _COMMONS]


@dataclass(frozen=True)
class Trial:
    """A filter, the lines made from it, and what fail2ban finds in them."""

    spec: FilterSpec
    now: float
    """The time of all dates in the lines; what fail2ban finds without a date is later."""
    lines: list[str]
    theirs: list[str]


def trials(folder: Path) -> dict[str, Trial]:
    """A trial of each filter."""
    now = float(int(time.time()) - 60)
    orders, made = [], {}
    for name in FILTERS:
        tree, _, rule = name.partition("/")
        config = folder / tree / "etc"
        if not config.exists():
            config.parent.mkdir()
            laid_out(tree, config)
        spec = load_filter(config, rule)
        log = folder / tree / f"{rule}.txt"
        made[name] = spec, list(dict.fromkeys(lines_of(spec, now)))
        log.write_text("".join(f"{line}\n" for line in made[name][1]))
        orders.append([str(config), rule, str(log)])
    script = Path(__file__).with_name("fail2ban_matches.py")
    done = subprocess.run(
        [_PYTHON, script], input=json.dumps(orders), capture_output=True, text=True, check=True, timeout=200
    )
    printed = zip(made.items(), json.loads(done.stdout), strict=True)
    return {name: Trial(spec, now, lines, text.splitlines()) for (name, (spec, lines)), text in printed}


def test_every_filter_finds_the_same(tmp_path: Path) -> None:
    found = {name: _compared(trial) for name, trial in trials(tmp_path).items()}
    assert [name for name, (_, theirs) in found.items() if not theirs] == [], "nothing is found, so nothing is compared"
    assert {name: (ours, theirs) for name, (ours, theirs) in found.items() if ours != theirs} == {}
    print(f"{sum(len(theirs) for _, theirs in found.values())} hits of {len(found)} filters are the same")


def _compared(trial: Trial) -> tuple[list[str], list[str]]:
    """What we find, and what fail2ban finds."""
    data = "".join(f"{line}\n" for line in trial.lines).encode()
    jail = Jail("jail", trial.spec, findtime=_CENTURY, usedns="no", ipv6prefix=128)
    matcher = FilterMatcher([jail])
    assert not matcher.problems
    ours = [
        _found(failure.id, str(failure.fields.get("user") or ""), failure.time, text, trial.now)
        for traced in matcher.trace(Chunk(data, "made", time.time()), every=True)
        for failure in traced.failures
        if not failure.nofail
        for text in failure.matches
    ]
    theirs = []
    for line in trial.theirs:
        id, user, moment, text = line.split("\t", 3)
        theirs.append(_found(id, user, float(moment), text, trial.now))
    return ours, theirs


def _found(id: str, user: str, moment: float, text: str, now: float) -> str:
    when = "undated" if now + 30 < moment <= time.time() else f"{moment - now:+.0f} s"
    return f"{id} | {user} | {when} | {text}"
