"""Every sample line of every program through every stock filter: the prefilter rules out nothing wrongly."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pytest

from guardhooks import Chunk, Jail, LineTrace, MissedLines
from guardhooks_core.matchers.filterd.matcher import FilterMatcher
from tests.compat.samples import CENTURY, NOW
from tests.compat.test_samples import FILTERS, SAMPLES, load_stock, tree, zone

__all__ = ["tree", "zone"]

SHARED = Path(__file__).parent.parent.parent.parent / "shared" / "samples"
NAMES = sorted(file.stem for file in FILTERS.glob("*.conf") if "common" not in file.stem)


def upstream_lines() -> Iterator[str]:
    for file in sorted(SAMPLES.rglob("*")):
        if file.is_file():
            yield from file.read_text("utf-8", "replace").split("\n")


def shared_lines() -> Iterator[str]:
    """Lines of many programs that fail2ban has no filter for, and of real logs, where the library is at hand."""
    for file in sorted(SHARED.glob("hub/*.jsonl")):
        for text in file.read_text("utf-8").splitlines():
            line = json.loads(text)["line"].replace("\n", " ")
            yield line
            yield f"Nov 22 16:05:00 host {file.stem}[123]: {line}"
    for file in sorted(SHARED.glob("real/*.log")):
        yield from file.read_text("utf-8", "replace").split("\n")[::20]


@pytest.fixture(scope="module")
def library() -> Chunk:
    lines = [line for line in [*upstream_lines(), *shared_lines()] if line.strip() and not line.startswith("#")]
    assert len(lines) > 1000
    return Chunk("".join(f"{line}\n" for line in lines).encode(), "library", NOW)


@pytest.mark.parametrize("name", NAMES)
def test_the_prefilter_asks_every_regex_that_matches(name: str, library: Chunk, tree: Path) -> None:
    jail = Jail(name, load_stock(tree, name, {}), findtime=CENTURY)
    assert jail.filter is not None
    if not jail.filter.failregex:
        pytest.skip("a filter without a regex")
    traces = list(FilterMatcher([jail]).trace(library))

    asked: dict[int, set[int] | None] = {}
    for start, _, calls in FilterMatcher([jail]).plan.lines(library.data):
        for _, _, candidates in calls:
            asked[start] = None if candidates is None else {rule.index for rule in candidates.rules}
    start = 0
    for trace, raw in zip(traces, library.data.splitlines(keepends=True), strict=True):
        matched = {failure.failregex for failure in trace.failures}
        looked_at = asked.get(start, set())
        assert looked_at is None or matched <= looked_at, trace.text
        start += len(raw)
    agree(FilterMatcher([jail]).survey(library), traces)


def agree(survey: Iterable[LineTrace | MissedLines], traces: Iterable[LineTrace]) -> None:
    """Both say the same; the lines that the survey sums up matched nothing and had their dates found alike."""
    left = iter(traces)
    for outcome in survey:
        if isinstance(outcome, LineTrace):
            assert outcome == next(left)
            continue
        for trace in islice(left, outcome.count):
            assert not trace.failures, trace.text
            assert trace.ignoreregex < 0, trace.text
            assert (trace.datepattern if trace.date else "") == outcome.datepattern, trace.text
    assert next(left, None) is None
