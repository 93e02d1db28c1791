"""The plugins that a command works with when it is not the daemon that loads them."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from guardhooks.cli.exits import warn
from guardhooks.errors import GuardhooksError
from guardhooks.logs import SafeFormatter
from guardhooks.plugins import Plugins
from guardhooks.plugins.loading import HOOKS_FOLDER
from guardhooks.settings import find_directory, read_daemon


def load_plugins(config: Path | None, *, all_required: bool = False, own: bool = True) -> Plugins:
    """All plugins that a daemon with this configuration directory would load.

    Problems of one of them are printed on stderr.

    :param all_required: those that `[Plugins] require` names must be in use.
    :param own: load those in the box, too.
    :raises ConfigError: when there is no such directory. :raises PluginError: when a required plugin is missing.
    """
    _log_to_stderr()
    directory = find_directory(config)
    daemon = read_daemon(directory)
    return Plugins.load(
        disable=daemon.disabled_plugins,
        place=daemon.disabled_at,
        require=daemon.required_plugins if all_required else (),
        hooks_folder=directory / HOOKS_FOLDER,
        own=own,
    )


def _log_to_stderr() -> None:
    logger = logging.getLogger("guardhooks")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(SafeFormatter("guardhooks: %(message)s"))
        handler.setLevel(logging.WARNING)
        logger.addHandler(handler)


def add_plugin_commands(cli: click.Group, directory: Path | None) -> None:
    """Have every plugin that is not in the box add its commands to `cli`.

    A configuration that cannot be used is a warning only.
    """
    try:
        plugins = load_plugins(directory, own=False)
    except GuardhooksError as error:
        warn(f"commands of plugins are missing: {error}")
        return
    plugins.add_commands(cli)
