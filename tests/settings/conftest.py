"""Small configuration directories, written from text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

FILTER = "[Definition]\nfailregex = ^bad <HOST>$\n"
ACTION = "[Definition]\nactionban = ban <ip> <port>\n[Init]\nport = ssh\n"
JAIL = "[j]\nenabled = true\nfilter = f\naction = a\nlogpath = /var/log/x\n"

Write = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes files (path → text) into a directory that has a jail `j`, a filter `f` and an action `a` already."""

    def write(files: Mapping[str, str]) -> Path:
        stock = {"filter.d/f.conf": FILTER, "action.d/a.conf": ACTION, "jail.conf": JAIL}
        missing = {name: text for name, text in stock.items() if not (tmp_path / name).exists()}
        for name, text in {**missing, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write
