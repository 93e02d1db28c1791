"""Every jail of the trees means to guardhooks what it means to Debian's fail2ban."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.compat.upstream import MISSING, UNREAD
from tests.wild.comparison import compare
from tests.wild.trees import FOLDER, NAMES, files, laid_out

pytestmark = pytest.mark.skipif(MISSING and "CI" not in os.environ, reason="Debian's fail2ban is not installed")


@pytest.mark.parametrize("name", NAMES)
def test_a_tree_means_what_it_means_to_fail2ban(name: str, tmp_path: Path) -> None:
    config = laid_out(name, tmp_path / "etc")
    for jail in compare(config, config).jails:
        assert [problem for problem in jail.problems if not UNREAD.search(problem.message)] == []


def test_there_are_enough_of_all_styles() -> None:
    jails = sum(text.count("\nenabled") for text in (file.read_text() for file in FOLDER.glob("*/jail.d/*.*")))
    jails += sum(file.read_text().count("\nenabled") for file in FOLDER.glob("*/jail.[cl]*"))
    assert jails >= 60
    assert len(files("filter.d")) >= 60
    assert len(files("action.d")) >= 40
