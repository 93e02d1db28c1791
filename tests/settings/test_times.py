"""Time expressions: the document's examples, and that nothing but arithmetic is understood."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardhooks import ConfigError
from guardhooks.settings import parse_duration
from guardhooks.settings.times import parse_number


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("600", 600), ("10m", 600), ("1h30m", 5400), ("1year-6mo", 15778800), ("1.5h", 5400), ("1d 12h 30", 129630),
        ("1h*2", 7200), ("-1", -1), ("1M", 60), ("90s 90", 180), ("1 h", 3600), ("1/2h", 1800), ("(1 + 2) * 1m", 180),
        ("2w", 1209600), ("1 month", 2629800), ("3 Days", 259200), ("1mi", 60), ("1y", 31557600), (" 5 ", 5),
        ("- -5", 5), ("2*-3", -6), (".5m", 30),
        ("1w # seven days", 604800), ("2628000 # one month", 2628000), ("10080m # (seven days)", 604800), ("1h#", 3600),
    ],
)  # fmt: skip
def test_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["5mins", "1x", "h", "", "# one week", "1w; seven days", "1h_", "2**9",
     "__import__('os')", "1e3", "(" * 100 + "1", "1/0",
     "1 +", "()", "1)", "0x10", "1,5h", "9" * 500, "9999y" + "*9999y" * 30],
)  # fmt: skip
def test_anything_else_is_refused_in_words(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a time"):
        parse_duration(text)


def test_factor_knows_no_units() -> None:
    assert parse_number("24 * 60") == 1440
    with pytest.raises(ConfigError, match="is not a number"):
        parse_number("1h")


@settings(deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="0123456789.+-*/() hmd", max_size=60))
def test_it_ends_with_a_number_or_a_config_error(text: str) -> None:
    with suppress(ConfigError):
        assert isinstance(parse_duration(text), float)
