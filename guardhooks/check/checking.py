"""Asks every finder and puts the answers together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from guardhooks.check.finders.actions import unserved_actions
from guardhooks.check.finders.ban_times import contradicting_ban_times
from guardhooks.check.finders.changed_files import changed_files
from guardhooks.check.finders.history import short_history
from guardhooks.check.finders.loader import loader_problems
from guardhooks.check.finders.logs import unusable_logs
from guardhooks.check.finders.overlaps import jails_that_do_the_same
from guardhooks.check.finders.penalties import penalties_that_hide_failures
from guardhooks.check.finders.plugins import findings_of_plugins
from guardhooks.check.finders.ports import wrong_ports
from guardhooks.check.finders.programs import missing_programs
from guardhooks.check.finders.recidive import recidive_jails_that_cannot_work
from guardhooks.check.report import Report, merged
from guardhooks.check.site import Site
from guardhooks.model import ConfigFinding

Finder: TypeAlias = Callable[[Site], Iterator[ConfigFinding]]

FINDERS: Final[tuple[Finder, ...]] = (
    loader_problems,
    findings_of_plugins,
    recidive_jails_that_cannot_work,
    contradicting_ban_times,
    short_history,
    jails_that_do_the_same,
    unusable_logs,
    unserved_actions,
    missing_programs,
    wrong_ports,
    penalties_that_hide_failures,
    changed_files,
)


def check(site: Site, only: Sequence[str] = ()) -> Report:
    """Everything that is wrong with the configuration.

    :param only: names of jails; what touches none of them is left out, unless it touches no jail in particular.
    """
    findings = merged(finding for finder in FINDERS for finding in finder(site))
    if only:
        findings = tuple(each for each in findings if not each.jails or set(only).intersection(each.jails))
    jails = only or (*site.jails, *site.settings.broken)
    running = any(name in site.jails for name in jails)
    placed = tuple(_placed(site, finding) for finding in findings)
    return Report(str(site.settings.directory), placed, tuple(jails), running)


def _placed(site: Site, finding: ConfigFinding) -> ConfigFinding:
    """The finding with the file and line of the option that it is about."""
    if finding.file or not finding.jails or not finding.key:
        return finding
    file, line = site.place(finding.jails[0], finding.key)
    return replace(finding, file=file, line=line)
