"""Small sites that `guardhooks check` looks at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from guardhooks.check.checking import check
from guardhooks.check.report import Report
from guardhooks.check.site import read_site
from guardhooks.model import ConfigFinding
from guardhooks.plugins import Plugins

DEFAULTS = """\
[DEFAULT]
action = observe
backend = polling
usedns = no
bantime = 10m
findtime = 10m
maxretry = 5
"""
NOW = 1_800_000_000.0


@dataclass(frozen=True, slots=True)
class SmallSite:
    """A directory with a `jail.conf`, a filter `app` and a log that is there."""

    folder: Path
    plugins: Plugins
    journal: Callable[[Sequence[str]], float | None] = lambda _matches: None

    @property
    def log(self) -> Path:
        return self.folder / "app.log"

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def report(self, *only: str, loaded: float | None = None) -> Report:
        return check(
            read_site(self.folder, self.plugins, now=NOW, loaded=loaded, extra=only, newest_entry=self.journal), only
        )

    def findings(self, jails: str) -> tuple[ConfigFinding, ...]:
        """What is found where `jail.local` says this; `{log}` in it is the log."""
        self.write("jail.local", jails.format(log=self.log))
        return self.report().findings


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    return Plugins.load()


@pytest.fixture
def small(tmp_path: Path, plugins: Plugins) -> SmallSite:
    site = SmallSite(tmp_path, plugins)
    site.write("jail.conf", DEFAULTS)
    site.write("filter.d/app.conf", "[Definition]\nfailregex = ^ failed from <HOST>$\n")
    site.write("app.log", "")
    return site


Texts = Callable[[tuple[ConfigFinding, ...]], list[str]]


def texts(findings: tuple[ConfigFinding, ...]) -> list[str]:
    return [finding.what for finding in findings]
