"""Renders docs/configuration.md: every declared option as a row of a Markdown table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from guardhooks.settings.declared import DeclaredOptions
from guardhooks.settings.option import Option, OptionTable, Place

_INTRODUCTION: Final = """# Configuration: every option

This page is generated from the options that guardhooks and its plugins declare (`python docs/generate.py`). What an
action does is told in [actions.md](actions.md), how filters work in [filters.md](filters.md).

Files are read in the order `NAME.conf`, `NAME.d/*.conf`, `NAME.local`, `NAME.d/*.local`; later values win, key by key.
Times are seconds, or `90s`, `10m`, `2h`, `1d`, `1w`, `1mo`, `1y` and sums of them. `true`, `yes`, `on`, `1` and
`false`, `no`, `off`, `0` mean the same. A key that nobody reads is reported with its file, its line and the nearest
known name, by `guardhooks run`, a reload and `guardhooks status`.
"""

_PLACES: Final[dict[Place, str]] = {
    "guardhooks": "The daemon",
    "log": "",
    "plugins": "",
    "fail2ban": "",
    "jail": "Jails: a section of its own, or `[DEFAULT]` for all, in `jail.local`",
    "ignorecache": "",
    "backend": "",
    "filter": "Filters: in the brackets of `filter = NAME[option=value, …]`",
    "action": "Actions: in the brackets of `action = NAME[option=value, …]`",
}
"""Headings by place, in the order of the page; places without a heading belong to the one before."""


def render_page(plugin_tables: Iterable[OptionTable]) -> str:
    """The page, for the host's options and these."""
    tables = _merge(DeclaredOptions(plugin_tables).tables)
    parts = [_INTRODUCTION]
    for place, heading in _PLACES.items():
        parts += [f"## {heading}\n"] if heading else []
        parts += [_render_table(table) for table in tables if table.place == place]
    return "\n".join(parts)


def _merge(tables: Iterable[OptionTable]) -> list[OptionTable]:
    """Tables of one title and the same options as one, for all their names."""
    merged: dict[tuple[str, frozenset[str]], OptionTable] = {}
    for table in tables:
        same = merged.get((table.title, table.option_names))
        names = (*same.names, *table.names) if same else table.names
        merged[table.title, table.option_names] = replace(table, names=names)
    return list(merged.values())


def _render_table(table: OptionTable) -> str:
    head = "| option | default | allowed | |\n|---|---|---|---|"
    names = f"For {', '.join(f'`{name}`' for name in table.names)}.\n" if len(table.names) > 1 else ""
    return "\n".join([f"### {table.title}\n", *filter(None, [names]), head, *map(_row, table), ""])


def _row(option: Option[Any]) -> str:
    allowed = f"{option.type.description} ({option.unit})" if option.unit else option.type.description
    remark = "" if option.reload else "; a change needs a restart"
    cells = (f"`{option.name}`", _default(option), allowed, f"{option.help}{remark}")
    escaped = (cell.replace("|", r"\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _default(option: Option[Any]) -> str:
    if option.default_text:
        return option.default_text
    text = option.render(option.default)
    return f"`{text}`" if text else ""
