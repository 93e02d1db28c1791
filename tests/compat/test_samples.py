"""Every sample log of the installed fail2ban holds: match, host, time, every named field."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from guardhooks import FilterSpec
from guardhooks.settings import load_filter
from tests.compat.samples import ZONE, Judge, cases

FILTERS = Path("/etc/fail2ban/filter.d")
# The package's own test filters include the stock ones by a path seven folders up.
STOCK, OWN = "config/filter.d", "1/2/3/4/5/config/filter.d"


def _installed() -> Path | None:
    if not shutil.which("dpkg") or not FILTERS.is_dir():
        return None
    listing = subprocess.run(["dpkg", "-L", "fail2ban"], capture_output=True, text=True, check=False).stdout
    folders = [Path(line) for line in listing.splitlines() if line.endswith("fail2ban/tests")]
    return folders[0] if folders else None


INSTALLED = _installed()
if INSTALLED is None and not os.environ.get("CI"):
    pytest.skip("needs the sample logs of Debian's package fail2ban", allow_module_level=True)
assert INSTALLED is not None, "CI has Debian's package fail2ban"
TESTS: Final = INSTALLED
SAMPLES = TESTS / "files" / "logs"
NAMES = sorted(file.name for file in SAMPLES.iterdir() if file.is_file() and file.name != "sshd-journal")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stock filters and the package's own test filters, side by side as in its source tree; nothing is copied."""
    root = tmp_path_factory.mktemp("source")
    for target, origin in ((STOCK, FILTERS), (OWN, TESTS / "config" / "filter.d")):
        (root / target).mkdir(parents=True)
        for file in origin.iterdir():
            (root / target / file.name).symlink_to(file)
    return root


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", ZONE)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="module")
def tally() -> Iterator[list[tuple[int, int]]]:
    counts: list[tuple[int, int]] = []
    yield counts
    total = sum(count for count, _ in counts)
    held = total - sum(faults for _, faults in counts)
    print(f"\n{held} of {total} sample cases hold")


def load_stock(tree: Path, name: str, options: Mapping[str, str]) -> FilterSpec:
    """A stock filter, or one of the package's own test filters, with bracket options."""
    brackets = ", ".join(f'{key}="{value}"' for key, value in options.items())
    return load_filter((tree / (OWN if name.startswith("zzz-") else STOCK)).parent, f"{name}[{brackets}]")


@pytest.mark.parametrize("name", NAMES)
def test_samples_of_a_filter_hold(name: str, tree: Path, tally: list[tuple[int, int]]) -> None:
    judge = Judge(lambda options: load_stock(tree, name, options))
    for case in cases(SAMPLES, name):
        judge.run(case)
    tally.append((judge.count, len(judge.faults)))
    assert judge.faults == []
    assert judge.unused() == []
