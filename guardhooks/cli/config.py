"""`config show`: every value that is in effect, and where it was written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from guardhooks.cli import completion, output
from guardhooks.cli.options import daemon_options, json_option
from guardhooks.text import safe_text

if TYPE_CHECKING:
    from guardhooks.settings.effective import EffectiveSection


@click.group()
def config() -> None:
    """Look at the configuration as it is understood."""


@config.command()
@click.argument("jail", required=False, shell_complete=completion.jails)
@click.option("--origin", is_flag=True, help="Say behind each value where it was written.")
@json_option
@daemon_options
def show(jail: str | None, *, origin: bool, as_json: bool, config: Path | None, state: Path | None) -> None:  # noqa: ARG001 -- every command takes --state
    """Print every value in effect: of the daemon and all enabled jails, or of one jail, enabled or not.

    What nobody wrote has its default. Needs no daemon. The JSON always says where each value was written.
    """
    sections = _sections(config, jail)
    if as_json:
        output.print_json({section.name: _as_data(section) for section in sections})
    else:
        click.echo("\n\n".join("\n".join(_lines(section, origin=origin)) for section in sections))


def _sections(config: Path | None, jail: str | None) -> list[EffectiveSection]:
    from guardhooks.cli.plugin_set import load_plugins
    from guardhooks.settings import effective_daemon, effective_jails, find_directory, load

    directory = find_directory(config)
    tables = load_plugins(config).declared_options()
    if jail is not None:
        return list(effective_jails(directory, [jail], tables).values())
    settings = load(directory, tables)
    names = [*(each.name for each in settings.jails), *settings.broken]
    return [*effective_daemon(directory), *effective_jails(directory, names, tables).values()]


def _as_data(section: EffectiveSection) -> dict[str, dict[str, object]]:
    return {
        setting.option.name: {
            "value": setting.text,
            "file": setting.place.file if setting.place else None,
            "line": setting.place.line if setting.place else None,
        }
        for setting in section.settings
    }


def _lines(section: EffectiveSection, *, origin: bool) -> Iterator[str]:
    yield output.paint(f"[{safe_text(section.name)}]", "strong")
    for setting in section.settings:
        where = output.paint(f"  # {safe_text(setting.origin)}", "dim") if origin else ""
        first, *rest = setting.text.split("\n")
        yield f"{setting.option.name} = {safe_text(first)}".rstrip() + where
        yield from (f"    {safe_text(line)}" for line in rest)
