"""An action that keeps somebody out: which of its bans are in force, and what becomes of those that fail."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from guardhooks import ActionError, ActionSpec, Ban, Outcome, safe_text
from guardhooks_core.actions.common.offender import address_of
from guardhooks_core.actions.shell.families import Families
from guardhooks_core.actions.shell.invocation import Invoker
from guardhooks_core.actions.shell.journal import Entry, Receipts
from guardhooks_core.actions.shell.recovery import take_over

logger = logging.getLogger("guardhooks.shell")

TRIES: Final = 3
"""So often a ban or unban may fail at a time; then it is left, loudly, until the next check, so that others go on."""


class Enforcement:
    """One such action of one jail.

    A ban is *held* when its command has succeeded, *doubtful* when it failed, was killed or was cut short by a crash:
    then it is undone before it is done again, since many commands must not be run twice (`iptables -I`).

    :param shared: see `Families`.
    """

    def __init__(self, invoker: Invoker, receipts: Receipts, shared: Callable[[str], bool]) -> None:
        self._families = Families(invoker, shared)
        self._receipts = receipts
        self._begun = False
        self._held: dict[str, Ban] = {}
        self._doubtful: dict[str, Ban] = {}
        self._put_back: set[str] = set()
        self._tries: Counter[str] = Counter()
        self._unable: dict[str, str] = {}

    @property
    def invoker(self) -> Invoker:
        """What runs its commands."""
        return self._families.invoker

    @property
    def action(self) -> ActionSpec:
        """The action that is being executed."""
        return self.invoker.action

    @property
    def start_texts(self) -> set[str]:
        """The `actionstart` of every started family."""
        return set(self._families.started.values())

    @property
    def note(self) -> str:
        """What `status` says."""
        failed = next(iter(self._unable.items()), None)
        if failed is None:
            return f"commands of {self.action.file or 'the jail'}"
        return f"{len(self._unable)} NOT done, tried again at each check: {safe_text(failed[0], 80)}: {failed[1]}"

    # --- the operations -----------------------------------------------------------------------------------------------

    async def start(self, bans: Sequence[Ban]) -> Outcome:
        """Make exactly `bans` be in force."""
        repaired = await self._repair_broken() if self._begun else await self._begin(bans)
        if not self.invoker.commands.on_demand:
            for family in self.invoker.commands.families:
                await self._start_family(family)
        return await self._settle(bans, repaired)

    async def check(self, bans: Sequence[Ban]) -> Outcome:
        """Look whether all families still stand, repair what does not, and make exactly `bans` be in force."""
        self._tries = Counter(dict.fromkeys(self._unable, TRIES - 1))
        return await self._settle(bans, await self._repair_broken())

    async def ban(self, bans: Iterable[Ban]) -> None:
        """Put bans in force, and prolong those that last longer than before."""
        await self._each([self._as_put_back(ban) for ban in bans if self._is_news(ban)], self._ban)

    async def unban(self, bans: Iterable[Ban]) -> None:
        """Lift bans; those that are not in force are passed over."""
        known = [ban for ban in bans if ban.id in self._held or ban.id in self._doubtful]
        for ban in known:
            self._put_back.discard(ban.id)
            self._doubtful.setdefault(ban.id, self._held.pop(ban.id, ban))
        await self._each(known, self._unban)

    async def flush(self) -> None:
        """Lift everything and remove what was built.

        :raises ActionError: when something is left.
        """
        for family in self._families.started:
            wanted = self._of(family) and self.invoker.has("actionflush", family)
            if wanted and not self._families.is_shared(family) and (await self.invoker.run("actionflush", family)).ok:
                for ban in self._of(family):
                    self._held.pop(ban.id, None)
                    self._doubtful.pop(ban.id, None)
        await self.unban([*self._held.values(), *self._doubtful.values()])
        await self._families.stop()
        self._begun = False
        self._receipts.remove()

    async def reload(self, invoker: Invoker, receipts: Receipts) -> None:
        """Go on with other commands, what is in force staying as it is; `actionreload` makes the difference."""
        await self._families.reload(invoker)
        self._receipts = receipts
        await asyncio.to_thread(self._write_all)

    # --- what is in force ---------------------------------------------------------------------------------------------

    async def _begin(self, bans: Sequence[Ban]) -> int:
        done = await asyncio.to_thread(self._receipts.read)
        due = {ban.id: ban for ban in bans}
        legacy = await take_over(self._families, done, due, kept=self._receipts.kept)
        self._held, self._doubtful, self._put_back = legacy.held, legacy.doubtful, set(due)
        await asyncio.to_thread(self._write_all)
        self._begun = True
        return 0

    async def _settle(self, bans: Sequence[Ban], repaired: int) -> Outcome:
        due = {ban.id for ban in bans}
        strangers = [ban for known in (self._held, self._doubtful) for id, ban in known.items() if id not in due]
        missing = due - self._held.keys()
        self._unable = {id: reason for id, reason in self._unable.items() if id in due}
        await self.unban(strangers)
        await self.ban(bans)
        added = repaired + len(missing & self._held.keys())
        return Outcome(added, len(strangers), self.note, failed=self.failed(bans))

    def failed(self, bans: Iterable[Ban]) -> dict[str, str]:
        """Those of the bans that are not in force though everything else is, and why."""
        return {ban.id: self._unable[ban.id] for ban in bans if ban.id in self._unable and ban.id not in self._held}

    def _is_news(self, ban: Ban) -> bool:
        if self._tries[ban.id] >= TRIES:
            return False
        held = self._held.get(ban.id)
        return held is None or ban.end > held.end

    def _as_put_back(self, ban: Ban) -> Ban:
        return replace(ban, restored=True) if ban.id in self._put_back else ban

    def _of(self, family: str) -> list[Ban]:
        known = [*self._held.values(), *self._doubtful.values()]
        return [ban for ban in known if self._family(ban) == family]

    def _family(self, ban: Ban) -> str:
        return self.invoker.commands.family_of(address_of(ban))

    # --- one ban ------------------------------------------------------------------------------------------------------

    async def _each(self, bans: Sequence[Ban], do: Callable[[Ban], Awaitable[None]]) -> None:
        """Do all, whatever becomes of one; what fails too often is left. Raises ActionError for what may be retried."""
        if not bans:
            return
        await self._write([("?", ban.id, ban.end) for ban in bans])
        failures: list[ActionError] = []
        for ban in bans:
            try:
                await do(ban)
            except ActionError as error:
                self._failed(ban, error, failures)
            else:
                self._tries.pop(ban.id, None)
                self._unable.pop(ban.id, None)
        await self._write([self._receipt(ban) for ban in bans])
        if failures:
            more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
            raise ActionError(f"{failures[0]}{more}")

    def _failed(self, ban: Ban, error: ActionError, failures: list[ActionError]) -> None:
        self._tries[ban.id] += 1
        if self._tries[ban.id] < TRIES:
            failures.append(error)
            return
        if ban.id not in self._unable:
            logger.error("[%s] NOT done, tried again at each check: %s", ban.jail, error)
        self._unable[ban.id] = str(error)

    async def _ban(self, ban: Ban) -> None:
        family = self._family(ban)
        if not self.invoker.can_name("actionban", family, ban):
            said = "[%s] %s cannot ban %s: it is no address"
            logger.error(said, ban.jail, self.action.actname, safe_text(ban.id, 80))
        elif not (ban.restored and self.invoker.commands.norestored):
            if ban.id in self._held:
                await self.invoker.demand("actionprolong", family, ban)
            else:
                await self._put_in_force(family, ban)
        self._doubtful.pop(ban.id, None)
        self._held[ban.id] = ban

    async def _put_in_force(self, family: str, ban: Ban) -> None:
        await self._start_family(family)
        if ban.id in self._doubtful:
            await self.invoker.run("actionunban", family, ban)
        self._doubtful[ban.id] = ban
        await self._attempt("actionban", family, ban)

    async def _unban(self, ban: Ban) -> None:
        family = self._family(ban)
        if self.invoker.can_name("actionunban", family, ban):
            try:
                await self._attempt("actionunban", family, ban)
            except ActionError:
                if self._tries[ban.id] + 1 >= TRIES:
                    self._doubtful.pop(ban.id, None)  # nobody asks for it again
                raise
        self._doubtful.pop(ban.id, None)

    async def _attempt(self, command: str, family: str, ban: Ban) -> None:
        """Run it; where it fails and the check can tell why, put that right and run it once more.

        Without a check it is not run twice blindly: the caller is told, and asks again.
        """
        result = await self.invoker.run(command, family, ban)
        if result.ok:
            return
        error = self.invoker.error(command, result, ban)
        stands = await self._families.stands(family)
        if stands is None:
            raise error
        if not stands:
            if command == "actionunban" and not self.invoker.commands.flag("actionrepair_on_unban"):
                # What was built is gone and the ban with it; the next check repairs it.
                logger.error("[%s] Invariant check failed. Unban is impossible: %s", ban.jail, error)
                return
            await self._repair(family, spared=ban.id)
        await self.invoker.demand(command, family, ban)

    # --- families -----------------------------------------------------------------------------------------------------

    async def _start_family(self, family: str) -> None:
        if await self._families.start(family):
            await self._write([("started", family)])

    async def _repair_broken(self) -> int:
        return sum([await self._repair(family) for family in await self._families.broken()])

    async def _repair(self, family: str, spared: str = "") -> int:
        """Build a broken family again and put its bans in force; how many those were."""
        await self._families.rebuild(family)
        lost = [ban for ban in self._of(family) if ban.id != spared]
        command = "actionreban" if self.invoker.has("actionreban", family) else "actionban"
        for ban in lost:
            self._held.pop(ban.id, None)
            self._doubtful[ban.id] = ban
            if (await self.invoker.run(command, family, ban)).ok:
                self._held[ban.id] = self._doubtful.pop(ban.id)
        return len(lost)

    # --- receipts -----------------------------------------------------------------------------------------------------

    def _receipt(self, ban: Ban) -> Entry:
        if ban.id in self._held:
            return "+", ban.id, self._held[ban.id].end
        return ("?", ban.id, ban.end) if ban.id in self._doubtful else ("-", ban.id)

    async def _write(self, entries: Sequence[Entry]) -> None:
        await asyncio.to_thread(self._receipts.add, entries)

    def _write_all(self) -> None:
        held = [(id, ban.end) for id, ban in self._held.items()]
        doubtful = [(id, ban.end) for id, ban in self._doubtful.items()]
        self._receipts.write(self._families.started, held, doubtful)
