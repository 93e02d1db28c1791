"""How state looks to people."""

from __future__ import annotations

import io
import sys

import pytest

from guardhooks.cli import output
from guardhooks.text import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (0.4, "0s"), (-3, "0s"), (45, "45s"), (59.7, "1m"), (600, "10m"), (3600, "1h"), (3900, "1h 5m"),
        (3601, "1h"), (86400, "1d"), (90061, "1d 1h"), (3 * 86400 + 4 * 3600, "3d 4h"), (None, "forever"),
    ],
)  # fmt: skip
def test_durations_name_their_two_largest_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_columns_are_aligned() -> None:
    assert output.columns(["Name", "Bans"], [["sshd", "5"], ["a-long-name", "12345"]], right=(1,)) == [
        "Name          Bans",
        "sshd             5",
        "a-long-name  12345",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "wanted"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"NO_COLOR": "0"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    stream: io.StringIO, environment: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", stream)

    assert output.colour_wanted() is wanted
    assert ("\x1b[" in output.paint("text", "bad")) is wanted
