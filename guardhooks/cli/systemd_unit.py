"""`systemd-unit`: the unit that starts this installation."""

from __future__ import annotations

from pathlib import Path

import click

from guardhooks.cli.options import daemon_options


@click.command("systemd-unit")
@daemon_options
def systemd_unit(*, config: Path | None, state: Path | None) -> None:
    """Print a systemd unit for this installation.

    It starts the daemon with the two privileges that it needs and next to no others. With -c and --state it is that of
    a daemon with its own configuration and state:

    \b
      guardhooks systemd-unit > /etc/systemd/system/guardhooks.service
      systemctl daemon-reload && systemctl enable --now guardhooks
    """  # noqa: D301 -- click keeps the lines of a paragraph that begins so
    from guardhooks.setup.units import program, unit

    click.echo(unit(program(), config=config, state=state), nl=False)
