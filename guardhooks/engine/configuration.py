"""What a reload replaces: settings, plugins and jails, in one object that every other part asks.

Nobody else keeps a `Plugins`, so no part can work with the plugins of before a reload while another has the new ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from guardhooks.errors import ConfigError
from guardhooks.model import ActionSpec, Ban, Jail, Op, Outcome
from guardhooks.plugins import Plugins
from guardhooks.settings.model import Settings, jails_of
from guardhooks.text import did_you_mean


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings, plugins and jails that belong together."""

    settings: Settings
    plugins: Plugins
    jails: Mapping[str, Jail]


class LiveConfiguration:
    """The configuration in use. With `observe`, every action only says what it would do."""

    def __init__(self, settings: Settings, plugins: Plugins, *, observe: bool) -> None:
        self._observe = observe
        self._now = Configuration(settings, plugins, jails_of(settings, observe=observe))
        self._retiring: Plugins | None = None

    @property
    def now(self) -> Configuration:
        """All of it at one moment, for work that must not see half of a reload."""
        return self._now

    @property
    def settings(self) -> Settings:
        return self._now.settings

    @property
    def plugins(self) -> Plugins:
        return self._now.plugins

    @property
    def jails(self) -> Mapping[str, Jail]:
        return self._now.jails

    @property
    def history_age(self) -> float:
        """Seconds that a ban is remembered after its end."""
        return max([self.settings.history_age, *(jail.findtime for jail in self.jails.values())])

    def jail(self, name: str) -> Jail:
        """The jail of this name. :raises ConfigError: when there is none."""
        if name not in self.jails:
            near = did_you_mean(name, self.jails) or f"; there are: {', '.join(self.jails) or 'none'}"
            raise ConfigError(f"there is no jail {name!r}{near}")
        return self.jails[name]

    @contextmanager
    def replaced(self, settings: Settings, plugins: Plugins) -> Iterator[Configuration]:
        """Use these from now on; yields the former configuration.

        A jail that is broken in the new settings continues as it was, with the reasons as its problems. Within the
        block, the former plugins still remove what they built and the new plugins do not know.
        """
        former = self._now
        kept = {
            name: replace(former.jails[name], problems=why)
            for name, why in settings.broken.items()
            if name in former.jails
        }
        self._now = Configuration(settings, plugins, {**jails_of(settings, observe=self._observe), **kept})
        self._retiring = former.plugins
        try:
            yield former
        finally:
            self._retiring = None

    async def execute(
        self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban], executor: Executor
    ) -> Outcome | None:
        """Have an action done by the plugin that handles it; None if no plugin does.

        :raises ActionError: when it could not be done.
        """
        retiring = self._retiring
        outcome = await self.plugins.execute_action(jail, action, op, bans, executor)
        if outcome is None and op is Op.FLUSH and retiring is not None:
            return await retiring.execute_action(jail, action, op, bans, executor)
        return outcome
