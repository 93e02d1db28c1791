"""`services`: which servers are known, and what is counted of one."""

from __future__ import annotations

from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from guardhooks.cli import completion
from guardhooks.cli.layout import say, wide_option
from guardhooks.cli.options import config_option, json_option
from guardhooks.cli.output import columns, fields, paint, print_json
from guardhooks.errors import ConfigError
from guardhooks.system.config_directories import CONFIG_DIRECTORIES
from guardhooks.text import duration, plural, safe_text

if TYPE_CHECKING:
    from guardhooks.settings import Service


@click.command()
@click.argument("name", required=False, shell_complete=completion.services)
@config_option
@json_option
@wide_option
def services(name: str | None, config: Path | None, *, as_json: bool) -> None:
    """List the servers that are known, or show one.

    Each is a jail that can be switched on. With the NAME of one: its ports, its logs, what its filter counts, and lines
    as examples. A NAME that is no jail's lists the jails that it occurs in. Read are the jails of -c DIR, else of
    /etc/guardhooks, else the packaged ones.
    """
    from guardhooks.settings import catalogue, find_directory
    from guardhooks.settings.definitions import PACKAGED

    own = CONFIG_DIRECTORIES[0]
    directory = find_directory(config or (own if own.is_dir() else PACKAGED))
    every = catalogue(directory)
    exact = next((service for service in every if service.name == name), None)
    if exact is not None:
        print_json(_facts(exact, directory)) if as_json else say(_page(exact, directory))
        return
    found = [service for service in every if name is None or _mentions(service, name)]
    if not found:
        near = get_close_matches(str(name), [service.name for service in every], 1)
        hint = f"; did you mean {near[0]!r}?" if near else "; `guardhooks services` lists all"
        raise ConfigError(f"no service {name!r} is known{hint}")
    if as_json:
        print_json([_facts(service, directory) for service in found])
    else:
        rows = [(safe_text(each.name), safe_text(each.about.partition(". ")[0].rstrip("."), 80)) for each in found]
        say(*columns(("JAIL", "SERVICE"), rows))


def _mentions(service: Service, word: str) -> bool:
    return word.casefold() in f"{service.name} {service.filter} {service.about}".casefold()


def _facts(service: Service, directory: Path) -> dict[str, object]:
    from guardhooks.settings import about_filter, examples

    jail = service.jail
    return {
        "jail": jail.name,
        "about": service.about,
        "group": service.group,
        "filter": service.filter,
        "modes": service.modes,
        "ports": service.ports,
        "logs": service.logs,
        "journal": jail.filter.journalmatch if jail.filter else (),
        "maxretry": jail.maxretry,
        "findtime": jail.findtime,
        "problems": [asdict(problem) for problem in jail.problems],
        "counts": about_filter(directory, service.filter),
        "examples": examples(service.filter),
    }


def _page(service: Service, directory: Path) -> str:
    from guardhooks.settings import about_filter, examples

    jail = service.jail
    pairs = [("filter", service.filter), ("modes", ", ".join(service.modes)), ("ports", service.ports)]
    pairs += [("log" if index == 0 else "", log) for index, log in enumerate(service.logs)]
    pairs += [("journal", match) for match in (jail.filter.journalmatch if jail.filter else ())]
    pairs.append(("bans after", f"{plural(jail.maxretry, 'failure')} within {duration(jail.findtime)}"))
    shown = [(key, safe_text(value)) for key, value in pairs if value]
    lines = [paint(safe_text(service.name), "strong") + f"  {safe_text(service.about)}", "", *fields(shown)]
    head = about_filter(directory, service.filter)
    lines += ["", *(f"  {safe_text(line)}" for line in head.splitlines())]
    samples = examples(service.filter)
    if samples:
        lines += ["", "  Lines that it counts:", *(f"    {safe_text(line)}" for line in samples)]
    lines += ["", "  Switch it on in jail.local:", "", f"    [{safe_text(service.name)}]", "    enabled = true"]
    return "\n".join(lines)
