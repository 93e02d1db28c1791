"""Bans that the notifying actions of a jail (mail, webhook) report once it is known whether they are in force."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from guardhooks.model import Ban


class HeldNotices:
    """By jail and id, the bans that no notifier has reported as in force."""

    def __init__(self) -> None:
        self._untold: defaultdict[str, dict[str, Ban]] = defaultdict(dict)
        self._told_failing: defaultdict[str, dict[str, Ban]] = defaultdict(dict)

    def hold(self, ban: Ban) -> None:
        """Keep a decided ban back. One that was reported as failing is not reported as failing again."""
        told = self._told_failing[ban.jail]
        (told if ban.id in told else self._untold[ban.jail])[ban.id] = ban

    def holds(self, ban: Ban) -> bool:
        """Whether this ban still has to be reported as in force."""
        return ban.id in self._untold[ban.jail] or ban.id in self._told_failing[ban.jail]

    def release(self, jail: str, id: str) -> Ban | None:
        """The ban is in force: what is to be reported; None if the notifiers know it."""
        failing = self._told_failing[jail].pop(id, None)
        return self._untold[jail].pop(id, failing)

    def failing(self, jail: str, reason: Callable[[str], str]) -> list[Ban]:
        """The bans to report as decided but not in force, each once.

        :param reason: why the ban of an id is not in force; empty while that is not known.
        """
        untold = self._untold[jail]
        failing = [replace(ban, not_in_force=why) for id, ban in untold.items() if (why := reason(id))]
        for ban in failing:
            self._told_failing[jail][ban.id] = untold.pop(ban.id)
        return failing

    def drop(self, jail: str, id: str) -> bool:
        """The ban is over; returns whether the notifiers were never told of it."""
        self._told_failing[jail].pop(id, None)
        return self._untold[jail].pop(id, None) is not None

    def drop_jail(self, jail: str) -> None:
        """The jail is gone."""
        self._untold.pop(jail, None)
        self._told_failing.pop(jail, None)
