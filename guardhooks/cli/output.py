"""How state looks on a terminal: colours, durations, times, columns."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Final

import click

from guardhooks.cli.layout import hanging, table

_COLOURS: Final = {"good": "green", "warn": "yellow", "bad": "red", "dim": "bright_black"}


def colour_wanted() -> bool:
    """Only on a terminal, and never with NO_COLOR (no-color.org: set and not empty) or a terminal without any."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, role: str) -> str:
    """`text` in the colour of a role: good, warn, bad, dim, or strong."""
    if not text or not colour_wanted():
        return text
    return click.style(text, bold=True) if role == "strong" else click.style(text, fg=_COLOURS[role])


def print_json(data: object) -> None:
    """Indented JSON in ASCII, so that nothing in it can drive a terminal."""
    click.echo(json.dumps(data, indent=2))


def moment(epoch: float | None) -> str:
    """Local date and time to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch)) if epoch is not None else "never"


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """The head and the rows of a table, aligned and fitted to the terminal; the columns in `right` are flush right."""
    first, *rest = table([head, *rows], right=right)
    return [paint(first, "strong"), *rest]


def fields(pairs: Sequence[tuple[str, str]], indent: str = "  ") -> list[str]:
    """Lines of `name  value` with the values in one column."""
    width = max(len(name) for name, _ in pairs)
    column = len(indent) + width + 2
    return [f"{indent}{paint(name.ljust(width), 'dim')}  {hanging(value, column)}" for name, value in pairs]
