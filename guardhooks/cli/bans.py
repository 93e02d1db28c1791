"""`ban` and `unban`: bans by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

import click

from guardhooks.cli import output
from guardhooks.cli.connection import control_socket
from guardhooks.cli.exits import Exit, complain
from guardhooks.cli.options import Duration, daemon_options, json_option
from guardhooks.control.client import Connection
from guardhooks.text import plural, safe_text

_BATCH: Final = 1000
"""Ids in one request, which is limited in bytes."""

_text_option = click.option("--text", is_flag=True, help="Let ids be any text, not only addresses and networks.")


@click.command()
@click.argument("jail")
@click.argument("ids", metavar="IP...", nargs=-1, required=True)
@click.option("--for", "length", type=Duration(), metavar="DURATION", help="How long: 600, 10m, '1h 30m', 2d, forever.")
@click.option("--force", is_flag=True, help="Even what must not be banned, see below.")
@_text_option
@json_option
@daemon_options
def ban(
    jail: str,
    ids: Sequence[str],
    *,
    length: float | None,
    force: bool,
    text: bool,
    as_json: bool,
    config: Path | None,
    state: Path | None,
) -> Exit:
    """Ban addresses or networks in a jail by hand.

    Refused without --force: what hits this machine's own addresses, its gateway, where you or others who control the
    daemon are logged in from by ssh, or what `ignoreip` exempts; and networks wider than /8 (IPv6: /32).

    Without --for a ban lasts as long as the jail's bantime. Exits with 1 when a ban is not in force.
    """
    banned, observing = list[dict[str, Any]](), False
    with Connection(control_socket(config, state)) as daemon:
        for batch in _batches(ids):
            flags = {"force": force or None, "text": text or None}
            answer = cast("dict[str, Any]", daemon.request("ban", jail=jail, ids=batch, length=length, **flags))
            banned += answer["banned"]
            observing = answer["observing"]
    if as_json:
        output.print_json({"banned": banned, "observing": observing})
    else:
        _print_banned(banned, observing=observing)
    return Exit.FAILED if any(each["state"] != "active" for each in banned) else Exit.DONE


def _print_banned(banned: Sequence[dict[str, Any]], *, observing: bool) -> None:
    verb = "would ban" if observing else "banned"
    note = " (observing: nobody is kept out)" if observing else ""
    for each in banned:
        if each["state"] == "active":
            click.echo(f"[{safe_text(each['jail'])}] {verb} {safe_text(each['id'])} {_until(each)}{note}")
        else:
            complain(
                f"[{each['jail']}] the ban of {each['id']} is not in force ({each['state']}); "
                f"retrying, see `guardhooks status {each['jail']}`",
                Exit.FAILED,
            )


def _until(ban: dict[str, Any]) -> str:
    if ban["end"] is None:
        return "forever"
    return f"for {output.duration(ban['length'])}, until {output.moment(ban['end'])}"


def _batches(ids: Sequence[str]) -> Iterator[list[str]]:
    for begin in range(0, len(ids), _BATCH):
        yield list(ids[begin : begin + _BATCH])


@click.command()
@click.argument("ids", metavar="IP...", nargs=-1)
@click.option("--all", "everybody", is_flag=True, help="Lift every ban.")
@click.option("--jail", metavar="JAIL", help="In this jail only. [default: in all]")
@_text_option
@json_option
@daemon_options
def unban(
    ids: Sequence[str],
    *,
    everybody: bool,
    jail: str | None,
    text: bool,
    as_json: bool,
    config: Path | None,
    state: Path | None,
) -> Exit:
    """Lift bans: of addresses, of networks or of everybody.

    A network stands for every address and network in it.

    Exits with 1 when one of them was not banned.
    """
    if everybody == bool(ids):
        raise click.UsageError("name the addresses to unban, or --all, not both")
    with Connection(control_socket(config, state)) as daemon:
        if everybody:
            return _unban_all(daemon, jail, as_json=as_json)
        lifted, absent = list[dict[str, Any]](), list[str]()
        for batch in _batches(ids):
            answer = daemon.request("unban", jail=jail, ids=batch, text=text or None)
            lifted += cast("dict[str, Any]", answer)["unbanned"]
            absent += cast("dict[str, Any]", answer)["absent"]
    if as_json:
        output.print_json({"unbanned": lifted, "absent": absent})
    else:
        _print_lifted(lifted, absent)
    return Exit.FAILED if absent else Exit.DONE


def _unban_all(daemon: Connection, jail: str | None, *, as_json: bool) -> Exit:
    answer = cast("dict[str, Any]", daemon.request("unban_all", jail=jail))
    if as_json:
        output.print_json(answer)
    else:
        click.echo(f"{plural(answer['count'], 'ban')} lifted")
    return Exit.DONE


def _print_lifted(lifted: Sequence[dict[str, Any]], absent: Sequence[str]) -> None:
    for each in lifted:
        click.echo(f"[{safe_text(each['jail'])}] unbanned {safe_text(each['id'])}")
    for id_ in absent:
        complain(f"{id_} was not banned", Exit.FAILED)
