"""Our filters on a public collection of bad and good lines, where that lies beside the checkout."""

from __future__ import annotations

import json

import pytest

from guardhooks.settings.brackets import parse_brackets
from tests.config.corpora import SAMPLES, failures, matcher
from tests.config.hub import FILTERS, LEFT_OUT


@pytest.mark.skipif(not (SAMPLES / "hub").is_dir(), reason=f"no sample logs in {SAMPLES / 'hub'}")
@pytest.mark.parametrize("stem", sorted(FILTERS))
def test_each_line_of_the_hub_is_judged_as_it_says(stem: str) -> None:
    name, options = parse_brackets(FILTERS[stem])
    judge = matcher(name, options)
    wrong = []
    for text in (SAMPLES / "hub" / f"{stem}.jsonl").read_text(encoding="utf-8").splitlines():
        sample = json.loads(text)
        if any(file == stem and part in sample["line"] for file, part in LEFT_OUT):
            continue
        found = [failure.id for failure in failures(judge, [sample["line"].rstrip("\n")])]
        if found != ([sample["ip"]] if sample["kind"] == "bad" else []):
            wrong.append((sample["kind"], sample["ip"], found, sample["line"]))
    assert not wrong
