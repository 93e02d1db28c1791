"""Whether this machine has what a firewall action needs, for `guardhooks check`."""

from __future__ import annotations

from collections.abc import Callable

from guardhooks import ActionError, ActionSpec, ConfigFinding, Jail, Severity, safe_text
from guardhooks_core.actions.firewall.errors import PrivilegeError


def unmet(jail: Jail, serves: Callable[[ActionSpec], bool], probe: Callable[[], object]) -> list[ConfigFinding]:
    """A finding for each action of the jail that `serves` takes, if `probe`, which only reads, raises an ActionError.

    A user who may not look is told nothing.
    """
    actions = [action for action in jail.actions if serves(action)]
    if not actions:
        return []
    try:
        probe()
    except PrivilegeError:
        return []
    except ActionError as error:
        what = safe_text(str(error), 400)
        return [
            ConfigFinding(
                f"action {action.name} cannot work: {what}", Severity.ERROR, why="its bans fail", key="action"
            )
            for action in actions
        ]
    return []
