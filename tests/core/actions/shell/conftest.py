from pathlib import Path

import pytest

from tests.core.actions.shell.kit import NOW, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, lambda: NOW)
