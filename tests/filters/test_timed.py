from __future__ import annotations

import re

import pytest

from guardhooks.filters.regex.complexity import EXPONENTIAL, complexity
from guardhooks.filters.regex.timed import LINE_BUDGET, SHORT, Budget, OutOfBudgetError, TimedRegex


@pytest.mark.parametrize(
    "expression",
    [
        r"(?:a+)+b", r"(?:\w+ ?)*x", r"(?:a|a)*b", r"(?:a|ab|b)*c", r"(?:[^\[]+ )*\[x",
        r"(?:: (?:\w+\([^)]*\) \w+|[^(]+))* x",
        r"(?:a?b?)*c", r"(a*)*b", r"(?:user=\w+|\w+=\w+, )*x",
    ],
)  # fmt: skip
def test_exponential_regexes_are_recognised(expression: str) -> None:
    assert complexity(expression) == EXPONENTIAL


@pytest.mark.parametrize(
    "expression", [r"^a\d+b", r".*x", r"(?:\d+,)*x", r"(?:(?! from ).)*x", r"[a-z]+@[a-z]+", "(?i)abc$"]
)
def test_polynomial_regexes_are_recognised(expression: str) -> None:
    assert complexity(expression) < EXPONENTIAL


@pytest.mark.parametrize("text", ["", "x bob y", "x " + "a " * 1000 + "bob y", "bob " * 300])
def test_both_engines_find_the_same(text: str) -> None:
    expression = r"(?P<before>\S+)? ?(?P<name>b\w+)(?(before) y|)"
    expected = re.search(expression, text)
    found = TimedRegex(expression).search(text, Budget())
    assert (found and found.groupdict()) == (expected and expected.groupdict())


@pytest.mark.parametrize(
    ("expression", "text"),
    [(r"^(?:[^\[]+ )*(?:x|y)\d", "a " * 30_000), (r"\S+@\S+@\S+x", "a@" * 30_000), (r".*,.*,.*,.*;", "," * 60_000)],
)
def test_a_search_ends_with_its_budget(expression: str, text: str) -> None:
    budget = Budget()
    with pytest.raises(OutOfBudgetError):
        TimedRegex(expression).search(text, budget)
    assert 0 < budget.left < LINE_BUDGET


def test_syntax_that_the_regex_module_reads_differently_is_never_sent_to_it() -> None:
    fuzzy = TimedRegex("ab{e}")
    assert fuzzy.search("ab{e}", Budget()) is not None
    with pytest.raises(OutOfBudgetError):
        fuzzy.search("x" * (SHORT + 1), Budget())
    assert TimedRegex(r"\[[a-z]").search("x" * SHORT + "[a", Budget()) is not None
