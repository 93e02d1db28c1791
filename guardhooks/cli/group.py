"""The command group: which command lives where, and what happens to unknown ones."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from typing import Any, Final, NoReturn

import click

import guardhooks
from guardhooks.cli import exits
from guardhooks.cli.options import config_option

_COMMANDS: Final = {
    "init": "init",
    "run": "daemon",
    "status": "status",
    "doctor": "doctor",
    "ban": "bans",
    "unban": "bans",
    "banned": "runtime",
    "bans": "transfer",
    "import": "transfer",
    "attempt": "runtime",
    "get": "runtime",
    "set": "runtime",
    "jail": "runtime",
    "reload": "daemon",
    "stop": "daemon",
    "ping": "status",
    "check": "check",
    "config": "config",
    "plugins": "status",
    "test": "test",
    "services": "services",
    "systemd-unit": "systemd_unit",
    "version": "status",
}
"""Command → module of `guardhooks.cli` that holds it under its name, with `_` for `-`, in the order of `--help`."""


class GuardhooksGroup(click.Group):
    """Imports a command when it is asked for; asks plugins for commands that are not our own."""

    _asked_plugins = False

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]  # noqa: ANN401 -- click's own signature
        """Run and exit, with one of `exits.Exit`."""
        extra["standalone_mode"] = False
        run = super().main
        sys.exit(exits.guarded(lambda: run(args=args, prog_name=prog_name, **extra)))

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._ask_plugins(ctx)
        from guardhooks.cli.other_plugins import declared_commands

        return [*_COMMANDS, *sorted({*self.commands, *declared_commands()} - _COMMANDS.keys())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is not None:
            attribute = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name.replace("-", "_")
            command: click.Command = getattr(import_module(f"guardhooks.cli.{module}"), attribute)
            return command
        if cmd_name not in self.commands:
            self._take_declared(cmd_name)
        if cmd_name not in self.commands:
            self._ask_plugins(ctx)
        return self.commands.get(cmd_name)

    def _take_declared(self, name: str) -> None:
        """Import the command that a distribution declares; one that cannot be imported costs only itself."""
        from guardhooks.cli.other_plugins import declared_commands

        if (target := declared_commands().get(name)) is None:
            return
        module, _, attribute = target.partition(":")
        try:
            command = getattr(import_module(module), attribute)
        except Exception as error:  # noqa: BLE001 -- the plugin boundary
            exits.warn(f"command {name} ({target}) cannot be loaded: {error}")
            return
        if isinstance(command, click.Command):
            self.add_command(command, name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(name, self.list_commands(ctx), 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"no such command {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def _ask_plugins(self, ctx: click.Context) -> None:
        """Let plugins add their commands, once. One that cannot be loaded costs its own commands only."""
        if self._asked_plugins:
            return
        self._asked_plugins = True
        from guardhooks.cli.other_plugins import may_add_commands

        directory: Path | None = ctx.params.get("config")
        if may_add_commands(directory):
            from guardhooks.cli.plugin_set import add_plugin_commands

            add_plugin_commands(self, directory)


@click.group(
    cls=GuardhooksGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=exits.HELP,
)
@click.version_option(guardhooks.__version__, "--version", "-V", prog_name="guardhooks", message="%(prog)s %(version)s")
@config_option
@click.pass_context
def cli(ctx: click.Context, config: Path | None) -> None:
    """Host intrusion prevention: reads fail2ban's configuration, bans in the kernel, every stage a plugin.

    First steps: `guardhooks init` writes a configuration for this machine, `guardhooks run` starts the daemon in the
    foreground, `guardhooks status` shows what it does, `guardhooks test LOG FILTER` tries a filter on a log.
    """
    ctx.obj = config
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        ctx.exit(exits.Exit.USAGE)
