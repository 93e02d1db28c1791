"""`test`: try a filter on a log; the counterpart of fail2ban-regex.

`arguments` and `subject` find what is tested, `log` and `source_lines` read the lines, `trial` runs them through the
matcher, `report`, `explain`, `json_lines` and `bans` (which replays them) print the result.
"""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from guardhooks.cli import completion
from guardhooks.cli.exits import Exit
from guardhooks.cli.layout import wide_option
from guardhooks.cli.options import Duration, Seconds, config_option, state_option
from guardhooks.cli.test.contradictions import refuse_contradictions
from guardhooks.cli.test.overrides import Overrides


class Moment(Seconds):
    """An ISO 8601 date and time as epoch seconds; local time where it names no zone."""

    name = "iso8601"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        if isinstance(value, float):
            return value
        try:
            return datetime.fromisoformat(str(value)).timestamp()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not an ISO 8601 time; write for example 2026-11-22T16:05:00+01:00", param, ctx)


_USEDNS = click.Choice(["yes", "warn", "no", "raw"])


@click.command(context_settings={"ignore_unknown_options": False})
@click.argument("words", metavar="LOG... FILTER [IGNOREREGEX]", nargs=-1, shell_complete=completion.log_or_filter)
@config_option
@state_option
@wide_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each line; all regexes are tried.")
@click.option("--explain", is_flag=True, help="For each line, what happened to it at each step and why.")
@click.option("--bans", is_flag=True, help="Whom the jail would have banned, when, for how long and how often.")
@click.option("--now", type=Moment(), metavar="ISO8601", help="Test as if it were this time.")
@click.option("--timezone", metavar="NAME", help="Zone of dates that name none (logtimezone).")
@click.option("--journal", is_flag=True, help="Lines are journal text without a date; their time is now.")
@click.option("--all", "every", is_flag=True, help="Try every regex on each line, also after one has matched.")
@click.option("-e", "--encoding", metavar="CODEC", help="Encoding of the log (logencoding).")
@click.option("-d", "--datepattern", metavar="PATTERN", help="Replaces the filter's datepattern.")
@click.option("-L", "--maxlines", type=click.IntRange(min=1), metavar="N", help="Replaces the filter's maxlines.")
@click.option("--usedns", type=_USEDNS, help="Replaces the jail's usedns. Names are never looked up here.")
@click.option("--maxretry", type=click.IntRange(min=1), metavar="N", help="With --bans: replaces the jail's maxretry.")
@click.option("--findtime", type=Duration(), metavar="TIME", help="With --bans: replaces the jail's findtime.")
@click.option("--bantime", type=Duration(), metavar="TIME", help="With --bans: replaces the jail's bantime.")
@click.option("--print-missed", "missed", is_flag=True, help="Print every line that nothing matched.")
@click.option("--print-ignored", "ignored", is_flag=True, help="Print every line that an ignoreregex dropped.")
@click.option("--print-matched", "matched", is_flag=True, help="Print every line that matched, and whom it blames.")
def test(
    *,
    words: tuple[str, ...],
    config: Path | None,
    state: Path | None,  # noqa: ARG001 -- every command takes it
    as_json: bool,
    explain: bool,
    bans: bool,
    now: float | None,
    every: bool,
    missed: bool,
    ignored: bool,
    matched: bool,
    **changes: Any,  # noqa: ANN401 -- the rest of the options, which bear the names of `Overrides`
) -> Exit:
    """Try a filter on a log, without a daemon.

    Shows which lines match, whom they blame, and with --explain why the others do not.

    LOG is a file, plain or compressed (.gz, .bz2, .xz, .zst), or several, read in the order of their last change; `-`
    for standard input; `systemd-journal` for the journal, with the options of backend = systemd[...] if need be; or one
    line in quotes.

    FILTER is a filter with its options, `sshd[mode=aggressive]`; a jail; the path of a filter file; or a regex in
    quotes. Where a filter and a jail share a name the filter is meant, with --bans the jail; `jail:NAME` means the
    jail.

    IGNOREREGEX replaces the filter's.

    Age rules are off. Nothing is banned and no daemon is needed. Exits with 3 when a part of the filter cannot be used.
    A run that takes longer than two seconds shows on a terminal how far it is; Ctrl-C reports on the lines until then.
    """
    from guardhooks.cli.plugin_set import load_plugins
    from guardhooks.cli.test import arguments, json_lines, report, source_lines
    from guardhooks.cli.test import bans as banning
    from guardhooks.cli.test import explain as explaining
    from guardhooks.cli.test.log import LogLines, open_log
    from guardhooks.cli.test.subject import find_subject
    from guardhooks.cli.test.trial import Trial

    listed = report.Listed(missed=missed, ignored=ignored, matched=matched)
    refuse_contradictions(
        {"--bans": bans, "--explain": explain, "--json": as_json, "--all": every, **report.options(listed)}, changes
    )
    what = arguments.read_arguments(words)
    overrides = Overrides(ignoreregex=what.ignoreregex, **changes)
    subject = find_subject(config, what.filter_text, overrides, prefer_jail=bans)
    plugins = load_plugins(config)

    def run(lines: LogLines) -> Exit:
        trial = Trial(subject, lines, plugins, time.time() if now is None else now)
        if bans:
            banning.print_bans(trial, as_json=as_json)
        elif as_json:
            json_lines.print_lines(trial)
        elif explain:
            explaining.print_explanation(trial, every=every)
        else:
            report.print_report(trial, every=every, listed=listed)
        return Exit.CONFIG if trial.problems else Exit.DONE

    if len(what.logs) == 1 and (spec := source_lines.spec_of(what.logs[0], subject.jail)):
        return run(source_lines.read_source(plugins, subject.jail, spec, what.logs[0]))
    with open_log(what.logs, overrides.encoding) as lines:
        return run(lines)
