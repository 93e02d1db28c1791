"""A plain user who asks about root's daemon is told what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardhooks.cli.connection import refuse_if_roots
from guardhooks.control.client import Connection
from guardhooks.control.protocol import NoDaemonError
from guardhooks.errors import StateError

NOBODY = 65534

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 and "CI" not in os.environ, reason="only root can become a plain user"
)


@pytest.fixture
def _as_nobody() -> Iterator[None]:
    os.seteuid(NOBODY)
    yield
    os.seteuid(0)


@pytest.mark.usefixtures("_as_nobody")
def test_without_a_daemon_of_his_own_he_is_sent_to_root(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(NoDaemonError, match="answers root only; ask with sudo"):
        refuse_if_roots(Path("/nonexistent/socket"), Path("/run"))
    refuse_if_roots(Path("/nonexistent/socket"), Path("/nonexistent"))  # no daemon at all: the usual advice


def test_a_socket_that_he_may_not_use_names_root(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    request.getfixturevalue("_as_nobody")
    with pytest.raises(StateError, match=r"may not be used by you; ask as root \(sudo\)"):
        Connection(folder / "guardhooks.sock")
