"""Which actions a change by others concerns, and the guard that is asked to check those."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable

from guardhooks import ActionSpec, GuardView, Jail
from guardhooks_core.actions.firewall.aggregate import Merging
from guardhooks_core.actions.firewall.entries import entry_text
from guardhooks_core.actions.firewall.parameters import Policy


class ChangeSubscriptions:
    """The started actions of a plugin, each under the names of the sets and chains whose changes concern it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._actions: dict[tuple[str, str], frozenset[str]] = {}
        self._guard: GuardView | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    def connect(self, guard: GuardView) -> None:
        """Use this guard; for the thread of its event loop."""
        self._guard, self.loop = guard, asyncio.get_running_loop()

    def disconnect(self) -> None:
        """The guard has stopped."""
        self._guard = self.loop = None
        with self._lock:
            self._actions.clear()

    def subscribe(self, jail: Jail, action: ActionSpec, names: Iterable[str]) -> None:
        """From now on have this action checked when something of one of these names has changed."""
        with self._lock:
            self._actions[jail.name, action.actname] = frozenset(names)

    def unsubscribe(self, jail: Jail, action: ActionSpec, name: str) -> None:
        """The action has ended, unless one that took its place subscribed to another name."""
        key = (jail.name, action.actname)
        with self._lock:
            if name in self._actions.get(key, ()):
                del self._actions[key]

    def request_checks(self, name: str = "") -> None:
        """Have the actions checked that subscribed to `name`; all of them for the empty one."""
        if self._guard is None:
            return
        with self._lock:
            concerned = [key for key, names in self._actions.items() if not name or name in names]
        for jail, actname in concerned:
            self._guard.check_actions(jail, actname)

    def adopts(self, jail: Jail, action: ActionSpec) -> bool:
        """Whether this start of the action must adopt what it finds."""
        return self._guard is not None and self._guard.adopts(jail.name, action.actname)

    def merging(self, jail: Jail, policy: Policy) -> Merging | None:
        """How neighbours may be merged in this jail; None where they must not."""
        if policy.widest is None:
            return None
        guard = self._guard
        return Merging(policy.widest, lambda prefix: guard is None or bool(guard.refusal(jail, entry_text(prefix))))

    def has_subscriber(self, name: str) -> bool:
        """Whether some action subscribed to `name`."""
        with self._lock:
            return any(name in names for names in self._actions.values())
