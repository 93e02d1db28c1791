"""What the jails of two configurations mean, fail2ban reading one and we the other, which may be the same."""

from __future__ import annotations

from pathlib import Path

from guardhooks.settings import load
from guardhooks.settings.model import Settings
from tests.compat.upstream import PLUGIN_OPTIONS, check_action, comparable, ours, upstream


def compare(theirs: Path, mine: Path) -> Settings:
    """Compare every setting and action of every jail; what we have read."""
    expected = upstream(theirs)
    settings = load(mine, PLUGIN_OPTIONS, journal=False)
    assert settings.broken == {}
    assert {jail.name for jail in settings.jails} == expected.keys()
    for jail in settings.jails:
        their = expected[jail.name]
        assert ours(jail, their) == comparable(their), jail.name
        assert [action.actname for action in jail.actions] == list(their["actions"])
        for action in jail.actions:
            check_action(dict(their["actions"][action.actname]), action)
    return settings
