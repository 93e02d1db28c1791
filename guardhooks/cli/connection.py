"""Which daemon a client command talks to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from guardhooks.control import client
from guardhooks.control.protocol import NoDaemonError
from guardhooks.system import state_folders
from guardhooks.system.config_directories import CONFIG_DIRECTORIES

_NAMES_A_PLACE: Final = re.compile(rb"^[ \t]*(?:socket|state)[ \t]*[=:][ \t]*[^\s#;]|^\[INCLUDES\]", re.MULTILINE)


def ask_daemon(
    config: Path | None, state: Path | None, request: str, *, timeout: float = client.PATIENCE, **arguments: object
) -> object:
    """Send the daemon one request, of its own or of a plugin, and return the answer.

    :param config: configuration directory, None for the default. :param state: state folder, None for the default.
    :param timeout: seconds to wait for the answer.
    :raises StateError: when no daemon answers, or the socket cannot be used.
    :raises RequestError: when the daemon did not carry it out.
    """
    with client.Connection(control_socket(config, state), timeout=timeout) as daemon:
        return daemon.request(request, **arguments)


def control_socket(config: Path | None, state: Path | None) -> Path:
    """The control socket of the daemon that `-c` and `--state` mean.

    :raises ConfigError: when there is no such configuration directory.
    """
    configured_state, configured_socket = _configured(config)
    socket = configured_socket or state_folders.folders(state or configured_state).socket
    if state is None and configured_state is None and configured_socket is None:
        refuse_if_roots(socket, state_folders.SYSTEM_RUNTIME)
    return socket


def refuse_if_roots(socket: Path, system: Path) -> None:
    """A plain user without a daemon of his own most likely means the one of the machine.

    :raises NoDaemonError: saying how to ask that, if there is one.
    """
    if os.geteuid() != 0 and not socket.exists() and system.is_dir():
        raise NoDaemonError(
            f"you run no daemon of your own, and the daemon of this machine ({system}) answers root only; ask with sudo"
        )


def _configured(config: Path | None) -> tuple[Path | None, Path | None]:
    """State folder and socket that the configuration names.

    It hardly ever names any, and reading it properly takes longer than all the rest, so it is only looked through.
    """
    directory = config or next((each for each in CONFIG_DIRECTORIES if each.is_dir()), None)
    if directory is None or (directory.is_dir() and not _names_a_place(directory)):
        return None, None
    from guardhooks.settings import find_directory, read_daemon

    settings = read_daemon(find_directory(directory))
    return settings.state, settings.socket


def _names_a_place(directory: Path) -> bool:
    return any(_NAMES_A_PLACE.search(text) for text in _texts(directory))


def _texts(directory: Path) -> Iterator[bytes]:
    for file in [*directory.glob("guardhooks.*"), *directory.glob("guardhooks.d/*")]:
        try:
            yield file.read_bytes()
        except OSError:  # a folder, or not for this user to read; the daemon's defaults may still be right
            continue
