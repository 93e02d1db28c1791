"""Commands that plugins bring."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from tests.cli.running import Site

HOOK = """\
import click
import guardhooks


@guardhooks.hookimpl
def add_commands(cli):
    @cli.command()
    @click.argument("word")
    def shout(word):
        "Say it louder."
        click.echo(word.upper())

    @cli.command()
    def ping():
        "Not ours."
        click.echo("hijacked")
"""


ASKING = """\
import click
import guardhooks

guards = []


@guardhooks.hookimpl
def on_start(guard):
    guards[:] = [guard]


@guardhooks.hookimpl
def add_requests(requests):
    limit = guardhooks.Argument("limit", guardhooks.ArgumentKind.NUMBER, "how many ids")
    requests.add(guardhooks.Request("longest_bans", longest_bans, "The ids with the longest bans", arguments=(limit,)))


async def longest_bans(limit=10):
    bans = sorted(guards[0].ledger.active(), key=lambda ban: -ban.length)
    return [ban.id for ban in bans[: int(limit)]]


@guardhooks.hookimpl
def add_commands(cli):
    @cli.command()
    @guardhooks.daemon_options
    def longest(config, state):
        "Show who is banned longest."
        click.echo(" ".join(guardhooks.ask_daemon(config, state, "longest_bans", limit=2)))
"""


@pytest.fixture
def hooked(site: Site) -> Site:
    (site.config / "hooks.d").mkdir()
    (site.config / "hooks.d" / "shouting.py").write_text(HOOK)
    (site.config / "hooks.d" / "shouting.py").chmod(0o600)
    (site.config / "hooks.d").chmod(0o700)
    return site


def run(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The configuration directory comes first: it says which plugins bring commands."""
    command = [sys.executable, "-m", "guardhooks", "-c", str(site.config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_plugin_brings_its_own_command(hooked: Site) -> None:
    result = run(hooked, "shout", "hello")

    assert (result.returncode, result.stdout) == (0, "HELLO\n")


def test_help_lists_it_after_ours(hooked: Site) -> None:
    shown = run(hooked, "--help").stdout

    assert "Say it louder." in shown
    assert shown.index("  version") < shown.index("  shout")
    assert shown.count("  ping") == 1


def test_our_own_commands_cannot_be_taken(hooked: Site) -> None:
    run(hooked, "--help")

    result = run(hooked, "ping", "--state", str(hooked.state))

    assert result.returncode == 4
    assert "hijacked" not in result.stdout


def test_wrong_usage_of_it_is_told_as_of_ours(hooked: Site) -> None:
    result = run(hooked, "shout")

    assert result.returncode == 2
    assert result.stderr.startswith("guardhooks: error: missing argument 'WORD'")


def test_near_names_are_looked_for_among_its_commands_too(hooked: Site) -> None:
    assert "did you mean 'shout'?" in run(hooked, "shot").stderr


def test_a_disabled_plugin_brings_nothing(hooked: Site) -> None:
    (hooked.config / "guardhooks.conf").write_text("[Plugins]\ndisable = shouting\n")

    assert run(hooked, "shout", "hello").returncode == 2


def test_help_works_whatever_the_configuration(site: Site) -> None:
    (site.config / "hooks.d").mkdir(mode=0o700)
    (site.config / "hooks.d" / "broken.py").write_text("import nothing_of_that_name\n")
    shown = run(site, "--help")
    assert shown.returncode == 0
    assert "Exit codes:" in shown.stdout

    lost = run(replace(site, config=site.config / "nope"), "--help")
    assert lost.returncode == 0
    assert "Exit codes:" in lost.stdout


def test_a_command_of_a_plugin_asks_the_daemon_for_a_request_of_the_plugin(hooked: Site) -> None:
    (hooked.config / "hooks.d" / "asking.py").write_text(ASKING)
    (hooked.config / "hooks.d" / "asking.py").chmod(0o600)
    with hooked.running():
        for seconds, address in (("600", "203.0.113.1"), ("900", "203.0.113.2"), ("700", "203.0.113.3")):
            assert hooked.guardhooks("ban", "app", address, "--for", seconds).returncode == 0

        asked = hooked.guardhooks("-c", str(hooked.config), "longest")

    assert (asked.returncode, asked.stdout, asked.stderr) == (0, "203.0.113.2 203.0.113.3\n", "")


def test_without_a_daemon_it_says_so_as_our_own_commands_do(hooked: Site) -> None:
    (hooked.config / "hooks.d" / "asking.py").write_text(ASKING)
    (hooked.config / "hooks.d" / "asking.py").chmod(0o600)

    asked = hooked.guardhooks("-c", str(hooked.config), "longest")

    assert asked.returncode == 4
    assert "no guardhooks daemon answers" in asked.stderr
