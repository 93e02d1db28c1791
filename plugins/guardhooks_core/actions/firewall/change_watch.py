"""Which actions a change by others concerns, and the guard that is asked to have those checked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable

from guardhooks import ActionSpec, GuardView, Jail
from guardhooks_core.actions.firewall.aggregate import Merging
from guardhooks_core.actions.firewall.entries import entry_text
from guardhooks_core.actions.firewall.parameters import Policy


class Vigil:
    """The started actions of a plugin, each under the names (sets, chains) that it answers for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._actions: dict[tuple[str, str], frozenset[str]] = {}
        self._guard: GuardView | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    def serve(self, guard: GuardView) -> None:
        """Ask this guard; for the thread of its event loop."""
        self._guard, self.loop = guard, asyncio.get_running_loop()

    def end(self) -> None:
        """The guard has stopped."""
        self._guard = self.loop = None
        with self._lock:
            self._actions.clear()

    def watch(self, jail: Jail, action: ActionSpec, names: Iterable[str]) -> None:
        """From now on ask for this action when one of the names is concerned."""
        with self._lock:
            self._actions[jail.name, action.actname] = frozenset(names)

    def unwatch(self, jail: Jail, action: ActionSpec, name: str) -> None:
        """The action is no more, unless one that took its place answers for another name."""
        key = (jail.name, action.actname)
        with self._lock:
            if name in self._actions.get(key, ()):
                del self._actions[key]

    def ask(self, name: str = "") -> None:
        """Have the actions checked that answer for `name`; all of them for the empty one."""
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
        """How neighbours may be merged in this jail; None where they may not."""
        if policy.widest is None:
            return None
        guard = self._guard
        return Merging(policy.widest, lambda prefix: guard is None or bool(guard.refusal(jail, entry_text(prefix))))

    def knows(self, name: str) -> bool:
        """Whether some action answers for `name`."""
        with self._lock:
            return any(name in names for names in self._actions.values())
