"""All findings of a check: each cause once, the worst first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from guardhooks.model import ConfigFinding, Severity

_ORDER = list(Severity)


@dataclass(frozen=True, slots=True)
class Report:
    """`jails` are all jails that were looked at, `running` tells whether any jail could run."""

    directory: str
    findings: tuple[ConfigFinding, ...]
    jails: tuple[str, ...]
    running: bool

    @property
    def clean(self) -> bool:
        """Whether there is nothing but notes."""
        return all(finding.severity is Severity.NOTE for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As `guardhooks check --json` prints it."""
        return {
            "directory": self.directory,
            "clean": self.clean,
            "can_run": self.running,
            "jails": list(self.jails),
            "findings": [{**asdict(finding), "severity": finding.severity.value} for finding in self.findings],
        }


def merged(findings: Iterable[ConfigFinding]) -> tuple[ConfigFinding, ...]:
    """One finding for each cause, with all jails that it touches; the worst first, else in the order found.

    What is found at one line of a file is a cause of its own; what carries no place of its own is known by its words.
    """
    by_cause: dict[tuple[str, str, str], ConfigFinding] = {}
    for finding in findings:
        cause = (finding.severity, finding.what, finding.place)
        known = by_cause.get(cause)
        jails = dict.fromkeys([*(known.jails if known else ()), *finding.jails])
        by_cause[cause] = replace(known or finding, jails=tuple(jails))
    return tuple(sorted(by_cause.values(), key=lambda finding: _ORDER.index(finding.severity)))
