"""What is changed in the running guard and stands in no file: values of options, paused and stopped jails.

Changes are laid over the settings that were read last, and the result is used as a reload uses new settings. A reload
takes all of them back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from guardhooks.engine.configuration import LiveConfiguration
from guardhooks.errors import ActionError, ConfigError
from guardhooks.filters import CompiledFilters
from guardhooks.logs import NOTICE
from guardhooks.model import Jail
from guardhooks.settings.changing import changed, text_of, value_of
from guardhooks.settings.model import Settings
from guardhooks.status import RuntimeChange
from guardhooks.text import safe_text

PAUSED: Final = "paused"
STOPPED: Final = "stopped"
_MATCHING: Final = frozenset({"prefregex", "failregex", "ignoreregex", "datepattern", "logtimezone", "logencoding"})
"""Options that are compiled when a jail starts: they are tried before they are used."""

logger = logging.getLogger("guardhooks.config")


class RuntimeChanges:
    """All changes, by jail and key.

    :param use: brings the running guard in line with these settings.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        configuration: LiveConfiguration,
        use: Callable[[Settings], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        self._configuration, self._use, self._clock = configuration, use, clock
        self._read = configuration.settings
        self._changes: dict[tuple[str, str], RuntimeChange] = {}
        self.lock = asyncio.Lock()
        """Held while the guard goes over to other settings, so that no two changes overlap."""

    # --- what there is ------------------------------------------------------------------------------------------------

    def all(self, jail: str | None = None) -> tuple[RuntimeChange, ...]:
        """The changes in effect, of one jail or of all, in the order in which they were made."""
        return tuple(change for change in self._changes.values() if jail in {None, change.jail})

    def state(self, jail: str) -> str:
        """`paused`, `stopped`, or empty for a jail that is neither."""
        change = self._changes.get((jail, ""))
        return change.value if change else ""

    def value(self, jail: str, key: str) -> tuple[object, str]:
        """The value of an option in a jail that runs, parsed and as text. :raises ConfigError: as `value_of`."""
        found, tables = self._running(jail), self._configuration.plugins.declared_options()
        return value_of(found, key, tables), text_of(found, key, tables)

    # --- changing -----------------------------------------------------------------------------------------------------

    async def set(self, jail: str, key: str, text: str, *, uid: int | None = None) -> RuntimeChange:
        """Give an option of a jail another value, from now on until the next reload.

        :raises ConfigError: when there is no such option, or the value cannot be used; then nothing is changed.
        """
        async with self.lock:
            tables = self._configuration.plugins.declared_options()
            before = self._running(jail)
            former = text_of(before, key, tables)
            after = changed(before, key, text, tables)
            if key in _MATCHING:
                await asyncio.to_thread(_refuse_unusable, before, after)
            change = RuntimeChange(jail, key, text, former, uid, self._clock())
            await self._commit({**self._changes, (jail, key): change})
        logger.log(NOTICE, "[%s] %s changed from %r to %r by %s", jail, key, safe_text(former, 500),
                   safe_text(text, 500), _who(uid))  # fmt: skip
        return change

    async def unset(self, jail: str, key: str, *, uid: int | None = None) -> bool:
        """Take one change back; False if there was none."""
        async with self.lock:
            change = self._changes.get((jail, key))
            if change is None:
                return False
            await self._commit({at: each for at, each in self._changes.items() if each is not change})
        logger.log(NOTICE, "[%s] %s taken back by %s", jail, safe_text(str(change), 500), _who(uid))
        return True

    async def pause(self, jail: str, length: float | None = None, *, uid: int | None = None) -> RuntimeChange:
        """Read no logs for a jail, for `length` seconds or until it is started. Its bans stay in force."""
        return await self._switch(jail, PAUSED, length, uid)

    async def stop(self, jail: str, *, uid: int | None = None) -> RuntimeChange:
        """Stop a jail until it is started: its bans are lifted and what its actions built is removed."""
        return await self._switch(jail, STOPPED, None, uid)

    async def start(self, jail: str, *, uid: int | None = None) -> bool:
        """Start a jail that was paused or stopped; False if it runs already.

        :raises ConfigError: when no such jail is enabled.
        """
        self._known(jail)
        return await self.unset(jail, "", uid=uid)

    async def _switch(self, jail: str, state: str, length: float | None, uid: int | None) -> RuntimeChange:
        self._known(jail)
        now = self._clock()
        change = RuntimeChange(jail, "", state, "running", uid, now, None if length is None else now + length)
        async with self.lock:
            await self._commit({**self._changes, (jail, ""): change})
        until = "" if length is None else f" for {length:.0f} seconds"
        logger.log(NOTICE, "[%s] %s%s by %s; `guardhooks jail start %s` starts it", jail, state, until, _who(uid), jail)
        return change

    async def end_due(self, now: float) -> None:
        """Take back what was changed for a time that is over at `now`, seconds since the epoch."""
        due = [change for change in self._changes.values() if change.until is not None and change.until <= now]
        for change in due:
            async with self.lock:
                await self._commit({at: each for at, each in self._changes.items() if each is not change})
            logger.log(NOTICE, "[%s] no longer %s: the time is over", change.jail, change)

    def take_all_back(self, settings: Settings) -> tuple[RuntimeChange, ...]:
        """The configuration was read again: from now on nothing is laid over it. Returns what there was."""
        gone = self.all()
        for change in gone:
            logger.warning("[%s] the reload takes back what %s changed: %s", change.jail, _who(change.uid),
                           safe_text(str(change), 500))  # fmt: skip
        self._changes = {}
        self._read = settings
        return gone

    # --- how ----------------------------------------------------------------------------------------------------------

    async def _commit(self, changes: dict[tuple[str, str], RuntimeChange]) -> None:
        """Use the settings with these changes; they are kept only if that works."""
        settings = self._with(changes)
        former, self._changes = self._changes, changes
        try:
            await self._use(settings)
        except BaseException:
            self._changes = former
            raise

    def _with(self, changes: dict[tuple[str, str], RuntimeChange]) -> Settings:
        tables = self._configuration.plugins.declared_options()
        jails = []
        for read in self._read.jails:
            jail, state = read, ""
            for change in changes.values():
                if change.jail == jail.name and change.key:
                    jail = changed(jail, change.key, change.value, tables)
                elif change.jail == jail.name:
                    state = change.value
            if state != STOPPED:
                jails.append(replace(jail, sources=()) if state == PAUSED else jail)
        return replace(self._read, jails=tuple(jails))

    def _running(self, jail: str) -> Jail:
        """The jail with its changes, paused or not, and with its real actions even while observing."""
        self._known(jail)
        only = {at: change for at, change in self._changes.items() if change.key}
        return next(each for each in self._with(only).jails if each.name == jail)

    def _known(self, jail: str) -> None:
        names = [each.name for each in self._read.jails]
        if jail in names:
            return
        if jail in self._configuration.jails:
            raise ActionError(f"jail {jail!r} runs as it was before its configuration broke; fix that and reload first")
        raise ConfigError(f"there is no jail {jail!r}; there are: {', '.join(names) or 'none'}")


def _refuse_unusable(before: Jail, after: Jail) -> None:
    """Refuse values that cannot be compiled, as far as the former ones could."""
    known = {str(problem) for problem in CompiledFilters([before]).problems.get(before.name, ())}
    new = [problem for problem in CompiledFilters([after]).problems.get(after.name, ()) if str(problem) not in known]
    if new:
        raise ConfigError(f"{new[0].key}: {new[0].message}")


def _who(uid: int | None) -> str:
    return "the embedding program" if uid is None else f"uid {uid}"
