"""`init`: a first configuration for this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from guardhooks.cli.exits import Exit, warn
from guardhooks.cli.options import config_option
from guardhooks.cli.output import columns, paint
from guardhooks.system.config_directories import CONFIG_DIRECTORIES
from guardhooks.text import safe_text

if TYPE_CHECKING:
    from guardhooks.settings import Settings
    from guardhooks.setup import Proposal

_NEXT: Final = """\
Next:
  {editor}
  guardhooks run --observe{place}   decides and logs, bans nobody; stop it with Ctrl-C
  guardhooks run{place}             bans; let the service manager start it
  guardhooks status{place}          what it does"""


@click.command()
@config_option
@click.option("--dry-run", is_flag=True, help="Print the jail.local that would be written, and write nothing.")
@click.option("-y", "--yes", is_flag=True, help="Write without asking.")
def init(config: Path | None, *, dry_run: bool, yes: bool) -> Exit:
    """Write a first configuration for what this machine serves.

    Looks at processes, listening ports, units, programs and log files, proposes jails with their real ports, and writes
    them as a jail.local that explains itself, to /etc/guardhooks or the directory of -c. The peer of your ssh session
    and the machine's private networks are never banned. No file that is there is changed.
    """
    from guardhooks.settings import catalogue, load
    from guardhooks.settings.definitions import PACKAGED
    from guardhooks.setup import jail_local, look_around, propose, write_directory

    directory = config or CONFIG_DIRECTORIES[0]
    evidence = look_around()
    proposals = propose(catalogue(PACKAGED), evidence)
    text = jail_local(proposals, evidence)
    if dry_run:
        click.echo(text, nl=False)
        return Exit.DONE
    click.echo(_table(proposals))
    if not yes:
        click.confirm(f"Write {safe_text(str(directory / 'jail.local'))}?", abort=True)
    written, kept = write_directory(directory, text)
    click.echo(f"\n{len(written)} files written to {safe_text(str(directory))}, {len(kept)} kept as they were.")
    return _checked(directory, load(directory))


def _table(proposals: Sequence[Proposal]) -> str:
    rows = [
        (each.service.name, each.port or each.service.ports, safe_text(each.why), safe_text((*each.logs, "-")[0]))
        for each in proposals
    ]
    return "\n".join(columns(("JAIL", "PORTS", "WHY", "LOG"), rows)) if rows else "Nothing to watch was found."


def _checked(directory: Path, settings: Settings) -> Exit:
    """Say what is wrong with what is there now, and what to do next."""
    problems = [*settings.problems, *(each for jail in settings.jails for each in jail.problems)]
    problems += [each for broken in settings.broken.values() for each in broken]
    for problem in problems:
        warn(str(problem))
    state = paint("the configuration is fine", "good") if not problems else f"{len(problems)} problems, see above"
    click.echo(f"{len(settings.jails)} jails: {state}.\n")
    place = "" if directory == CONFIG_DIRECTORIES[0] else f" -c {safe_text(str(directory))}"
    click.echo(_NEXT.format(editor=f"$EDITOR {safe_text(str(directory / 'jail.local'))}", place=place))
    return Exit.CONFIG if settings.broken else Exit.DONE
