"""A real daemon with a plugin that returns rubbish and wants to end it: the jail bans, and the blame is shown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.here import Here
from tests.kit.guards import plain_config

RUBBISH = """
import sys
import guardhooks

@guardhooks.hookimpl
def on_start(guard):
    sys.exit(0)

@guardhooks.hookimpl
async def on_failure(jail, failure):
    raise SystemExit(0)

@guardhooks.hookimpl
def decide_ban(jail, failure, record):
    return [guardhooks.Ban(failure.id, jail.name, record.times[-1], "1h"), None]

@guardhooks.hookimpl
def execute_action(jail, action, op, bans):
    raise KeyboardInterrupt

@guardhooks.hookimpl
def on_ban(jail, ban):
    raise BaseException("bare")
"""


class Site:
    def __init__(self, folder: Path, **hooks: str) -> None:
        self.log = folder / "auth.log"
        self.log.touch()
        self.config = plain_config(folder / "config", self.log)
        self.hooks = self.config / "hooks.d"
        self.hooks.mkdir(mode=0o755)
        for name, text in hooks.items():
            self.hook(name, text)
        self.daemon = Daemon(Here(), self.config, folder / "state")

    def hook(self, name: str, text: str) -> None:
        """Write a site hook that only its owner may write."""
        file = self.hooks / f"{name}.py"
        file.write_text(text)
        file.chmod(0o644)

    def fail(self, address: str, times: int = 3) -> None:
        with self.log.open("a") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} login failed from {address}\n" * times)


@pytest.fixture
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    made = Site(tmp_path, **request.param)
    try:
        yield made
    finally:
        made.daemon.kill()


@pytest.mark.parametrize("site", [{"rubbish": RUBBISH, "ending": "import sys\nsys.exit(0)\n"}], indirect=True)
def test_a_plugin_full_of_rubbish_keeps_nobody_from_being_banned_and_is_shown(site: Site) -> None:
    site.fail("198.51.100.7")
    site.daemon.wait_for_log("[plain] Ban 198.51.100.7")
    status = site.daemon.command("status").stdout
    assert "plugin rubbish: 1 fault, last " in status
    assert "plugin ending (" in status
    assert site.daemon.ask("status", "plain")["plugins_off"] == ["rubbish"]
    listed = site.daemon.command("plugins").stdout
    assert f"ending ({site.hooks / 'ending.py'}) is refused" in listed
    assert f"({site.hooks / 'ending.py'}:2)" in listed
    assert "is switched off, retried at " in listed
    site.daemon.stop()
