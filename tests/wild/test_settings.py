"""Every jail of the trees means to guardhooks what it means to Debian's fail2ban."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from guardhooks.settings import load
from tests.compat.upstream import MISSING, PLUGIN_OPTIONS, UNREAD, check_action, comparable, ours, upstream
from tests.wild.trees import FOLDER, NAMES, files, laid_out

pytestmark = pytest.mark.skipif(MISSING and "CI" not in os.environ, reason="Debian's fail2ban is not installed")


@pytest.mark.parametrize("name", NAMES)
def test_a_tree_means_what_it_means_to_fail2ban(name: str, tmp_path: Path) -> None:
    config = laid_out(name, tmp_path / "etc")
    theirs = upstream(config)
    settings = load(config, PLUGIN_OPTIONS, journal=False)
    assert settings.broken == {}
    assert {jail.name for jail in settings.jails} == theirs.keys()
    for jail in settings.jails:
        their = theirs[jail.name]
        assert [problem for problem in jail.problems if not UNREAD.search(problem.message)] == []
        assert ours(jail, their) == comparable(their), jail.name
        assert [action.actname for action in jail.actions] == list(their["actions"])
        for action in jail.actions:
            check_action(dict(their["actions"][action.actname]), action)


def test_there_are_enough_of_all_styles() -> None:
    jails = sum(text.count("\nenabled") for text in (file.read_text() for file in FOLDER.glob("*/jail.d/*.*")))
    jails += sum(file.read_text().count("\nenabled") for file in FOLDER.glob("*/jail.[cl]*"))
    assert jails >= 60
    assert len(files("filter.d")) >= 60
    assert len(files("action.d")) >= 40
