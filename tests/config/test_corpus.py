"""Every filter that we ship against its corpus: what must be found, as whom, and what must not."""

from __future__ import annotations

import itertools

import pytest

from tests.config.corpora import CONFIG, HERE, Case, cases, failures, in_new_process, matcher

PROCESSES = itertools.count(100_000)
FILES = sorted((HERE / "corpus").glob("*.txt"))


@pytest.mark.parametrize("case", [pytest.param(case, id=case.place) for path in FILES for case in cases(path)])
def test_a_line_is_taken_for_what_it_is(case: Case) -> None:
    judge = matcher(case.place.split(":")[0], case.options)
    lines = in_new_process(case.lines, next(PROCESSES))
    failures(judge, lines[:-1])
    found = failures(judge, lines[-1:])
    assert [failure.id for failure in found] == ([case.address] if case.address else [])
    for failure in found:
        assert {key: failure.fields.get(key) or "" for key in case.fields} == case.fields


def test_every_filter_has_a_corpus() -> None:
    shipped = {path.stem for path in (CONFIG / "filter.d").glob("*.conf")} - {"common"}
    assert shipped == {path.stem for path in FILES}
