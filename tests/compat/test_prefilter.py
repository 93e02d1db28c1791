"""On every sample log, the prefilter leads to the same failures as matching every line in full."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardhooks import Chunk, Failure, FilterSpec, Jail
from guardhooks.filters import keeps_words
from guardhooks_core.matchers.filterd import prefilter
from guardhooks_core.matchers.filterd.matcher import FilterMatcher
from tests.compat.samples import CENTURY, NOW, cases
from tests.compat.test_samples import NAMES, SAMPLES, load_stock, tree, zone

__all__ = ["tree", "zone"]


def told(failures: Iterator[Failure]) -> list[tuple[object, ...]]:
    return [(one.id, one.resolve, one.time, one.matches, one.failregex, dict(one.fields)) for one in failures]


@pytest.mark.parametrize("literal", [False, True], ids=["best", "literal"])
@pytest.mark.parametrize("name", NAMES)
def test_prefilter_loses_no_failure(name: str, literal: bool, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if literal:
        monkeypatch.setattr(prefilter, "build", lambda patterns, compiled=None: prefilter.LiteralPrefilter(patterns))
    blocks: dict[str, list[str]] = {}
    for case in cases(SAMPLES, name):
        own = {key: value for key, value in case.options.items() if not key.startswith("test.")}
        blocks.setdefault(json.dumps(own, sort_keys=True), []).append(case.text)
    for options, lines in blocks.items():
        spec: FilterSpec = load_stock(tree, name, json.loads(options))
        chunk = Chunk("".join(f"{line}\n" for line in lines).encode(), "sample", NOW)
        fast, plain = (
            told(iter(FilterMatcher([Jail("jail", spec, findtime=CENTURY)], prefilter=use).feed(chunk)))
            for use in (True, False)
        )
        assert fast == plain


def test_of_the_stock_filters_only_one_has_a_regex_without_words(tree: Path) -> None:
    unfiltered: set[str] = set()
    for name in NAMES:
        matcher = FilterMatcher([Jail(name, load_stock(tree, name, {}))])
        unfiltered.update(f"{name}: {why}" for whys in matcher.unfiltered.values() for why in whys)
    (reason,) = [reason for reason in unfiltered if "maxlines" not in reason]
    assert reason.startswith("3proxy: failregex 1 requires no word")
    assert keeps_words(())
