"""Makes and lifts bans: those that plugins decide, those by hand, those that end."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Final

from guardhooks.engine.ban_guard import FORCED, BanGuard
from guardhooks.engine.ban_lines import ASKED_BY, UNBANNED
from guardhooks.engine.configuration import LiveConfiguration
from guardhooks.engine.enforcer import Enforcer
from guardhooks.engine.ledger_writer import LedgerWriter
from guardhooks.errors import ActionError
from guardhooks.ledger import LIFTED, Ledger
from guardhooks.model import Ban
from guardhooks.net.addresses import canonical
from guardhooks.plugins.values import defect
from guardhooks.text import safe_text
from guardhooks.views import KNOWN

logger = logging.getLogger("guardhooks.actions")


BY_HAND: Final = "by hand"
_SLICE: Final = 500
"""Bans looked at in one turn of the event loop."""


def checked(ban: Ban) -> Ban:
    """A ban as the host takes it in, whoever made it: its id in canonical spelling, its times numbers.

    :raises ActionError: when the id is empty, a time is not a number, or another field is of a wrong kind.
    """
    if wrong := defect(ban, Ban):
        raise ActionError(wrong)
    id = canonical(ban.id)
    return ban if id in {"", ban.id} else replace(ban, id=id)


def _with_evidence(ban: Ban, former: Ban, *, keep_reason: bool) -> Ban:
    """A ban by hand that takes the place of a present one, with what is known from that."""
    return replace(
        ban,
        failures=former.failures,
        reason=former.reason if keep_reason and former.reason else ban.reason,
        matches=former.matches,
        fields=former.fields,
        notes={**former.notes, **ban.notes},
    )


class Bans:
    """Keeps ledger and enforcer in step: whatever is put into the one is enforced by the other."""

    def __init__(  # noqa: PLR0917 -- its collaborators
        self,
        configuration: LiveConfiguration,
        ledger: Ledger,
        writer: LedgerWriter,
        enforcer: Enforcer,
        ban_guard: BanGuard,
        clock: Callable[[], float],
    ) -> None:
        self._configuration = configuration
        self._ledger, self._writer = ledger, writer
        self._enforcer, self._ban_guard = enforcer, ban_guard
        self._clock = clock

    def apply(self, ban: Ban) -> Ban | None:
        """Enforce a decision, unless it is already over, changes nothing or would hit what must not be banned."""
        jail = self._configuration.jails.get(ban.jail)
        if jail is None:
            logger.error("[%s] a plugin decided a ban of %s, but there is no such jail", ban.jail, safe_text(ban.id))
            return None
        self._ledger.forget(ban.jail, ban.id)
        try:
            ban = checked(ban)
        except ActionError as error:
            logger.error("[%s] a decided ban is NOT made: %s; its plugin needs to be fixed", ban.jail, error)
            return None
        if ban.end <= self._clock():
            logger.info("[%s] Ignore %s, expired bantime", ban.jail, safe_text(ban.id))
            return None
        if not self._ban_guard.allows(jail, ban):
            return None
        stored = self._ledger.add(ban)
        if stored is not None:
            self._enforcer.ban(jail, stored)
        return stored

    async def ban(
        self,
        jail: str,
        id: str,
        *,
        length: float | None,
        reason: str,
        force: bool,
        replacing: bool,
        protected: Collection[str],
        asker: str = "",
    ) -> Ban:
        """See `Guard.ban`."""
        of = self._configuration.jail(jail)
        seconds = of.bantime if length is None else length
        notes = {**(FORCED if force else {}), **({ASKED_BY: asker} if asker else {})}
        ban = checked(Ban(id, jail, self._clock(), seconds, reason=reason or BY_HAND, notes=notes))
        self._ban_guard.check(of, ban.id, force=force, protected=protected)
        former = next((each for each in self._ledger.find(ban.id, jail) if each.id == ban.id), None)
        if former is not None:
            if ban.end < former.end and not replacing:
                if length is None:
                    return former
                raise ActionError(f"[{jail}] {safe_text(ban.id)} is banned for longer already; --replace shortens that")
            ban = _with_evidence(ban, former, keep_reason=not reason)
        stored = self._ledger.add(ban, shorten=replacing)
        if stored is None:
            return former or ban
        self._enforcer.ban(of, stored)
        await self._writer.write()
        return stored

    async def take_over(self, bans: Sequence[Ban]) -> list[str]:
        """See `Guard.take_over`."""
        results = []
        for number, ban in enumerate(bans):
            try:
                results.append(self._take_over(checked(ban)))
            except ActionError as error:
                results.append(str(error))
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
        await self._writer.write()
        return results

    def _take_over(self, ban: Ban) -> str:
        jail = self._configuration.jails.get(ban.jail)
        if jail is None:
            return f"no jail is called {safe_text(ban.jail, 100)!r}"
        known = [each for each in self._ledger.history(ban.id) if each.jail == ban.jail]
        same = next((each for each in known if abs(each.start - ban.start) < 1), None)
        if same is not None:
            lifted = LIFTED.keys() <= same.notes.keys()
            return f"it was lifted by hand here; `guardhooks ban {ban.jail} {ban.id}` bans it" if lifted else KNOWN
        if ban.end <= self._clock():
            self._ledger.add_past(ban)
            return ""
        if why := self._ban_guard.refusal(jail, ban.id):
            return f"refused: {why}"
        stored = self._ledger.add(ban)
        if stored is None:
            return "banned for longer already"
        self._enforcer.ban(jail, stored)
        return ""

    async def lift(self, bans: Sequence[Ban], cause: str = "hand") -> list[Ban]:
        """Lift these bans; returns those that were in force.

        :param cause: by whom or what, for the log.
        """
        lifted = [ban for each in bans if (ban := self._ledger.remove(each.jail, each.id)) is not None]
        for ban in lifted:
            self._ledger.forget(ban.jail, ban.id)
            self._unban(replace(ban, notes={**ban.notes, UNBANNED: cause}))
        await self._writer.write()
        return lifted

    async def lift_unsafe(self) -> None:
        """Lift the bans of what this machine needs by now."""
        if bans := self._ban_guard.unsafe_active_bans(self._ledger.find):
            await self.lift(bans, "the protection of this machine")

    async def lift_allowlisted(self) -> None:
        """Lift the bans of what plugins exempt by now (`ignoreip`), except forced ones; the log says why."""
        exempted: defaultdict[str, list[Ban]] = defaultdict(list)
        for number, ban in enumerate(self._ledger.active()):
            jail = self._configuration.jails.get(ban.jail)
            why = self._ban_guard.allowlist_reason(jail, ban.id) if jail is not None else ""
            if why and not ban.notes.keys() >= FORCED.keys():
                logger.warning(
                    "[%s] the ban of %s is lifted: %s exempts it now", ban.jail, safe_text(ban.id), safe_text(why)
                )
                exempted[why].append(ban)
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
        for why, bans in exempted.items():
            await self.lift(bans, why)

    def expire(self, now: float) -> None:
        """Unban everybody whose ban is over at `now`, seconds since the epoch."""
        for ban in self._ledger.expire(now):
            self._unban(ban)

    def drop_jail(self, jail: str) -> None:
        """Forget the bans and failures of a jail whose actions have been flushed."""
        for ban in self._ledger.active(jail):
            self._ledger.remove(jail, ban.id)
        self._ledger.drop_jail(jail)

    def _unban(self, ban: Ban) -> None:
        jail = self._configuration.jails.get(ban.jail)
        if jail is not None:
            self._enforcer.unban(jail, ban)
