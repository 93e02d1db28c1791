"""Fixtures of the range. Where it cannot be set up, its tests are skipped with the reason; under CI they fail."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e import prober
from tests.e2e.daemon import Daemon
from tests.e2e.prober import Prober
from tests.e2e.range import Network, missing
from tests.e2e.sshserver import SshServer


@pytest.fixture(scope="session")
def _range_works() -> None:
    reason = missing()
    if reason and not os.environ.get("CI"):
        pytest.skip(f"the range {reason}")
    assert not reason, f"CI must test on the range, which {reason}"


@pytest.fixture
def network(_range_works: None) -> Iterator[Network]:
    """Two hosts joined by a wire."""
    network = Network()
    yield network
    network.delete()


@pytest.fixture
def ssh(network: Network, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SshServer]:
    """A real sshd on the server; parametrise indirectly with the format of its log, `traditional` or `iso`."""
    server = SshServer(network, tmp_path, getattr(request, "param", "traditional"))
    yield server
    server.close()


@pytest.fixture
def attacker(network: Network) -> Iterator[Prober]:
    """Tries connects from the attacker's host."""
    process = Prober(network.attacker.command(sys.executable, prober.__file__))
    yield process
    process.close()


@pytest.fixture
def guard(network: Network, tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Starts daemons on the server: `guard(CONFIG)`; those of one test share a state folder. They end with the test."""
    with ExitStack() as stack:

        def start(config: Path, *options: str) -> Daemon:
            daemon = Daemon(network.server, config, tmp_path / "state", *options)
            stack.callback(daemon.kill)
            return daemon

        yield start
