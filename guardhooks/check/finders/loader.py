"""What reading the configuration complains about, and jails that cannot run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from guardhooks.check.site import Site
from guardhooks.model import ConfigFinding, Problem, Severity

_NEAREST: Final = re.compile(r"; did you mean '([^']+)'\?")


def loader_problems(site: Site) -> Iterator[ConfigFinding]:
    """Everything that the daemon would log when it reads the configuration."""
    for problem in [*site.settings.problems, *site.settings.remarks, *site.plugins.problems]:
        yield from_problem(problem, why="it is used without this" if problem.fatal else "")
    for name, problems in site.settings.broken.items():
        for problem in problems:
            yield from_problem(problem, name, why="the jail does not run" if problem.fatal else "")
    for jail in site.jails.values():
        for problem in [*jail.problems, *site.plugins.unknown_switches(jail)]:
            yield from_problem(problem, jail.name, why="the jail runs without this")
        for remark in jail.remarks:
            yield from_problem(remark, jail.name)
    if site.settings.base is not None:
        yield ConfigFinding(
            "there is no jail.conf under this jail.local, so the packaged one is its base", Severity.NOTE,
            why="jails that it enables run, too", remedy="copy jail.conf beside it if another one was meant",
            file=str(site.settings.directory / "jail.local"),
        )  # fmt: skip
    if not site.settings.jails and not site.settings.broken:
        yield ConfigFinding(
            "no jail is enabled", Severity.ERROR, why="nothing is guarded",
            remedy="write `enabled = true` into the section of a jail in jail.local", file=str(site.settings.directory),
        )  # fmt: skip


def from_problem(problem: Problem, jail: str = "", *, why: str = "") -> ConfigFinding:
    """The finding that a problem of the loader or of a plugin amounts to."""
    nearest = _NEAREST.search(problem.message)
    message = _NEAREST.sub("", problem.message)
    return ConfigFinding(
        what=f"{problem.key}: {message}" if problem.key else message,
        severity=_severity(problem),
        why=why,
        remedy=f"write {nearest[1]!r}" if nearest else "",
        nearest=nearest[1] if nearest else "",
        key=problem.key,
        file=problem.file,
        line=problem.line,
        jails=(jail,) if jail else (),
    )


def _severity(problem: Problem) -> Severity:
    if problem.remark:
        return Severity.NOTE
    return Severity.ERROR if problem.fatal else Severity.WARNING
