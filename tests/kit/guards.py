"""Guards and their configuration, of which a test names only what matters to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from guardhooks import Guard, Jail
from guardhooks.plugins import Plugins
from guardhooks.settings.model import Settings
from tests.kit.clock import Clock


def settings(*jails: Jail) -> Settings:
    """Jails that no file describes."""
    return Settings(Path("/nowhere"), jails)


def make_guard(
    plugins: Plugins, *jails: Jail, state: Path | None = None, clock: Callable[[], float] | None = None
) -> Guard:
    """A guard over these jails; with a folder `state` it keeps its ledger there."""
    file = state / "ledger.sqlite3" if state else None
    return Guard(settings(*jails), plugins, ledger_file=file, clock=clock or Clock())


def write_files(directory: Path, files: Mapping[str, str]) -> Path:
    """Write configuration files (path in the directory → text); returns the directory."""
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
    filter_text = "[Definition]\nfailregex = ^\\s*login failed from <ADDR>$\n"
    return write_files(directory, {"filter.d/plain.conf": filter_text, "jail.conf": jail})
