"""docs/services.md and the examples of `guardhooks services` are those of the packaged jails and their tests."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / "docs" / "generate.py"


def test_the_page_of_services_and_the_examples_are_up_to_date() -> None:
    if not SCRIPT.is_file():
        pytest.skip("not run from a checkout")
    generated = runpy.run_path(str(SCRIPT))
    assert generated["SERVICES"].read_text() == generated["services"](), f"run python {SCRIPT}"
    assert generated["ATTACKS"].read_text() == generated["attacks"](), f"run python {SCRIPT}"
    assert generated["EXAMPLES"].read_text() == generated["examples"](), f"run python {SCRIPT}"
