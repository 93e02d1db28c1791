"""Which daemon a client command talks to."""

from __future__ import annotations

from pathlib import Path

from guardhooks import state_folders
from guardhooks.control import client


def control_socket(config: Path | None, state_folder: Path | None) -> Path:
    """The control socket of the daemon that `-c` and `--state` mean."""
    return state_folders.folders(state_folder).socket


def ask(config: Path | None, state_folder: Path | None, command: str, **arguments: object) -> object:
    """Ask the daemon once. Raises as `guardhooks.control.client.call`."""
    with client.Connection(control_socket(config, state_folder)) as daemon:
        return daemon.request(command, **arguments)
