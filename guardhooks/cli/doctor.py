"""`doctor`: whether the guard is in order; why an address does, or does not, get through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import click

from guardhooks.cli import completion, output
from guardhooks.cli.connection import ask_daemon
from guardhooks.cli.exits import Exit
from guardhooks.cli.layout import say, wide_option
from guardhooks.cli.options import daemon_options, json_option
from guardhooks.control.protocol import NoDaemonError
from guardhooks.net.addresses import canonical
from guardhooks.text import plural, safe_text

_WORDS: Final = {"good": ("ok  ", "good"), "note": ("note", "dim"), "bad": ("BAD ", "bad")}


@click.command()
@click.argument("address", metavar="[IP]", required=False, shell_complete=completion.banned)
@json_option
@wide_option
@daemon_options
def doctor(address: str | None, *, as_json: bool, config: Path | None, state: Path | None) -> Exit:
    """Check whether everything works, or why an address does or does not get through.

    Looks at the ledger, at each action, and at what the kernel really holds: sets, rules and what comes before them,
    counters, connections. Changes nothing. Works without a daemon, too.

    Exits with 0 when all is as it should be, with 1 when something is wrong.
    """
    known = canonical(address.strip()) if address else ""
    if address and (not known or "/" in known):
        raise click.UsageError(f"{safe_text(address, 100)!r} is not a single address; name one such as 203.0.113.9")
    try:
        report = cast("dict[str, Any]", ask_daemon(config, state, "doctor", address=known or None))
    except NoDaemonError:
        report = _without_daemon(known, config, state)
    if as_json:
        output.print_json(report)
    else:
        say(*_lines(report))
    return Exit.DONE if report["healthy"] else Exit.FAILED


def _without_daemon(address: str, config: Path | None, state: Path | None) -> dict[str, Any]:
    import asyncio

    from guardhooks.cli.plugin_set import load_plugins
    from guardhooks.doctor.examination import examine
    from guardhooks.doctor.offline import offline_guard

    async def look() -> dict[str, Any]:
        guard = await offline_guard(load_plugins(config), config, state)
        return (await examine(guard, address, running=False)).to_dict()

    return asyncio.run(look())


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    about = ""
    for finding in report["findings"]:
        if finding["about"] != about:
            about = finding["about"]
            yield output.paint(safe_text(about), "strong")
        word, role = _WORDS[finding["level"]]
        yield f"  {output.paint(word, role)}  {safe_text(finding['text'])}"
        if finding["remedy"]:
            yield f"        {output.paint('remedy:', 'dim')} {safe_text(finding['remedy'])}"
    yield ""
    if report["verdict"]:
        yield output.paint(safe_text(report["verdict"]), "strong")
    number = sum(finding["level"] == "bad" for finding in report["findings"])
    found = f"{plural(number, 'thing')} wrong" if number else "nothing is wrong"
    yield output.paint(found, "bad" if number else "good")
