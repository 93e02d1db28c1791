"""`guardhooks ignore`: who is never banned, changed in the running guard and kept."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import click

from guardhooks import ConfigError, ask_daemon, daemon_options, parse_duration, safe_text


@click.group()
def ignore() -> None:
    """Say in the running guard who is never banned.

    Kept over restarts and reloads, beside what `ignoreip` says in the configuration.
    """


@ignore.command()
@click.argument("ids", metavar="IP...", nargs=-1, required=True)
@click.option("--jail", metavar="JAIL", help="In this jail only. [default: in all]")
@click.option("--for", "length", metavar="DURATION", help="How long: 600, 10m, 2h, 1d. [default: for good]")
@click.option("--reason", metavar="TEXT", default="", help="Why; shown by `ignore list`.")
@daemon_options
def add(
    ids: Sequence[str],
    *,
    jail: str | None,
    length: str | None,
    reason: str,
    config: Path | None,
    state: Path | None,
) -> None:
    """Never ban these addresses or networks; bans of them are lifted."""
    seconds = _seconds(length)
    answer = ask_daemon(config, state, "ignore_add", ids=list(ids), jail=jail, length=seconds, reason=reason or None)
    found = cast("dict[str, Any]", answer)
    for entry in found["added"]:
        click.echo(_line(entry))
    for ban in found["unbanned"]:
        click.echo(f"[{safe_text(ban['jail'])}] unbanned {safe_text(ban['id'])}")


@ignore.command()
@click.argument("ids", metavar="IP...", nargs=-1, required=True)
@click.option("--jail", metavar="JAIL", help="In this jail only. [default: in all]")
@daemon_options
def remove(ids: Sequence[str], *, jail: str | None, config: Path | None, state: Path | None) -> int:
    """Let them be banned again. Exits with 1 when one was not on the list."""
    answer = cast("dict[str, Any]", ask_daemon(config, state, "ignore_remove", ids=list(ids), jail=jail))
    for entry in answer["removed"]:
        click.echo(f"{safe_text(entry['id'])} can be banned again in {safe_text(entry['jail']) or 'all jails'}")
    for each in answer["absent"]:
        click.echo(f"{safe_text(each)} was not on the list", err=True)
    return 1 if answer["absent"] else 0


@ignore.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@daemon_options
def list_(*, as_json: bool, config: Path | None, state: Path | None) -> None:
    """Print who is on the list, until when, by whom and why."""
    entries = cast("list[dict[str, Any]]", ask_daemon(config, state, "ignore_list"))
    if as_json:
        click.echo(json.dumps(entries, indent=2))
        return
    for entry in entries:
        click.echo(_line(entry))


def _line(entry: dict[str, Any]) -> str:
    until = "" if entry["until"] is None else f" until {_moment(entry['until'])}"
    who = "" if entry["uid"] is None else f", added by uid {entry['uid']} at {_moment(entry['since'])}"
    why = f": {safe_text(entry['reason'])}" if entry["reason"] else ""
    return f"{safe_text(entry['id'])} is never banned in {safe_text(entry['jail']) or 'all jails'}{until}{who}{why}"


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = parse_duration(text)
    except ConfigError as error:
        raise click.BadParameter(str(error), param_hint="--for") from error
    if seconds < 1:
        raise click.BadParameter(f"{text!r} is shorter than a second", param_hint="--for")
    return seconds
