"""`ban` and `unban`: bans by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

import click

from guardhooks.cli import completion, output
from guardhooks.cli.connection import control_socket
from guardhooks.cli.exits import Exit, complain
from guardhooks.cli.layout import say
from guardhooks.cli.options import Duration, daemon_options, json_option
from guardhooks.control.client import Connection
from guardhooks.text import duration, plural, safe_text

_BATCH: Final = 1000
"""Ids in one request, which is limited in bytes."""

_text_option = click.option("--text", is_flag=True, help="Let ids be any text, not only addresses and networks.")


@click.command()
@click.argument("jail", shell_complete=completion.jails)
@click.argument("ids", metavar="IP...", nargs=-1, required=True)
@click.option("--for", "length", type=Duration(), metavar="DURATION", help="How long: 600, 10m, '1h 30m', 2d, forever.")
@click.option("--replace", is_flag=True, help="A ban that lasts longer is made shorter.")
@click.option("--reason", metavar="TEXT", default="", help="Why; shown by `status` and in mail.")
@click.option("--force", is_flag=True, help="Even what must not be banned, see below.")
@_text_option
@json_option
@daemon_options
def ban(
    jail: str,
    ids: Sequence[str],
    *,
    length: float | None,
    replace: bool,
    reason: str,
    force: bool,
    text: bool,
    as_json: bool,
    config: Path | None,
    state: Path | None,
) -> Exit:
    """Ban addresses or networks in a jail by hand.

    Refused without --force: what hits this machine's own addresses, its gateway, where you or others who control the
    daemon are logged in from by ssh, or what `ignoreip` exempts; and networks wider than /8 (IPv6: /32).

    Without --for a ban lasts as long as the jail's bantime. `-` reads ids from standard input, one or more on a line;
    what follows a `#` is left out. Exits with 1 when a ban is refused or not in force.
    """
    banned, refused, observing, unsaved = list[dict[str, Any]](), list[dict[str, str]](), False, ""
    options = {"force": force or None, "text": text or None, "replace": replace or None, "reason": reason or None}
    with Connection(control_socket(config, state)) as daemon:
        for batch in _batches(with_standard_input(ids)):
            answer = cast("dict[str, Any]", daemon.request("ban", jail=jail, ids=batch, length=length, **options))
            banned += answer["banned"]
            refused += answer["refused"]
            observing = answer["observing"]
            unsaved = answer["unsaved"]
    if as_json:
        output.print_json({"banned": banned, "refused": refused, "observing": observing, "unsaved": unsaved})
    else:
        _print_banned(banned, observing=observing)
        for each in refused:
            complain(each["reason"], Exit.FAILED)
        if unsaved:
            click.echo(f"this will not survive a restart: {safe_text(unsaved)}", err=True)
    return Exit.FAILED if refused or any(each["state"] != "active" for each in banned) else Exit.DONE


def _print_banned(banned: Sequence[dict[str, Any]], *, observing: bool) -> None:
    verb = "would ban" if observing else "banned"
    note = " (observing: nobody is kept out)" if observing else ""
    for each in banned:
        if each["state"] == "active":
            say(f"[{safe_text(each['jail'])}] {verb} {safe_text(each['id'])} {_until(each)}{note}")
        else:
            complain(
                f"[{each['jail']}] the ban of {each['id']} is not in force ({each['state']}); "
                f"retrying, see `guardhooks status {each['jail']}`",
                Exit.FAILED,
            )


def _until(ban: dict[str, Any]) -> str:
    if ban["end"] is None:
        return "forever"
    return f"for {duration(ban['length'])}, until {output.moment(ban['end'])}"


def with_standard_input(ids: Sequence[str]) -> list[str]:
    """The ids, with those on standard input in the place of `-`."""
    if "-" not in ids:
        return list(ids)
    lines = sys.stdin.buffer.read().decode(errors="replace").splitlines()
    read = [word for line in lines for word in line.partition("#")[0].split()]
    return [each for id_ in ids for each in (read if id_ == "-" else [id_])]


def _batches(ids: Sequence[str]) -> Iterator[list[str]]:
    for begin in range(0, len(ids), _BATCH):
        yield list(ids[begin : begin + _BATCH])


@click.command()
@click.argument("ids", metavar="IP...", nargs=-1, shell_complete=completion.banned)
@click.option("--all", "everybody", is_flag=True, help="Lift every ban.")
@click.option("--jail", metavar="JAIL", shell_complete=completion.jails, help="In this jail only. [default: in all]")
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

    A network stands for every address and network in it. `-` reads ids from standard input.

    Exits with 1 when one of them was not banned.
    """
    if everybody == bool(ids):
        raise click.UsageError("name the addresses to unban, or --all, not both")
    with Connection(control_socket(config, state)) as daemon:
        if everybody:
            return _unban_all(daemon, jail, as_json=as_json)
        total: dict[str, list[Any]] = {"unbanned": [], "absent": [], "still_banned": []}
        for batch in _batches(with_standard_input(ids)):
            answer = cast("dict[str, Any]", daemon.request("unban", jail=jail, ids=batch, text=text or None))
            for key in total:
                total[key] += answer[key]
    lifted, absent = total["unbanned"], total["absent"]
    if as_json:
        output.print_json(total)
    else:
        _print_lifted(lifted, absent)
        _print_still_banned(total["still_banned"])
    return Exit.FAILED if absent else Exit.DONE


def _unban_all(daemon: Connection, jail: str | None, *, as_json: bool) -> Exit:
    answer = cast("dict[str, Any]", daemon.request("unban_all", jail=jail))
    if as_json:
        output.print_json(answer)
    else:
        say(f"{plural(answer['count'], 'ban')} lifted")
    return Exit.DONE


def _print_lifted(lifted: Sequence[dict[str, Any]], absent: Sequence[str]) -> None:
    for each in lifted:
        say(f"[{safe_text(each['jail'])}] unbanned {safe_text(each['id'])}")
    for id_ in absent:
        complain(f"{id_} was not banned", Exit.FAILED)


def _print_still_banned(bans: Sequence[dict[str, Any]]) -> None:
    jails: dict[str, list[str]] = {}
    for each in bans:
        jails.setdefault(each["id"], []).append(each["jail"])
    for id_, names in jails.items():
        shown = safe_text(id_)
        say(f"{shown} is still banned by {safe_text(', '.join(names))}; `guardhooks unban {shown}` lifts that too")
