"""Configuration directories written from text, and guards over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from guardhooks import Guard
from guardhooks.plugins import Plugins
from guardhooks.settings import load

FILTER = "[Definition]\nfailregex = ^\\s*login failed from <ADDR>$\n"
"""`filter.d/plain.conf`: knows `login failed from ADDRESS`."""


def write_files(directory: Path, files: Mapping[str, str]) -> Path:
    """Write files (path in the directory → text); returns the directory."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def plain_config(directory: Path, log: str | Path, *, maxretry: int = 3, action: str = "observe") -> Path:
    """A configuration with one jail `plain`, whose filter knows `login failed from ADDRESS`."""
    jail = (
        "[plain]\nenabled = true\nfilter = plain\nbantime = 1h\nignoreself = false\n"
        f"maxretry = {maxretry}\nlogpath = {log}\naction = {action}\n"
    )
    return write_files(directory, {"filter.d/plain.conf": FILTER, "jail.conf": jail})


def guard_of(directory: Path, files: Mapping[str, str], *, clock: Callable[[], float], plugins: Plugins) -> Guard:
    """A guard over the configuration that `files` are, with its ledger beside them."""
    settings = load(write_files(directory, files), journal=False)
    return Guard(settings, plugins, ledger_file=directory / "ledger.sqlite3", clock=clock)
