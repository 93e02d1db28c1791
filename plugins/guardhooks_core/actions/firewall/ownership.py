"""Which action of which jail owns a set, chain or metric, so that two of them never undo each other's bans."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from guardhooks import ActionError, ActionSpec, Jail

logger = logging.getLogger("guardhooks.firewall")


class Ownership:
    """The owner of each set name. A later action of the same jail takes over, as after a reload."""

    def __init__(self, kind: str = "set") -> None:
        self._kind = kind
        self._owners: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()

    def claim(self, jail: Jail, action: ActionSpec, names: Sequence[str]) -> None:
        """Make the names belong to this action.

        :raises ActionError: when one belongs to another jail.
        """
        me = (jail.name, action.actname)
        with self._lock:
            for name in names:
                owner = self._owners.get(name, me)
                if owner[0] != jail.name:
                    raise ActionError(
                        f"action {action.actname}: {self._kind} {name} belongs to jail {owner[0]} (action {owner[1]}): "
                        "give the action a name= of its own"
                    )
                if owner != me:
                    logger.warning("[%s] action %s takes over %s %s from action %s", *me, self._kind, name, owner[1])
            self._owners.update(dict.fromkeys(names, me))

    def require(self, jail: Jail, action: ActionSpec, names: Sequence[str]) -> None:
        """Make sure that the names belong to this action.

        :raises ActionError: when another one has taken them over, or `claim` was never called.
        """
        with self._lock:
            mine = all(self._owners.get(name) == (jail.name, action.actname) for name in names)
        if not mine:
            raise ActionError(
                f"action {action.actname}: {self._kind} {names[0]} does not belong to this action (any more): start "
                "it first; two actions of one jail need different name= options"
            )

    def others(self, jail: Jail, action: ActionSpec, names: Sequence[str]) -> bool:
        """Whether one of the names belongs to another action by now: what it built must stay."""
        me = (jail.name, action.actname)
        with self._lock:
            return any(self._owners.get(name, me) != me for name in names)

    def release(self, names: Sequence[str]) -> None:
        """Let any action claim the names."""
        with self._lock:
            for name in names:
                self._owners.pop(name, None)
