from __future__ import annotations

import re

import pytest

from guardhooks_core.matchers.filterd.regex.complexity import EXPONENTIAL, growth
from guardhooks_core.matchers.filterd.regex.timed import LINE_BUDGET, SHORT, BoundedRegex, Budget, OutOfBudgetError


@pytest.mark.parametrize(
    "expression",
    [
        r"(?:a+)+b", r"(?:\w+ ?)*x", r"(?:a|a)*b", r"(?:a|ab|b)*c", r"(?:[^\[]+ )*\[x",
        r"(?:: (?:\w+\([^)]*\) \w+|[^(]+))* x",
        r"(?:a?b?)*c", r"(a*)*b", r"(?:user=\w+|\w+=\w+, )*x",
    ],
)  # fmt: skip
def test_regexes_that_can_explode_are_known(expression: str) -> None:
    assert growth(expression).degree == EXPONENTIAL


@pytest.mark.parametrize(
    "expression", [r"^a\d+b", r".*x", r"(?:\d+,)*x", r"(?:(?! from ).)*x", r"[a-z]+@[a-z]+", "(?i)abc$"]
)
def test_tame_regexes_are_known(expression: str) -> None:
    assert growth(expression).degree < EXPONENTIAL


@pytest.mark.parametrize("text", ["", "x bob y", "x " + "a " * 1000 + "bob y", "bob " * 300])
def test_both_engines_find_the_same(text: str) -> None:
    expression = r"(?P<before>\S+)? ?(?P<name>b\w+)(?(before) y|)"
    expected = re.search(expression, text)
    found = BoundedRegex(expression).search(text, Budget())
    assert (found and found.groupdict()) == (expected and expected.groupdict())


@pytest.mark.parametrize(
    ("expression", "text"),
    [(r"^(?:[^\[]+ )*(?:x|y)\d", "a " * 30_000), (r"\S+@\S+@\S+x", "a@" * 30_000), (r".*,.*,.*,.*;", "," * 60_000)],
)
def test_a_search_ends_with_its_budget(expression: str, text: str) -> None:
    budget = Budget()
    with pytest.raises(OutOfBudgetError):
        BoundedRegex(expression).search(text, budget)
    assert 0 < budget.left < LINE_BUDGET


def test_syntax_that_the_other_engine_reads_differently_never_goes_there() -> None:
    fuzzy = BoundedRegex("ab{e}")
    assert fuzzy.search("ab{e}", Budget()) is not None
    with pytest.raises(OutOfBudgetError):
        fuzzy.search("x" * (SHORT + 1), Budget())
    assert BoundedRegex(r"\[[a-z]").search("x" * SHORT + "[a", Budget()) is not None
