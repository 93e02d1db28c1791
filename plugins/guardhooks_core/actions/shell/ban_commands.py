"""An action whose commands put bans in force: which bans are, and what happens to those that fail."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from guardhooks import ActionError, ActionSpec, Ban, Outcome, ShellScript, safe_text
from guardhooks_core.actions.common.offender import address_of
from guardhooks_core.actions.shell.families import Families
from guardhooks_core.actions.shell.invocation import Invoker
from guardhooks_core.actions.shell.journal import ActionJournal, Entry
from guardhooks_core.actions.shell.recovery import recover
from guardhooks_core.actions.shell.twins import Twins

logger = logging.getLogger("guardhooks.shell")

TRIES: Final = 3
"""Attempts at a ban or unban; after that it is logged and left until the next check, so that the others proceed."""


class BanCommands:
    """One such action of one jail.

    A ban is *held* when its command has succeeded. It is *in doubt* when the command failed, was killed or was
    interrupted by a crash: it is then undone before it is done again, as many commands must not run twice
    (`iptables -I`).

    :param shared: see `Families`. :param twins: bans of other actions with the same effect.
    """

    def __init__(self, invoker: Invoker, journal: ActionJournal, shared: Callable[[str], bool], twins: Twins) -> None:
        self._twins = twins
        self._families = Families(invoker, shared)
        self._journal = journal
        self._started = False
        self._held: dict[str, Ban] = {}
        self._in_doubt: dict[str, Ban] = {}
        self._restored: set[str] = set()
        self._tries: Counter[str] = Counter()
        self._unable: dict[str, str] = {}

    @property
    def invoker(self) -> Invoker:
        """Runs the commands."""
        return self._families.invoker

    @property
    def action(self) -> ActionSpec:
        """The action being executed."""
        return self.invoker.action

    @property
    def start_texts(self) -> set[str]:
        """The `actionstart` of every started family."""
        return set(self._families.started.values())

    @property
    def note(self) -> str:
        """The note for `status`."""
        failed = next(iter(self._unable.items()), None)
        if failed is None:
            return f"commands of {self.action.file or 'the jail'}"
        return f"{len(self._unable)} NOT done, retrying at each check: {safe_text(failed[0], 80)}: {failed[1]}"

    @property
    def problem(self) -> str:
        """What does not work apart from single bans; empty if nothing."""
        return self._families.problem

    def lifting(self, id: str) -> ShellScript | None:
        """The `actionunban` of a ban that is, or may be, in force; None if there is none."""
        ban = self._held.get(id) or self._in_doubt.get(id)
        return self.invoker.script("actionunban", self._family(ban), ban) if ban is not None else None

    # --- the operations -----------------------------------------------------------------------------------------------

    async def start(self, bans: Sequence[Ban]) -> Outcome:
        """Put exactly `bans` in force."""
        repaired = await self._repair_broken() if self._started else await self._recover(bans)
        await self._start_families()
        return await self._settle(bans, repaired)

    async def check(self, bans: Sequence[Ban]) -> Outcome:
        """Check all families, repair broken ones, and put exactly `bans` in force."""
        self._tries = Counter(dict.fromkeys(self._unable, TRIES - 1))
        repaired = await self._repair_broken()
        await self._start_families()
        return await self._settle(bans, repaired)

    async def ban(self, bans: Iterable[Ban]) -> None:
        """Put bans in force, and prolong those with a later end."""
        await self._each([self._as_restored(ban) for ban in bans if self._is_new(ban)], self._ban)

    async def unban(self, bans: Iterable[Ban]) -> None:
        """Lift bans; those that are not in force are skipped."""
        known = [ban for ban in bans if ban.id in self._held or ban.id in self._in_doubt]
        for ban in known:
            self._restored.discard(ban.id)
            self._in_doubt.setdefault(ban.id, self._held.pop(ban.id, ban))
        await self._each(known, self._unban)

    async def flush(self) -> None:
        """Lift all bans and remove what was built.

        :raises ActionError: if something is left.
        """
        flushed: dict[str, bool] = {}
        for family in (*self._families.started, *self._families.failed):
            text = self._families.text(family, "actionflush")
            if not text or not self._of(family) or self._families.is_shared(family):
                continue
            if text not in flushed:  # A command that is the same for two families runs once.
                flushed[text] = (await self.invoker.run("actionflush", family)).ok
            for ban in self._of(family) if flushed[text] else ():
                self._held.pop(ban.id, None)
                self._in_doubt.pop(ban.id, None)
        await self.unban([*self._held.values(), *self._in_doubt.values()])
        await self._families.stop()
        self._started = False
        self._journal.remove()

    async def reload(self, invoker: Invoker, journal: ActionJournal) -> None:
        """Switch to other commands and leave the bans in force; `actionreload` applies the difference."""
        await self._families.reload(invoker)
        self._journal = journal
        await asyncio.to_thread(self._write_all)

    # --- what is in force ---------------------------------------------------------------------------------------------

    async def _recover(self, bans: Sequence[Ban]) -> int:
        state = await asyncio.to_thread(self._journal.read)
        desired = {ban.id: ban for ban in bans}
        recovered = await recover(self._families, state, desired, has_journal=self._journal.is_written)
        self._held, self._in_doubt, self._restored = recovered.held, recovered.in_doubt, set(desired)
        await asyncio.to_thread(self._write_all)
        self._started = True
        return 0

    async def _settle(self, bans: Sequence[Ban], repaired: int) -> Outcome:
        desired = {ban.id for ban in bans}
        unexpected = [ban for known in (self._held, self._in_doubt) for id, ban in known.items() if id not in desired]
        missing = desired - self._held.keys()
        self._unable = {id: reason for id, reason in self._unable.items() if id in desired}
        await self.unban(unexpected)
        await self.ban(bans)
        added = repaired + len(missing & self._held.keys())
        return Outcome(added, len(unexpected), self.note, failed=self.failed(bans), problem=self.problem)

    def failed(self, bans: Iterable[Ban]) -> dict[str, str]:
        """The bans that were given up and are not in force, and why."""
        return {ban.id: self._unable[ban.id] for ban in bans if ban.id in self._unable and ban.id not in self._held}

    def _is_new(self, ban: Ban) -> bool:
        if self._tries[ban.id] >= TRIES:
            return False
        held = self._held.get(ban.id)
        return held is None or ban.end > held.end

    def _as_restored(self, ban: Ban) -> Ban:
        return replace(ban, restored=True) if ban.id in self._restored else ban

    def _of(self, family: str) -> list[Ban]:
        known = [*self._held.values(), *self._in_doubt.values()]
        return [ban for ban in known if self._family(ban) == family]

    def _family(self, ban: Ban) -> str:
        return self.invoker.commands.family_of(address_of(ban))

    # --- one ban ------------------------------------------------------------------------------------------------------

    async def _each(self, bans: Sequence[Ban], do: Callable[[Ban], Awaitable[None]]) -> None:
        """Apply `do` to every ban, even if one fails; a ban that fails too often is given up.

        :raises ActionError: for the failures that may be retried.
        """
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
        await self._write([self._entry(ban) for ban in bans])
        if failures:
            more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
            raise ActionError(f"{failures[0]}{more}")

    def _failed(self, ban: Ban, error: ActionError, failures: list[ActionError]) -> None:
        # A command that wants an address refuses any other id each time; that must not make the other bans wait.
        self._tries[ban.id] = self._tries[ban.id] + 1 if address_of(ban) else TRIES
        if self._tries[ban.id] < TRIES:
            failures.append(error)
            return
        if ban.id not in self._unable:
            logger.error("[%s] NOT done, retrying at each check: %s", ban.jail, error)
        self._unable[ban.id] = str(error)

    async def _ban(self, ban: Ban) -> None:
        family = self._family(ban)
        if not self.invoker.can_name("actionban", family, ban):
            self._tries[ban.id] = TRIES - 1  # no retry can help
            raise ActionError(f"{self.action.actname}: {safe_text(ban.id, 80)} is no address, which actionban needs")
        if not (ban.restored and self.invoker.commands.norestored):
            if ban.id in self._held:
                await self.invoker.demand("actionprolong", family, ban)
            else:
                await self._put_in_force(family, ban)
        self._in_doubt.pop(ban.id, None)
        self._held[ban.id] = ban

    async def _put_in_force(self, family: str, ban: Ban) -> None:
        if family not in self._families.failed:  # Those are retried by checks, which then see to all of their bans.
            await self._start_family(family)
        if ban.id in self._in_doubt:
            await self.invoker.run("actionunban", family, ban)
        self._in_doubt[ban.id] = ban
        async with self._twins.turn(ban.id):
            await self._attempt("actionban", family, ban)

    async def _unban(self, ban: Ban) -> None:
        family = self._family(ban)
        if self.invoker.can_name("actionunban", family, ban):
            try:
                async with self._twins.turn(ban.id):
                    if not self._twins.has_twin(self, ban.id, self.invoker.script("actionunban", family, ban)):
                        await self._attempt("actionunban", family, ban)
            except ActionError:
                if self._tries[ban.id] + 1 >= TRIES:
                    self._in_doubt.pop(ban.id, None)  # The host does not retry any more.
                raise
        self._in_doubt.pop(ban.id, None)

    async def _attempt(self, command: str, family: str, ban: Ban) -> None:
        """Run a command; if it fails and `actioncheck` shows that the family is broken, repair that and run it again.

        Without `actioncheck` it is not run twice: the caller gets the error and may retry.
        """
        result = await self.invoker.run(command, family, ban)
        if result.ok:
            return
        error = self.invoker.error(command, result, ban)
        intact = await self._families.is_intact(family)
        if intact is None:
            raise error
        if not intact:
            if command == "actionunban" and not self.invoker.commands.flag("actionrepair_on_unban"):
                # The structure is gone, and the ban with it; the next check repairs the structure.
                logger.error("[%s] Invariant check failed. Unban is impossible: %s", ban.jail, error)
                return
            await self._repair(family, except_id=ban.id)
        await self.invoker.demand(command, family, ban)

    # --- families -----------------------------------------------------------------------------------------------------

    async def _start_families(self) -> None:
        on_demand = self.invoker.commands.on_demand
        for family in list(self._families.failed) if on_demand else self.invoker.commands.families:
            await self._start_family(family)

    async def _start_family(self, family: str) -> None:
        if not await self._families.start(family):
            return
        if family in self._families.started:
            await self._write([("started", family)])
        if self.invoker.commands.can_undo(family):
            # It may have begun with emptying what it builds. What can be undone can be done again.
            for ban in self._of(family):
                self._in_doubt[ban.id] = self._held.pop(ban.id, ban)

    async def _repair_broken(self) -> int:
        return sum([await self._repair(family) for family in await self._families.broken()])

    async def _repair(self, family: str, except_id: str = "") -> int:
        """Rebuild a broken family and put its bans in force again; returns their number."""
        await self._families.rebuild(family)
        lost = [ban for ban in self._of(family) if ban.id != except_id]
        command = "actionreban" if self.invoker.has("actionreban", family) else "actionban"
        for ban in lost:
            self._held.pop(ban.id, None)
            self._in_doubt[ban.id] = ban
            if (await self.invoker.run(command, family, ban)).ok:
                self._held[ban.id] = self._in_doubt.pop(ban.id)
        return len(lost)

    # --- journal -----------------------------------------------------------------------------------------------------

    def _entry(self, ban: Ban) -> Entry:
        if ban.id in self._held:
            return "+", ban.id, self._held[ban.id].end
        return ("?", ban.id, ban.end) if ban.id in self._in_doubt else ("-", ban.id)

    async def _write(self, entries: Sequence[Entry]) -> None:
        await asyncio.to_thread(self._journal.add, entries)

    def _write_all(self) -> None:
        held = [(id, ban.end) for id, ban in self._held.items()]
        in_doubt = [(id, ban.end) for id, ban in self._in_doubt.items()]
        self._journal.write(self._families.started, held, in_doubt)
