"""Writes the manual pages of section 1 from the commands: `python packaging/man/generate.py FOLDER`.

The pages of sections 5 and 7 are written by hand and lie beside this program. Format: man(7).
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

import guardhooks
from guardhooks.cli.group import cli

_ALSO = "guardhooks.conf(5), guardhooks-jail.conf(5), guardhooks-filter(5), guardhooks-plugins(7)"
_CODE = re.compile(r"`([^`]+)`")
_REFERENCE = re.compile(r"([\w.-]+)\((\d)\)")


def pages() -> Iterator[tuple[str, str]]:
    """Name and text of each page: `guardhooks`, `guardhooks-ban`, …"""
    yield from _pages(cli, click.Context(cli, info_name="guardhooks"))


def _pages(command: click.Command, ctx: click.Context) -> Iterator[tuple[str, str]]:
    name = ctx.command_path.replace(" ", "-")
    yield name, "\n".join(_page(command, ctx, name)) + "\n"
    for each in _children(command, ctx):
        yield from _pages(each, click.Context(each, info_name=each.name, parent=ctx))


def _children(command: click.Command, ctx: click.Context) -> list[click.Command]:
    if not isinstance(command, click.Group):
        return []
    found = (command.get_command(ctx, each) for each in command.list_commands(ctx))
    return [each for each in found if each is not None and not each.hidden]


def _page(command: click.Command, ctx: click.Context, name: str) -> Iterator[str]:
    help_ = (command.help or "").strip()
    summary = help_.partition("\n\n")[0].partition(". ")[0].replace("\n", " ").rstrip(".")
    yield f'.TH "{_text(name.upper())}" 1 "{_date()}" "guardhooks {guardhooks.__version__}" "guardhooks"'
    yield from (".SH NAME", f"{_text(name)} \\- {_text(summary[:1].lower() + summary[1:])}")
    yield from (".SH SYNOPSIS", f".B {_text(ctx.command_path)}", _text(" ".join(command.collect_usage_pieces(ctx))))
    yield from (".SH DESCRIPTION", *_paragraphs(help_))
    children = _children(command, ctx)
    if children:
        yield ".SH COMMANDS"
        for each in children:
            yield from (".TP", f".BR {_text(f'{name}-{each.name}')} (1)", _text(each.get_short_help_str(200)))
    yield ".SH OPTIONS"
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None and record[1]:
            yield from (".TP", f".B {_text(record[0])}", _text(record[1]))
    if isinstance(command.epilog, str):
        yield from (".SH EXIT STATUS", *_paragraphs(command.epilog.partition("\n\n")[2]))
    yield ".SH SEE ALSO"
    also = _ALSO if ctx.parent is None else f"guardhooks(1), {_ALSO}"
    yield _REFERENCE.sub(lambda found: f"\\fB{_text(found[1])}\\fR({found[2]})", also)


def _date() -> str:
    """Today, or the day of reproducible builds: SOURCE_DATE_EPOCH, in seconds."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _paragraphs(text: str) -> Iterator[str]:
    r"""Help text as click reads it: blank lines part paragraphs, one that begins with \b keeps its lines."""
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".PP"
        lines = paragraph.strip("\n").splitlines()
        if lines and lines[0].strip() == "\b":
            yield from (".nf", *map(_text, lines[1:]), ".fi")
        else:
            yield from (_text(line.strip()) for line in lines)


def _text(text: str) -> str:
    """Text that troff prints as it is; what stands between backticks is bold."""
    shown = text.replace("\\", "\\e").replace("-", "\\-")
    shown = _CODE.sub(r"\\fB\1\\fR", shown)
    return f"\\&{shown}" if shown.startswith((".", "'")) else shown


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for page, content in pages():
        (folder / f"{page}.1").write_text(content, encoding="utf-8")
