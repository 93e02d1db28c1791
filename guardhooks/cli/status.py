"""`status`, `ping`, `plugins`, `version`: what a running daemon reports about itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

import guardhooks
from guardhooks.cli import completion, output
from guardhooks.cli.connection import ask_daemon
from guardhooks.cli.exits import Exit
from guardhooks.cli.layout import say, wide_option
from guardhooks.cli.options import config_option, daemon_options, json_option, state_option
from guardhooks.text import plural, safe_text


@click.command()
@click.argument("jail", required=False, shell_complete=completion.jails)
@click.option("--matches", is_flag=True, help="With JAIL: show the log lines behind each ban.")
@click.option("--check", is_flag=True, help="Exit with 6 when something is degraded.")
@json_option
@wide_option
@daemon_options
def status(
    jail: str | None, *, matches: bool, check: bool, as_json: bool, config: Path | None, state: Path | None
) -> Exit:
    """Show the state of all jails, or one jail with its bans."""
    from guardhooks.cli.status_report import is_degraded, one_jail, overview
    from guardhooks.status import GuardStatus, JailDetails, JailStatus, from_dict

    report = cast("dict[str, Any]", ask_daemon(config, state, "status", jail=jail))
    found: GuardStatus | JailStatus
    found = from_dict(GuardStatus, report) if jail is None else from_dict(JailStatus, report)
    if as_json:
        output.print_json(report)
    elif isinstance(found, GuardStatus):
        say(*overview(found))
    else:
        details = from_dict(JailDetails, report) if "banned" in report else found
        say(*one_jail(details, matches=matches))
    return Exit.DEGRADED if check and is_degraded(found) else Exit.DONE


@click.command()
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=10.0, metavar="SECONDS", show_default=True,
    help="How long to wait for the answer.",
)  # fmt: skip
@json_option
@daemon_options
def ping(*, timeout: float, as_json: bool, config: Path | None, state: Path | None) -> None:
    """Ask whether the daemon answers."""
    answer = cast("dict[str, Any]", ask_daemon(config, state, "ping", timeout=timeout))
    if as_json:
        output.print_json(answer)
    else:
        click.echo(f"pong from pid {answer['pid']}")


@click.command()
@click.argument("jail", required=False, shell_complete=completion.jails)
@json_option
@wide_option
@daemon_options
def plugins(jail: str | None, *, as_json: bool, config: Path | None, state: Path | None) -> None:
    """Show which plugins are asked, in which order.

    One row for each jail and hook; in brackets the distribution or file that a plugin comes from.
    """
    rows = cast("list[dict[str, Any]]", ask_daemon(config, state, "plugins", jail=jail))
    if as_json:
        output.print_json(rows)
        return
    table = [
        [
            safe_text(str(row["jail"])),
            row["hook"],
            ", ".join(_plugin(plugin) for plugin in row["plugins"]) + _served(row),
        ]
        for row in rows
        if row["plugins"]
    ]
    say(*output.columns(["Jail", "Hook", "Asked in this order"], _without_repeats(table)))
    say(*(_not_in_order(row) for row in rows if not row["hook"]))


def _not_in_order(row: dict[str, Any]) -> str:
    """`! [sshd] geo (geo 1.0) is off: on_failure: OSError: … (/etc/guardhooks/hooks.d/geo.py:12)`."""
    last = f", last {output.moment(row['last'])}" if row["last"] is not None else ""
    retry = f", retried at {output.moment(row['retry'])}" if row["retry"] is not None else ""
    what = {
        "disabled": "is disabled",
        "refused": "is refused",
        "off": f"is switched off{retry}",
        "faults": f"has {plural(row['faults'], 'fault')}{last}",
    }[row["state"]]
    jail = f"[{row['jail']}] " if row["jail"] else ""
    origin = f" ({row['origin']})" if row["origin"] else ""
    place = f" ({row['place']})" if row["place"] else ""
    text = f"{jail}{row['name']}{origin} {what}: {row['reason']}{place}"
    return f"{output.paint('!', 'warn')} {safe_text(text)}"


def _plugin(plugin: dict[str, Any]) -> str:
    origin = output.paint(f"({safe_text(str(plugin['from']))})", "dim")
    wraps = " around the others" if plugin.get("wrapper") else ""
    return f"{safe_text(str(plugin['name']))}{wraps} {origin}"


def _served(row: dict[str, Any]) -> str:
    """Which of several matchers serves the jail, and why the others do not."""
    if not row.get("served_by") or len(row["plugins"]) < 2:
        return ""
    reasons = "".join(f"; not {safe_text(name)}: {safe_text(why)}" for name, why in row["left_by"].items())
    return f": {safe_text(str(row['served_by']))} serves it{reasons}"


def _without_repeats(table: list[list[str]]) -> list[list[str]]:
    """The jail's name only where it changes."""
    shown = ["", *(row[0] for row in table)]
    return [[row[0] if row[0] != before else "", *row[1:]] for row, before in zip(table, shown, strict=False)]


@click.command()
@json_option
@config_option
@state_option
def version(*, as_json: bool, config: Path | None, state: Path | None) -> None:  # noqa: ARG001 -- as all commands
    """Print the version of this program."""
    if as_json:
        output.print_json({"version": guardhooks.__version__})
    else:
        click.echo(f"guardhooks {guardhooks.__version__}")
