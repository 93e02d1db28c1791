"""Every filter that we ship against its corpus: what must be found, as whom, and what must not."""

from __future__ import annotations

import itertools

import pytest

from tests.config.corpora import HERE, Case, cases, failures, in_new_process, matcher, shipped

PROCESSES = itertools.count(100_000)
FILES = sorted((HERE / "corpus").glob("*.txt"))


@pytest.mark.parametrize("case", [pytest.param(case, id=case.place) for path in FILES for case in cases(path)])
def test_a_line_is_taken_for_what_it_is(case: Case) -> None:
    name = case.place.split(":")[0]
    judge = matcher(name, case.options)
    lines = in_new_process(name, case.lines, next(PROCESSES))
    failures(judge, lines[:-1])
    found = failures(judge, lines[-1:])
    assert [failure.id for failure in found] == ([case.address] if case.address else [])
    for failure in found:
        assert {key: failure.fields.get(key) or "" for key in case.fields} == case.fields


@pytest.mark.parametrize("name", shipped())
def test_a_corpus_holds_bad_lines_and_good_ones(name: str) -> None:
    assert {bool(case.address) for case in cases(HERE / "corpus" / f"{name}.txt")} == {True, False}


def test_every_corpus_is_of_a_filter() -> None:
    assert {path.stem for path in FILES} == set(shipped())
