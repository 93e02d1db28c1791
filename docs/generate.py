"""Writes the pages that are generated: `python docs/generate.py`. A test checks that they are up to date."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from guardhooks.plugins import Plugins, loading
from guardhooks.settings import Service, catalogue
from guardhooks.settings.reference import render_page

CONFIGURATION = Path(__file__).parent / "configuration.md"
SERVICES = Path(__file__).parent / "services.md"
CONFIG = Path(__file__).parent.parent / "config"
EXAMPLES = CONFIG / "examples.json"
ATTACKS = CONFIG / "attacks.json"
CORPUS = Path(__file__).parent.parent / "tests" / "config" / "corpus"
EXAMPLES_OF_EACH = 3


def configuration() -> str:
    """docs/configuration.md, with the options of the packaged plugins."""
    plugins = Plugins()
    for candidate in loading.installed():
        if candidate.origin.startswith(f"{loading.OWN_DISTRIBUTION} "):
            plugins.register(loading.load(candidate), candidate.name, candidate.origin)
    return render_page(sorted(plugins.declared_options(), key=lambda table: table.title))


def examples() -> str:
    """config/examples.json: the first lines that each filter's tests say it counts."""
    found = {path.stem: _counted(path.read_text(encoding="utf-8")) for path in sorted(CORPUS.glob("*.txt"))}
    return json.dumps({name: lines for name, lines in found.items() if lines}, indent=1) + "\n"


def attacks() -> str:
    """config/attacks.json: where clients' text stands in the lines of each filter, for `guardhooks check`."""
    from tests.config.payloads import hostile_filters, templates

    return json.dumps({name: templates(name)[0] for name in hostile_filters()}, indent=1) + "\n"


def _counted(text: str) -> list[str]:
    blocks = re.findall(r"^\+.*\n((?:.+\n?)+)", text, re.MULTILINE)
    return [block.rstrip("\n").split("\n")[-1] for block in blocks[:EXAMPLES_OF_EACH]]


_SERVICES_HEAD = """\
# Services

Written by `python docs/generate.py`. Every jail that is shipped, by the file in `config/jail.d/` that holds it. All but
`sshd` are disabled: `guardhooks init` finds out which this machine needs, `guardhooks services NAME` shows one with
lines that it counts. What a filter counts, and the price of its modes, stands at the head of its file in
`config/filter.d/`.

*Counts* is `maxretry` failures within `findtime`. *Tried* names the server of Debian 12 that the end-to-end tests run
and fail at; all others are tested with lines in the formats of their servers.
"""


def services() -> str:
    """docs/services.md, from the packaged jails."""
    from tests.e2e.servers import SERVERS

    tried = {server.jail: server.program for server in SERVERS} | {"sshd": "sshd"}
    every = catalogue(CONFIG)
    groups = dict.fromkeys(service.group for service in every)
    parts = [_SERVICES_HEAD, f"{len(every)} jails, {len({service.filter for service in every})} filters.\n"]
    for group in groups:
        rows = [_row(service, tried.get(service.name, "")) for service in every if service.group == group]
        parts.append(f"## {group or 'jail.conf'}\n\n" + _table(rows))
    return "\n".join(parts)


def _row(service: Service, tried: str) -> tuple[str, ...]:
    jail = service.jail
    logs = " ".join(f"`{log}`" for log in service.logs)
    journal = " ".join(f"`{match}`" for match in jail.filter.journalmatch) if jail.filter else ""
    counts = f"{jail.maxretry} in {jail.findtime / 60:g} min"
    modes = ", ".join(service.modes)
    about = service.about.replace("|", "\\|")
    return (f"`{service.name}`", about, f"`{service.filter}`", service.ports, logs, journal, counts, modes, tried)


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    head = ("Jail", "Service", "Filter", "Ports", "Logs", "Journal", "Counts", "Modes", "Tried")
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.path.insert(0, str(CONFIG.parent))
    CONFIGURATION.write_text(configuration())
    EXAMPLES.write_text(examples())
    ATTACKS.write_text(attacks())
    SERVICES.write_text(services())
