"""`config show`: every value that is in effect, and where it was written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from guardhooks.cli import completion, output
from guardhooks.cli.connection import ask_daemon
from guardhooks.cli.layout import say, wide_option
from guardhooks.cli.options import daemon_options, json_option
from guardhooks.errors import StateError
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
@wide_option
@daemon_options
def show(jail: str | None, *, origin: bool, as_json: bool, config: Path | None, state: Path | None) -> None:
    """Print every value in effect: of the daemon and all enabled jails, or of one jail, enabled or not.

    What nobody wrote has its default. Needs no daemon; where one runs with this configuration, values that were changed
    in it (`guardhooks set`) are shown behind those of the files. The JSON always says where each value was written.
    """
    sections = _sections(config, jail)
    running = _changed_in_the_daemon(config, state)
    if as_json:
        output.print_json({section.name: _as_data(section, running) for section in sections})
    else:
        say("\n\n".join("\n".join(_lines(section, running, origin=origin)) for section in sections))


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


def _changed_in_the_daemon(config: Path | None, state: Path | None) -> dict[tuple[str, str], str]:
    """What was changed in the daemon that runs with this configuration, by jail and option; nothing where none runs."""
    from guardhooks.settings import find_directory
    from guardhooks.status import GuardStatus, from_dict

    try:
        status = from_dict(GuardStatus, cast("dict[str, Any]", ask_daemon(config, state, "status")))
    except StateError:
        return {}
    if Path(status.config).absolute() != find_directory(config).absolute():
        return {}
    return {(each.jail, each.key): each.value for jail in status.jails for each in jail.changes}


def _as_data(section: EffectiveSection, running: dict[tuple[str, str], str]) -> dict[str, dict[str, object]]:
    return {
        setting.option.name: {
            "value": setting.text,
            "file": setting.place.file if setting.place else None,
            "line": setting.place.line if setting.place else None,
            **({"running": running[at]} if (at := (section.name, setting.option.name)) in running else {}),
        }
        for setting in section.settings
    }


def _lines(section: EffectiveSection, running: dict[tuple[str, str], str], *, origin: bool) -> Iterator[str]:
    yield output.paint(f"[{safe_text(section.name)}]", "strong")
    for setting in section.settings:
        where = output.paint(f"  # {safe_text(setting.origin)}", "dim") if origin else ""
        changed = running.get((section.name, setting.option.name))
        if changed is not None:
            where += output.paint(
                f"  # in the running guard: {safe_text(changed.replace(chr(10), ' | '), 200)}", "warn"
            )
        first, *rest = setting.text.split("\n")
        yield f"{setting.option.name} = {safe_text(first)}".rstrip() + where
        yield from (f"    {safe_text(line)}" for line in rest)
