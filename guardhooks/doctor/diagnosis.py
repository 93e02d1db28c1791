"""The findings of one examination, and their form as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from guardhooks.model import Finding, Level


@dataclass(slots=True)
class Diagnosis:
    """Findings by what they are about (`daemon`, `jail sshd`, `action sshd/nftables`), in order.

    `verdict` is the conclusion about an address; `kept_out` whether its packets are dropped (None: unknown). Each probe
    has `patience` seconds; they run side by side.
    """

    address: str = ""
    running: bool = True
    findings: list[tuple[str, Finding]] = field(default_factory=list)
    verdict: str = ""
    kept_out: bool | None = None
    patience: float = 8.0

    def add(self, about: str, findings: Iterable[Finding]) -> None:
        """Take findings about one thing."""
        self.findings += [(about, finding) for finding in findings]

    @property
    def healthy(self) -> bool:
        """Whether all is as it should be."""
        return not any(finding.level is Level.BAD for _, finding in self.findings)

    def to_dict(self) -> dict[str, object]:
        """The same as JSON-able values."""
        return {
            "address": self.address or None,
            "running": self.running,
            "healthy": self.healthy,
            "findings": [
                {"about": about, "level": str(finding.level), "text": finding.text, "remedy": finding.remedy}
                for about, finding in self.findings
            ],
            "verdict": self.verdict,
            "kept_out": self.kept_out,
        }


def good(text: str) -> Finding:
    """As it should be."""
    return Finding(text, Level.GOOD)


def note(text: str, remedy: str = "") -> Finding:
    """Worth knowing."""
    return Finding(text, Level.NOTE, remedy)


def bad(text: str, remedy: str = "") -> Finding:
    """Wrong."""
    return Finding(text, Level.BAD, remedy)
