"""Commands that plugins bring: asked for only where the command is not one of our own."""

from __future__ import annotations

from pathlib import Path

import click

from guardhooks.cli.exits import warn
from guardhooks.cli.plugin_set import load_plugins
from guardhooks.errors import GuardhooksError


def add_plugin_commands(cli: click.Group, directory: Path | None) -> None:
    """Have every plugin add its commands to `cli`. A configuration that cannot be used is a warning only."""
    try:
        plugins = load_plugins(directory)
    except GuardhooksError as error:
        warn(f"commands of plugins are missing: {error}")
        return
    plugins.add_commands(cli)
