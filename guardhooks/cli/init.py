"""`init`: a first configuration for this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from guardhooks.cli.check import report_lines
from guardhooks.cli.exits import Exit
from guardhooks.cli.layout import say
from guardhooks.cli.options import config_option
from guardhooks.cli.output import columns
from guardhooks.cli.plugin_set import load_plugins
from guardhooks.system.config_directories import CONFIG_DIRECTORIES
from guardhooks.text import plural, safe_text

if TYPE_CHECKING:
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
    from guardhooks.settings import catalogue
    from guardhooks.settings.definitions import PACKAGED
    from guardhooks.setup import jail_local, look_around, propose, write_directory

    directory = config or CONFIG_DIRECTORIES[0]
    evidence = look_around()
    proposals = propose(catalogue(PACKAGED), evidence)
    text = jail_local(proposals, evidence)
    if dry_run:
        click.echo(text, nl=False)
        return Exit.DONE
    say(_table(proposals))
    if not yes:
        click.confirm(f"Write {safe_text(str(directory / 'jail.local'))}?", abort=True)
    written, kept = write_directory(directory, text)
    say(f"\n{plural(len(written), 'file')} written to {safe_text(str(directory))}, {len(kept)} kept as they were.")
    return _checked(directory)


def _table(proposals: Sequence[Proposal]) -> str:
    rows = [
        (each.service.name, each.port or each.service.ports, safe_text(each.why), safe_text((*each.logs, "-")[0]))
        for each in proposals
    ]
    return "\n".join(columns(("JAIL", "PORTS", "WHY", "LOG"), rows)) if rows else "Nothing to watch was found."


def _checked(directory: Path) -> Exit:
    """Say what `guardhooks check` finds in what is there now, without its notes, and what to do next."""
    from guardhooks.check.checking import check
    from guardhooks.check.site import read_site
    from guardhooks.model import Severity

    report = check(read_site(directory, load_plugins(directory), now=time.time()))
    worse = tuple(each for each in report.findings if each.severity is not Severity.NOTE)
    say(f"\nguardhooks check{_place(directory)}:", *report_lines(replace(report, findings=worse)), "")
    click.echo(_NEXT.format(editor=f"$EDITOR {safe_text(str(directory / 'jail.local'))}", place=_place(directory)))
    return Exit.DONE if report.running else Exit.CONFIG


def _place(directory: Path) -> str:
    """The option that names the directory, empty where it is the one that every command takes."""
    return "" if directory == CONFIG_DIRECTORIES[0] else f" -c {safe_text(str(directory))}"
