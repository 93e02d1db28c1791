"""Small configuration directories, written from text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

FILTER = "[Definition]\nfailregex = ^bad <HOST>$\n"
ACTION = "[Definition]\nactionban = ban <ip> <port>\n[Init]\nport = ssh\n"


@pytest.fixture
def directory(tmp_path: Path) -> Callable[..., Path]:
    """Writes files (path → text) into a directory that has a filter `f` and an action `a` already."""

    def write(jail: str = "", **files: str) -> Path:
        base = {"filter.d/f.conf": FILTER, "action.d/a.conf": ACTION, "jail.conf": jail}
        for name, text in {**base, **{key.replace("__", "/"): text for key, text in files.items()}}.items():
            path = tmp_path / (name if "." in name[1:] else f"{name}.conf")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
        return tmp_path

    return write
