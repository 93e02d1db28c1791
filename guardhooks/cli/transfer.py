"""`import`, `bans export`, `bans import`: bans from and for other programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

import click

from guardhooks.cli.connection import control_socket
from guardhooks.cli.exits import Exit, complain
from guardhooks.cli.options import Duration, daemon_options
from guardhooks.control.client import Connection
from guardhooks.text import plural, safe_text
from guardhooks.views import KNOWN

_BATCH: Final = 500
"""Bans in one request."""
_BYTES: Final = 500_000
"""Bytes of their texts, of the mebibyte that a request may have."""
_REASONS_SHOWN: Final = 20


@click.command("import")
@click.argument("database", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Only say what would be taken over.")
@daemon_options
def import_(database: Path, *, dry_run: bool, config: Path | None, state: Path | None) -> Exit:
    """Take the bans over from fail2ban's DATABASE, such as /var/lib/fail2ban/fail2ban.sqlite3.

    Bans in force last until the end that they have there; those that are over go into the history, so that repeat
    offenders stay such. Stop fail2ban before. What is taken already is not taken twice. Positions in logs are not
    taken: what was written within findtime is read at the first start.
    """
    from guardhooks.control.transfer_commands import ban_to_data
    from guardhooks.ledger.fail2ban_database import read_fail2ban

    with Connection(control_socket(config, state)) as daemon:
        status = cast("dict[str, Any]", daemon.request("status"))
        jails = [jail["name"] for jail in status["jails"] if jail["state"] not in {"broken", "stopped"}]

        def bantime(jail: str) -> float:
            return float(_value(daemon, jail, "bantime")) if jail in jails else 600.0

        found = read_fail2ban(database, bantime)
        bans = [ban_to_data(ban) for ban in found.bans]
        click.echo(f"{safe_text(str(database))}: version {found.version}, {plural(len(bans), 'ban')}")
        if dry_run:
            results = ["" if ban["jail"] in jails else f"no jail is called {ban['jail']!r}" for ban in bans]
        else:
            results = _send(daemon, bans)
    return _report(bans, results, "would be taken over" if dry_run else "taken over")


def _value(daemon: Connection, jail: str, key: str) -> Any:  # noqa: ANN401 -- depends on the option
    return cast("dict[str, Any]", daemon.request("get", jail=jail, key=key))["value"]


def _send(daemon: Connection, bans: Sequence[dict[str, Any]]) -> list[str]:
    results: list[str] = []
    for batch in _batches(json.dumps(ban) for ban in bans):
        results += cast("list[str]", daemon.request("bans_import", bans=batch))
    return results


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """As many at a time as one request may hold, quoted once more."""
    batch: list[str] = []
    size = 0
    for text in texts:
        length = len(json.dumps(text))
        if batch and (size + length > _BYTES or len(batch) == _BATCH):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += length
    if batch:
        yield batch


def _report(bans: Sequence[dict[str, Any]], results: Sequence[str], verb: str) -> Exit:
    """Say how many were taken in each jail, and of the others why not."""
    taken = Counter(ban["jail"] for ban, why in zip(bans, results, strict=True) if not why)
    for jail, number in sorted(taken.items()):
        click.echo(f"[{safe_text(jail)}] {plural(number, 'ban')} {verb}")
    reasons: dict[tuple[str, str], list[str]] = {}
    for ban, why in zip(bans, results, strict=True):
        if why and why != KNOWN:
            reasons.setdefault((ban["jail"], why), []).append(ban["id"])
    known = sum(why == KNOWN for why in results)
    if known:
        click.echo(f"{plural(known, 'ban')} known already")
    for (jail, why), ids in list(reasons.items())[:_REASONS_SHOWN]:
        more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
        complain(f"[{jail}] {', '.join(ids[:3])}{more}: not taken: {why}", Exit.FAILED)
    return Exit.FAILED if reasons else Exit.DONE


@click.group()
def bans() -> None:
    """Carry bans from one machine to another."""


@bans.command()
@click.option("--jail", metavar="JAIL", help="Of this jail only. [default: of all]")
@click.option("--plain", is_flag=True, help="Ids only, one a line.")
@daemon_options
def export(*, jail: str | None, plain: bool, config: Path | None, state: Path | None) -> None:
    """Print the bans in force as JSON, one a line."""
    with Connection(control_socket(config, state)) as daemon:
        found = cast("list[dict[str, Any]]", daemon.request("bans_export", jail=jail))
    for ban in found:
        click.echo(safe_text(ban["id"]) if plain else json.dumps(ban))


@bans.command("import")
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--jail", metavar="JAIL", help="For lines that are plain addresses: ban them in this jail.")
@click.option("--for", "length", type=Duration(), metavar="DURATION", help="For these: how long. [default: bantime]")
@daemon_options
def bans_import(
    file: Any,  # noqa: ANN401 -- an open file
    *,
    jail: str | None,
    length: float | None,
    config: Path | None,
    state: Path | None,
) -> Exit:
    """Take bans from FILE (`-`: standard input): lines of `bans export`, or plain addresses with --jail.

    What follows a `#` in a plain line is left out.
    """
    lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
    rows = [_row(line) for line in lines if line.startswith("{")]
    ids = [word for line in lines if not line.startswith("{") for word in line.partition("#")[0].split()]
    if ids and jail is None:
        raise click.UsageError("the file has plain addresses; name the jail that bans them with --jail")
    with Connection(control_socket(config, state)) as daemon:
        code = _report(rows, _send(daemon, rows), "taken over")
        for begin in range(0, len(ids), _BATCH):
            batch = ids[begin : begin + _BATCH]
            answer = cast("dict[str, Any]", daemon.request("ban", jail=jail, ids=batch, length=length))
            click.echo(f"[{safe_text(jail or '')}] {plural(len(answer['banned']), 'ban')} made")
            for refused in answer["refused"]:
                code = Exit(complain(refused["reason"], Exit.FAILED))
    return code


def _row(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise click.UsageError(f"{safe_text(line, 100)!r} is not JSON: {error}") from error
    return {"jail": "", "id": "", **row}
