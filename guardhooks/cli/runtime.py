"""`get`, `set`, `jail`, `attempt`, `banned`: looks at and changes the running guard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import click

from guardhooks.cli import output
from guardhooks.cli.bans import with_standard_input
from guardhooks.cli.connection import ask_daemon
from guardhooks.cli.exits import Exit
from guardhooks.cli.options import Duration, daemon_options, json_option
from guardhooks.text import plural, safe_text


@click.command()
@click.argument("jail")
@click.argument("key")
@json_option
@daemon_options
def get(jail: str, key: str, *, as_json: bool, config: Path | None, state: Path | None) -> None:
    """Print the value that an option has in the running guard.

    KEY is an option of jails, such as `maxretry`, or `action.NAME.PROPERTY`.
    """
    answer = cast("dict[str, Any]", ask_daemon(config, state, "get", jail=jail, key=key))
    if as_json:
        output.print_json(answer)
    else:
        click.echo("\n".join(safe_text(line, 10_000) for line in answer["text"].split("\n")))


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("jail")
@click.argument("key")
@click.argument("value", required=False)
@json_option
@daemon_options
def set(  # noqa: A001 -- the command's name
    jail: str, key: str, value: str | None, *, as_json: bool, config: Path | None, state: Path | None
) -> None:
    """Change an option of a jail in the running guard, until the next reload.

    Without VALUE, a change is taken back. `status` and `config show` mark what was changed; to keep it, write it to
    jail.local as well. Options that other parts were built from (`filter`, `action`, `port`) need a reload.
    """
    name = "unset" if value is None else "set"
    answer = cast("dict[str, Any]", ask_daemon(config, state, name, jail=jail, key=key, value=value))
    if as_json:
        output.print_json(answer)
    elif value is None:
        click.echo("taken back" if answer["changed"] else f"{safe_text(key)} was not changed in the running guard")
    else:
        click.echo(f"[{safe_text(jail)}] {safe_text(key)}: {_line(answer['former'])} → {_line(value)}, until a reload")


def _line(text: str) -> str:
    return safe_text(text.replace("\n", " | "), 500) or "(empty)"


@click.group()
def jail() -> None:
    """Pause, stop and start jails of the running guard."""


@jail.command()
@click.argument("jail")
@daemon_options
def start(jail: str, config: Path | None, state: Path | None) -> None:
    """Start a jail that was paused or stopped.

    After a pause it goes on where it stopped reading; failures that are older than findtime no longer count.
    """
    answer = cast("dict[str, Any]", ask_daemon(config, state, "jail_start", jail=jail))
    click.echo(f"[{safe_text(jail)}] {'started' if answer['changed'] else 'runs already'}")


@jail.command()
@click.argument("jail")
@daemon_options
def stop(jail: str, config: Path | None, state: Path | None) -> None:
    """Stop a jail until it is started, or until the next reload. Its bans are lifted."""
    ask_daemon(config, state, "jail_stop", jail=jail)
    click.echo(f"[{safe_text(jail)}] stopped; its bans are lifted")


@jail.command()
@click.argument("jail")
@click.option("--for", "length", type=Duration(), metavar="DURATION", help="How long: 600, 10m, 1h, forever.")
@daemon_options
def pause(jail: str, length: float | None, config: Path | None, state: Path | None) -> None:
    """Read no logs for a jail, until it is started or the next reload. Its bans stay in force."""
    answer = cast("dict[str, Any]", ask_daemon(config, state, "jail_pause", jail=jail, length=length))
    until = f" until {output.moment(answer['until'])}" if answer["until"] else ""
    click.echo(f"[{safe_text(jail)}] paused{until}; its bans stay in force")


@click.command()
@click.argument("jail")
@click.argument("ids", metavar="IP...", nargs=-1, required=True)
@click.option("--line", "lines", metavar="TEXT", multiple=True, help="What happened; one failure for each.")
@json_option
@daemon_options
def attempt(
    jail: str,
    ids: Sequence[str],
    lines: Sequence[str],
    *,
    as_json: bool,
    config: Path | None,
    state: Path | None,
) -> None:
    """Count a failure of each address, as if the jail's log said so.

    For programs that see failures themselves. What `ignoreip` exempts is not counted; `maxretry` failures are a ban.
    """
    given = with_standard_input(ids)
    answer = cast(
        "dict[str, Any]",
        ask_daemon(config, state, "attempt", jail=jail, ids=given, lines=list(lines) or None),
    )
    if as_json:
        output.print_json(answer)
        return
    click.echo(f"[{safe_text(jail)}] {plural(len(given) * (len(lines) or 1), 'failure')} reported")
    for each in answer["banned"]:
        click.echo(f"[{safe_text(jail)}] banned {safe_text(each)}")


@click.command()
@click.argument("ids", metavar="[IP...]", nargs=-1)
@click.option("--jail", metavar="JAIL", help="In this jail only. [default: in all]")
@json_option
@daemon_options
def banned(ids: Sequence[str], *, jail: str | None, as_json: bool, config: Path | None, state: Path | None) -> Exit:
    """Print who is banned: one line for each ban, with its jail. With addresses, only the bans that hit them.

    Exits with 1 when addresses were given and one of them is not banned.
    """
    given = with_standard_input(ids) or None
    answer = cast("dict[str, list[str]]", ask_daemon(config, state, "banned", ids=given, jail=jail))
    if as_json:
        output.print_json(answer)
    else:
        pairs = [(name, each) for name, found in answer.items() for each in found]
        for left, right in pairs:
            id_, of = (left, right) if given else (right, left)
            click.echo(f"{safe_text(id_)} {safe_text(of)}")
    return Exit.FAILED if given and not all(answer.values()) else Exit.DONE
