"""The packaged configuration as a whole: every jail loads, every filter has a jail, and no filter is slow."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from guardhooks import Jail
from guardhooks.settings import load, load_filter
from guardhooks_core.matchers.filterd.matcher import FilterMatcher
from tests.config.corpora import CONFIG, modes, shipped

JAILLESS = frozenset({"apache-pass"})
"""Filters for jails that each user has to write."""


@pytest.fixture(scope="module")
def jails(tmp_path_factory: pytest.TempPathFactory) -> list[Jail]:
    """All jails of the packaged configuration, enabled, as it is loaded on a machine without a journal."""
    directory = tmp_path_factory.mktemp("etc") / "guardhooks"
    shutil.copytree(CONFIG, directory)
    (directory / "jail.local").write_text("[DEFAULT]\nenabled = true\n")
    settings = load(directory, journal=False)
    assert not settings.problems
    assert not settings.broken
    return list(settings.jails)


def test_every_jail_loads_without_a_finding(jails: list[Jail]) -> None:
    assert not {jail.name: jail.problems for jail in jails if jail.problems}


def test_only_sshd_is_enabled(tmp_path: Path) -> None:
    shutil.copytree(CONFIG, tmp_path / "guardhooks")
    assert [jail.name for jail in load(tmp_path / "guardhooks", journal=False).jails] == ["sshd"]


def test_every_filter_has_a_jail(jails: list[Jail]) -> None:
    served = {jail.filter.name for jail in jails if jail.filter}
    assert served == set(shipped()) - JAILLESS


@pytest.mark.parametrize("name", shipped())
def test_the_prefilter_serves_every_mode_of_a_filter(name: str) -> None:
    for mode in modes(name):
        spec = load_filter(CONFIG, f"{name}[mode={mode}]" if mode else name)
        judge = FilterMatcher([Jail(name, filter=spec)])
        assert not judge.problems
        assert not judge.costly, mode


@pytest.mark.parametrize("name", shipped())
def test_a_filter_says_in_its_head_what_it_is_for(name: str) -> None:
    assert (CONFIG / "filter.d" / f"{name}.conf").read_text(encoding="utf-8").startswith(f"# {name}.conf: ")
