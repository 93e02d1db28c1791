"""Which groups every match captures; sessions rely on it."""

import pytest

from guardhooks.filters.regex.parsing import always_captures


@pytest.mark.parametrize(
    ("regex", "expected"),
    [
        ("^(?P<nofail>x) y", True),
        ("^(?:a(?P<nofail>x)|b)", False),
        ("^(?:(?P<nofail>x)|(?P<other>y))", False),
        ("^(?:(?P<nofail>x)|(?P<gained>y))", True),
        ("^(?:(?P<nofail>x))?y", False),
        ("^(?:(?P<nofail>x)){1,2}y", True),
        ("^(?P<nofail>x?)y", False),
        ("^((?P<nofail>x))y", True),
        ("^(?=(?P<nofail>x))x", False),
        ("^(?!(?P<nofail>x))x", False),
        ("^x", False),
    ],
)
def test_groups_of_every_match(regex: str, expected: bool) -> None:
    assert always_captures(regex, ("nofail", "gained")) is expected


def test_a_group_may_be_empty_where_only_its_presence_counts() -> None:
    assert always_captures("^(?P<end>x?)y", ("end",), text=False)
    assert not always_captures("^(?:(?P<end>x))?y", ("end",), text=False)
