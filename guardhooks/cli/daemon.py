"""`run`, `reload`, `stop`: the life of the daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast

import click

from guardhooks.cli import output
from guardhooks.cli.connection import ask_daemon, control_socket
from guardhooks.cli.exits import Exit
from guardhooks.cli.layout import say, wide_option
from guardhooks.cli.options import daemon_options, json_option
from guardhooks.control.protocol import RELOAD_TIMEOUT

_LOG_LEVELS: Final = ("CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG")
_STOP_TIME: Final = 60.0
"""Seconds that a daemon gets to end before `stop` says that it did not."""


@click.command()
@daemon_options
@click.option("--observe", is_flag=True, help="Decide and log bans, but keep nobody out.")
@click.option("--loglevel", type=click.Choice(_LOG_LEVELS, case_sensitive=False), help="Overrides the configuration's.")
@click.option("--trace-hooks", is_flag=True, help="Log every call of a plugin, for plugin authors.")
def run(*, config: Path | None, state: Path | None, observe: bool, loglevel: str | None, trace_hooks: bool) -> None:
    """Guard this machine, in the foreground.

    The log goes to stderr. SIGTERM and SIGINT stop it (bans stay in force), SIGHUP reloads. As a plain user it only
    observes.
    """
    from guardhooks.daemon import run
    from guardhooks.daemon.options import RunOptions

    run.run(RunOptions(config, state, observe=observe, loglevel=loglevel, trace_hooks=trace_hooks))


@click.command()
@json_option
@wide_option
@daemon_options
def reload(*, as_json: bool, config: Path | None, state: Path | None) -> Exit:
    """Make the daemon read its configuration again. Every ban is kept.

    Prints what changed, and what is taken back of what was changed in the running guard (`guardhooks set`, `guardhooks
    jail`). A configuration that cannot be used is refused with its reason and the running one stays. A
    jail or site hook that cannot be loaded any more goes on as it was, and the exit code is 6.
    """
    from guardhooks.cli.status_report import overview
    from guardhooks.status import GuardStatus, ReloadReport, from_dict

    report = cast("dict[str, Any]", ask_daemon(config, state, "reload", timeout=RELOAD_TIMEOUT + 5))
    done = from_dict(ReloadReport, report.get("reload", {}))
    if as_json:
        output.print_json(report)
    else:
        say("reloaded", *done.lines(), "", *overview(from_dict(GuardStatus, report)))
    return Exit.DONE if done.is_whole else Exit.DEGRADED


@click.command()
@click.option("--flush", is_flag=True, help="Lift every ban before. [default: bans stay in force]")
@daemon_options
def stop(*, flush: bool, config: Path | None, state: Path | None) -> Exit:
    """Stop the daemon and wait until it is gone.

    Bans stay in force, and end in the kernel when they are due.
    """
    from guardhooks.control.client import Connection
    from guardhooks.errors import StateError

    with Connection(control_socket(config, state)) as daemon:
        daemon.request("stop", flush=flush)
        if not daemon.wait_for_exit(_STOP_TIME):
            raise StateError(f"the daemon (pid {daemon.pid}) is still busy after {_STOP_TIME:.0f} seconds; see its log")
    click.echo("stopped; all bans are lifted" if flush else "stopped; bans stay in force")
    return Exit.DONE
