"""`check`: what is wrong with the configuration, before anything runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from guardhooks.cli import completion, output
from guardhooks.cli.exits import Exit
from guardhooks.cli.layout import say, wide_option
from guardhooks.cli.options import daemon_options, json_option
from guardhooks.text import plural, safe_text

if TYPE_CHECKING:
    from guardhooks.check.report import Report
    from guardhooks.model import ConfigFinding

_ROLES: Final = {"error": "bad", "warning": "warn", "note": "dim"}


@click.command()
@click.argument("jails", nargs=-1, metavar="[JAIL]...", shell_complete=completion.jails)
@json_option
@wide_option
@daemon_options
def check(jails: tuple[str, ...], *, as_json: bool, config: Path | None, state: Path | None) -> Exit:
    """Say what is wrong with the configuration: of all enabled jails, or of these, enabled or not.

    Needs no daemon and changes nothing: run it before a start or a reload.

    Exits with 0 when there is nothing but notes, with 6 when there are findings, with 3 when no jail could run.
    """
    from guardhooks.check.checking import check as check_site
    from guardhooks.check.site import read_site
    from guardhooks.cli.plugin_set import load_plugins
    from guardhooks.settings import find_directory

    directory = find_directory(config)
    plugins = load_plugins(config, all_required=True)
    loaded = _when_loaded(directory, config, state)
    report = check_site(read_site(directory, plugins, now=time.time(), loaded=loaded, extra=jails), jails)
    if as_json:
        output.print_json(report.to_dict())
    else:
        say(*report_lines(report))
    if not report.running:
        return Exit.CONFIG
    return Exit.DONE if report.clean else Exit.DEGRADED


def _when_loaded(directory: Path, config: Path | None, state: Path | None) -> float | None:
    """When a running daemon read this directory, in seconds since the epoch."""
    from guardhooks.cli.connection import ask_daemon
    from guardhooks.errors import GuardhooksError

    try:
        status = ask_daemon(config, state, "status")
    except GuardhooksError:
        return None  # none runs, or none that this user may ask: then there is nothing to compare with
    if not isinstance(status, dict) or Path(str(status.get("config"))).resolve() != directory.resolve():
        return None
    return float(status.get("configured") or 0.0) or None


def report_lines(report: Report) -> Iterator[str]:
    """All findings, and a last line with their number."""
    from guardhooks.model import Severity

    for finding in report.findings:
        yield from _finding(finding, report)
        yield ""
    numbers = {severity: sum(each.severity is severity for each in report.findings) for severity in Severity}
    told = ", ".join(plural(number, severity.value) for severity, number in numbers.items() if number)
    yield output.paint(told or f"nothing is wrong with {plural(len(report.jails), 'jail')}", _role(report))
    if not report.running:
        yield output.paint("no jail could run", "bad")


def _role(report: Report) -> str:
    return "good" if report.clean and report.running else "bad"


def _finding(finding: ConfigFinding, report: Report) -> Iterator[str]:
    about = _about(finding.jails, report)
    head = ": ".join(filter(None, [finding.place, about]))
    word = output.paint(finding.severity.value, _ROLES[finding.severity.value])
    yield f"{word}: {safe_text(head)}" if head else word
    yield f"  {safe_text(finding.what)}"
    if finding.why:
        yield f"  {output.paint('so:', 'dim')} {safe_text(finding.why)}"
    hint = f"did you mean {finding.nearest!r}?" if finding.nearest and finding.nearest not in finding.remedy else ""
    remedy = "; ".join(filter(None, [finding.remedy, hint]))
    if remedy:
        yield f"  {output.paint('remedy:', 'dim')} {safe_text(remedy)}"


def _about(jails: tuple[str, ...], report: Report) -> str:
    """`jail sshd`, `jails a, b`, `both jails`, `all 14 jails`."""
    if len(jails) > 1 and set(jails) >= set(report.jails):
        return f"all {len(jails)} jails" if len(jails) > 2 else "both jails"
    return f"jail{'s' * (len(jails) > 1)} {', '.join(jails)}" if jails else ""
