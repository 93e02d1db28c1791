"""The short form of the campaign in fuzz.py, and every input that it has kept."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.campaigns.fuzz import FOUND, TARGETS, inputs, tried

SEED = 20261128
COUNTS = {
    "filter": 200, "jails": 500, "lines": 10_000, "journal": 20_000, "requests": 20_000, "cursors": 20_000, "ledger": 80
}  # fmt: skip


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_input_is_refused_as_documented_or_read(name: str, tmp_path: Path) -> None:
    for data in itertools.islice(inputs(name, SEED), COUNTS[name]):
        assert tried(name, data, tmp_path) == "", data[:2000]


def test_what_once_went_wrong_is_read(tmp_path: Path) -> None:
    for path in sorted(FOUND.glob("*/*")):
        assert tried(path.parent.name, path.read_bytes(), tmp_path) == "", path
