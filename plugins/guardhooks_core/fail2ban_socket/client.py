"""`guardhooks fail2ban-client`, also as the program `guardhooks-client`: fail2ban's client, without fail2ban."""

from __future__ import annotations

import getopt
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import click

import guardhooks
from guardhooks import ConfigError, GuardhooksError, ask_daemon, parse_duration, safe_text
from guardhooks_core.fail2ban_socket.commands import VERSION
from guardhooks_core.fail2ban_socket.printing import failed, printed

_FAILED: Final = 255
"""Exit status of whatever does not work, as with fail2ban."""
_PATIENCE: Final = 610.0
"""Seconds to wait for an answer: a reload may compile thousands of filters."""
_LONG: Final = (
    "conf=", "socket=", "pidfile=", "pname=", "loglevel=", "logtarget=", "syslogsocket=", "dp", "dump-pretty", "test",
    "async", "timeout=", "str2sec=", "help", "version", "state=",
)  # fmt: skip
_NO_START: Final = "guardhooks is started by the service manager; use `systemctl start guardhooks` or `guardhooks run`"
_HELP: Final = f"""\
Usage: guardhooks-client [OPTIONS] <COMMAND>

The command line of fail2ban-client, for scripts that were written for it. Commands: `man fail2ban-client`; what is
answered differently: docs/differences.md. For people there is `guardhooks --help`.

  -c, --conf DIR    configuration directory
      --state DIR   state folder of the daemon
  -t, --test        test the configuration
  -i                read commands from standard input
  -q, -v, -s FILE, -p FILE, --loglevel … are accepted and change nothing
      --str2sec T   print a time in seconds
  -V, --version     print the version: {VERSION}
  -h, --help        print this
"""


class Place:
    """Which daemon is meant."""

    def __init__(self, config: Path | None, state: Path | None) -> None:
        self.config, self.state = config, state

    def run(self, words: Sequence[str]) -> int:
        """Run one command and print what fail2ban's client would; its exit status."""
        try:
            answer = ask_daemon(self.config, self.state, "fail2ban", timeout=_PATIENCE, words=list(words))
        except GuardhooksError as error:
            return _complain(str(error))
        found = cast("dict[str, Any]", answer)
        if "error" in found:
            click.echo(_shown(failed(found["kind"], found["error"])))
            return _FAILED
        click.echo(_shown(printed(words, found["value"])))
        return 0


@click.command(
    "fail2ban-client",
    context_settings={"ignore_unknown_options": True, "help_option_names": [], "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def fail2ban_client(context: click.Context, arguments: tuple[str, ...]) -> int:
    """The command line of fail2ban-client, for scripts that were written for it."""
    given = context.obj if isinstance(context.obj, Path) else None
    return client(arguments, given)


def main() -> None:
    """The program `guardhooks-client`."""
    sys.exit(client(sys.argv[1:], None))


def client(arguments: Sequence[str], config: Path | None) -> int:
    """Run a command line; its exit status, 0 or 255."""
    try:
        options, words = getopt.getopt(list(arguments), "hc:s:p:xfbdtiqvV", _LONG)
    except getopt.GetoptError as error:
        return _complain(str(error))
    given = dict(options)
    folder, state = given.get("-c") or given.get("--conf"), given.get("--state")
    place = Place(Path(folder) if folder else config, Path(state) if state else None)
    if (code := _without_daemon(given, place, words)) is not None:
        return code
    if "-i" in given:
        return max(
            (place.run(line.split()) for line in sys.stdin if line.split() and line.strip() != "exit"), default=0
        )
    if not words:
        click.echo(_HELP)
        return _FAILED
    return place.run(words) if words[0] != "start" or len(words) > 1 else _start(place)


def _without_daemon(given: dict[str, str], place: Place, words: Sequence[str]) -> int | None:
    """What needs no daemon; None where one is needed."""
    if "-h" in given or "--help" in given or words[:1] == ["help"]:
        click.echo(_HELP)
    elif "-V" in given:
        click.echo(VERSION)
    elif "--version" in given:
        click.echo(f"Fail2Ban v{VERSION} (guardhooks {guardhooks.__version__})")
    elif "--str2sec" in given:
        try:
            click.echo(f"{parse_duration(given['--str2sec']):g}")
        except ConfigError as error:
            return _complain(str(error))
    elif "-t" in given or "--test" in given:
        return _test(place)
    elif {"-d", "--dp", "--dump-pretty"} & given.keys():
        return _complain("the configuration is not made of commands; `guardhooks config show` prints it")
    else:
        return None
    return 0


def _test(place: Place) -> int:
    """Whether the configuration can be used, which `guardhooks check` says in full."""
    command = [sys.executable, "-m", "guardhooks", "config", "show"]
    config = ["-c", str(place.config)] if place.config else []
    done = subprocess.run([*command, *config], capture_output=True, text=True, check=False)
    if done.returncode:
        _complain(done.stderr.strip())
        click.echo("ERROR: test configuration failed")
        return _FAILED
    click.echo("OK: configuration test is successful")
    return 0


def _start(place: Place) -> int:
    try:
        ask_daemon(place.config, place.state, "ping")
    except GuardhooksError:
        return _complain(_NO_START)
    return _complain("Server already running")


def _complain(text: str) -> int:
    click.echo(f"ERROR   {safe_text(text, 10_000)}", err=True)
    return _FAILED


def _shown(text: str) -> str:
    """The text as a terminal may show it: ids and lines are written by attackers."""
    return "\n".join("\t".join(safe_text(part, 1_000_000) for part in line.split("\t")) for line in text.split("\n"))
