"""Fits lines and tables to the terminal: on one that is narrower, they are wrapped at blanks and indented.

Only terminals are fitted to. In a pipe or a file, and with `--wide`, a line stays a line, for `grep` and its like.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TextIO, TypeVar

import click

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])

_NARROWEST: Final = 40
"""Columns below which nothing can be laid out any more."""
_NARROWEST_CELL: Final = 10
_GAP: Final = 2
"""Blanks between two columns of a table."""
_WORD: Final = re.compile(r"(?:\x1b\[[0-9;]*m[^\x1b]*\x1b\[0m|[^\s\x1b])+")
"""A word; what is coloured is part of one as a whole, even with blanks in it."""

_wide = [False]
"""Whether `--wide` was given."""


def _set_wide(_ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    _wide[0] = value


def wide_option(function: _Decorated) -> _Decorated:
    """`--wide`: long lines are not wrapped."""
    option = click.option(
        "--wide",
        is_flag=True,
        expose_value=False,
        callback=_set_wide,
        help="Do not fit lines and tables to the terminal.",
    )
    return option(function)


def terminal_width(stream: TextIO | None = None) -> int | None:
    """Columns to fit to; None where nothing is fitted. The stream is standard output if left out."""
    stream = sys.stdout if stream is None else stream
    if _wide[0] or not stream.isatty():
        return None
    return max(_NARROWEST, shutil.get_terminal_size().columns)


def say(*texts: str) -> None:
    """Print texts of one or more lines on standard output, fitted to the terminal."""
    width = terminal_width()
    lines = texts if width is None else [line for text in texts for line in wrapped(text, width)]
    if lines:
        click.echo("\n".join(lines))


def wrapped(text: str, width: int) -> Iterator[str]:
    """The lines of a text, none longer than `width` unless a single word is; what follows is indented by two more."""
    for line in text.split("\n"):
        if _length(line) <= width:
            yield line
            continue
        indent = " " * (len(line) - len(line.lstrip()))
        first, *rest = _broken(line.strip(), width - len(indent) - 2, first=width - len(indent))
        yield indent + first
        yield from (f"{indent}  {part}" for part in rest)


def hanging(text: str, indent: int) -> str:
    """A value behind a name of `indent` columns, wrapped below itself where the terminal is too narrow."""
    width = terminal_width()
    if width is None or indent + _length(text) <= width:
        return text
    return f"\n{' ' * indent}".join(_broken(text, max(_NARROWEST_CELL, width - indent)))


def table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """The rows of a table, aligned, each as one text; cells of too wide a table are wrapped to several lines.

    :param right: columns that are flush right; they are never wrapped.
    """
    widths = [max(_length(row[index]) for row in rows) for index in range(len(rows[0]))]
    fitted = _fitted(widths, terminal_width(), fixed=right)
    if fitted == widths:
        return [_line(row, widths, right) for row in rows]
    return ["\n".join(_lines(row, fitted, right)) for row in rows]


def _fitted(widths: Sequence[int], width: int | None, *, fixed: Sequence[int]) -> list[int]:
    """The widths with the widest columns narrowed until all fit, as far as that goes."""
    fitted = list(widths)
    surplus = 0 if width is None else sum(widths) + _GAP * (len(widths) - 1) - width
    flexible = [index for index in range(len(widths)) if index not in fixed]
    for _ in range(surplus):
        widest = max(flexible, key=lambda index: fitted[index], default=None)
        if widest is None or fitted[widest] <= _NARROWEST_CELL:
            break
        fitted[widest] -= 1
    return fitted


def _lines(row: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> Iterator[str]:
    cells = [
        list(_broken(cell, width, split=True)) if _length(cell) > width else [cell]
        for cell, width in zip(row, widths, strict=True)
    ]
    for number in range(max(map(len, cells))):
        yield _line([cell[number] if number < len(cell) else "" for cell in cells], widths, right)


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    cells = (_padded(cell, widths[index], right=index in right) for index, cell in enumerate(row))
    return (" " * _GAP).join(cells).rstrip()


def _padded(text: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - _length(text))
    return blanks + text if right else text + blanks


def _broken(text: str, width: int, *, first: int | None = None, split: bool = False) -> Iterator[str]:
    """Lines of at most `width` columns, broken at blanks; with `split` too long a word is broken, too, if need be."""
    line, room = "", width if first is None else first
    for word in _WORD.findall(text):
        if line and _length(line) + 1 + _length(word) <= room:
            line += f" {word}"
            continue
        if line:
            yield line
            room = width
        line = word
        while split and _length(line) > width:
            head, line = _split(click.unstyle(line), width)
            yield head
    yield line


def _split(word: str, width: int) -> tuple[str, str]:
    """The beginning of a word and its rest: behind a slash or a comma in its second half, else where it is full."""
    cut = max(word.rfind(sign, width // 2, width) for sign in "/,") + 1 or width
    return word[:cut], word[cut:]


def _length(text: str) -> int:
    return len(click.unstyle(text)) if "\x1b" in text else len(text)
