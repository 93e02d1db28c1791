"""Something that a plugin keeps for each guard, so that several guards in one process stay separate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from guardhooks.model import Jail
from guardhooks.views import GuardView

_Value = TypeVar("_Value")


class PerGuard(Generic[_Value]):
    """Values by guard, found by the guard's jails, which is what most hooks are called with."""

    def __init__(self) -> None:
        self._values: dict[int, _Value] = {}
        self._jails: dict[int, list[Jail]] = {}

    def start(self, guard: GuardView, make: Callable[[], _Value]) -> None:
        """To be called by `on_start`; after a reload the value goes on with the jails of now."""
        known = self.stop(guard)
        value = make() if known is None else known
        self._jails[id(guard)] = jails = list(guard.jails.values())
        self._values.update((id(jail), value) for jail in jails)

    def stop(self, guard: GuardView) -> _Value | None:
        """To be called by `on_stop`; returns the value, None if there is none."""
        values = [self._values.pop(id(jail), None) for jail in self._jails.pop(id(guard), ())]
        return next(iter(values), None)

    def of(self, jail: Jail) -> _Value | None:
        """The value of the guard whose jail this is."""
        return self._values.get(id(jail))
