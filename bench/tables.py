"""Figures as a Markdown table and as a picture (SVG, written by hand: nothing needs to be installed)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

_COLORS = ("#1b6ac9", "#c9431b", "#c98b1b", "#4a8f3c", "#7a4fb5", "#777777", "#2b9a9a")
_BAR, _GAP, _LEFT, _WIDTH = 13, 16, 310, 600


@dataclass(frozen=True, slots=True)
class Row:
    """One case: a figure for each contestant (None: not measured)."""

    case: str
    figures: Mapping[str, float | None]


@dataclass(slots=True)
class Table:
    """Cases with the same contestants and unit. `first` is whom the ratios are about; `more` says if more is better."""

    title: str
    unit: str
    first: str = "guardhooks"
    more: bool = True
    rows: list[Row] = field(default_factory=list)

    @property
    def contestants(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row.figures))

    def markdown(self) -> str:
        """Each cell of another contestant ends with how many times better `first` is."""
        names = self.contestants
        head = [f"### {self.title}", "", f"{self.unit}; in brackets how many times better {self.first} is.", ""]
        if len(names) < 2:
            head[2] = f"{self.unit}."
        lines = [f"| case | {' | '.join(names)} |", f"|---|{'--:|' * len(names)}"]
        lines += [f"| {row.case} | {' | '.join(self._cell(row, name) for name in names)} |" for row in self.rows]
        return "\n".join(head + lines) + "\n"

    def _cell(self, row: Row, name: str) -> str:
        value, ours = row.figures.get(name), row.figures.get(self.first)
        if value is None:
            return "–"
        if name == self.first or ours is None or not value or not ours:
            return number(value)
        return f"{number(value)} ({number(ours / value if self.more else value / ours)})"


def number(value: float) -> str:
    """Three significant digits, thousands apart."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    rounded = round(value, digits)
    return f"{rounded:,.0f}" if abs(value) >= 100 else f"{rounded:.{digits}f}"


def bars(tables: Sequence[Table]) -> str:
    """All tables below each other, bars on a logarithmic scale for each."""
    parts: list[str] = []
    top = 30
    for table in tables:
        drawn, height = _bars_of(table, top)
        parts += drawn
        top += height
    width = _LEFT + _WIDTH + 110
    style = "text{font:12px sans-serif;fill:#444}.t{font-weight:bold;font-size:14px}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" width="{width}" height="{top}">'
    paper = f'<rect width="{width}" height="{top}" fill="#fff"/>'
    return "\n".join([head, f"<style>{style}</style>", paper, *parts, "</svg>"]) + "\n"


def _bars_of(table: Table, top: int) -> tuple[list[str], int]:
    names = table.contestants
    values = [value for row in table.rows for value in row.figures.values() if value]
    if not values:
        return [], 0
    low = 10 ** math.floor(math.log10(min(values)) - 0.01)
    span = math.log10(max(values) / low) or 1.0
    parts = [_text(10, top, f"{table.title}: {table.unit}", "t")]
    x = 10
    for place, name in enumerate(names):
        parts += [f'<rect x="{x}" y="{top + 12}" width="10" height="10" fill="{_COLORS[place % len(_COLORS)]}"/>']
        parts += [_text(x + 14, top + 21, name)]
        x += 30 + 7 * len(name)
    y = top + 36
    for row in table.rows:
        parts.append(_text(10, y + _BAR - 2, row.case))
        for place, name in enumerate(names):
            value = row.figures.get(name)
            if value:
                length = _WIDTH * math.log10(value / low) / span
                color = _COLORS[place % len(_COLORS)]
                parts.append(f'<rect x="{_LEFT}" y="{y}" width="{length:.0f}" height="{_BAR - 2}" fill="{color}"/>')
                parts.append(_text(_LEFT + int(length) + 5, y + _BAR - 3, number(value)))
                y += _BAR
        y += _GAP - _BAR + 6
    return parts, y - top + 24


def _text(x: int, y: int, text: str, kind: str = "") -> str:
    return f'<text x="{x}" y="{y}"{f" class={chr(34)}{kind}{chr(34)}" if kind else ""}>{escape(text)}</text>'
